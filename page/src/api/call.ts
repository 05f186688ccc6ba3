/** A request as data, for sending (`client.ts`) and for copying as a program (`snippets.ts`). */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** A JSON body, or images: a single one as the body, several as a form. */
  readonly json?: unknown
  readonly images?: readonly File[]
}

/** The path with its query. */
export function addressOf({ path, query = {} }: Call): string {
  const text = new URLSearchParams(query).toString()
  return text === '' ? path : `${path}?${text}`
}
