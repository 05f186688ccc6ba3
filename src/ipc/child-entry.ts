/** The URL of a child's compiled module. Node forks no `.ts`, so the result is in `dist` even when this file runs as TypeScript. */
export function childEntry(path: string): URL {
  const root = new URL(import.meta.url.endsWith('.ts') ? '../../dist/' : '../', import.meta.url)
  return new URL(path, root)
}
