// Writes `dist/page/index.html` and `dist/page/assets/`, whose file names contain a digest of the contents. Files that are
// up to date stay untouched, so a service may run meanwhile.
import * as esbuild from 'esbuild'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

const SOURCE = new URL('./', import.meta.url)
const TARGET = new URL('../dist/page/', import.meta.url)
const ASSETS = new URL('assets/', TARGET)
/** Inline styles that Plot adds to every chart; the page's Content-Security-Policy refuses them. */
const PLOT_STYLES = /\.call\(\(svg\) =>[^`]*append\("style"\)[^`]*`[^`]*`\s*\)\s*\)/

/** @type {import('esbuild').Plugin} */
const withoutInlineStyles = {
  name: 'plot without inline styles',
  setup(build) {
    build.onLoad({ filter: /@observablehq.plot.src.plot\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8')
      if (!PLOT_STYLES.test(code))
        throw new Error(`${path} no longer contains the inline styles that styles.css replaces`)
      return { contents: code.replace(PLOT_STYLES, ''), loader: 'js' }
    })
  },
}

/** Paths of the files that belong to this build. @type {Set<string>} */
const written = new Set()
await mkdir(ASSETS, { recursive: true })
let html = await readFile(new URL('index.html', SOURCE), 'utf8')
for (const source of ['src/main.ts', 'styles.css', 'icon.svg']) {
  const contents = source.endsWith('.svg') ? await readFile(new URL(source, SOURCE)) : await bundle(source)
  const digest = createHash('sha256').update(contents).digest('hex').slice(0, 12)
  const name = source.replace(/^.*\/|\.[^.]*$/g, '')
  const file = `${name}-${digest}${source.endsWith('.ts') ? '.js' : source.slice(source.lastIndexOf('.'))}`
  await writeCompressed(new URL(file, ASSETS), contents)
  if (!html.includes(`"${source}"`)) throw new Error(`index.html does not load ${source}`)
  html = html.replaceAll(`"${source}"`, `"/page/${file}"`)
}
await writeCompressed(new URL('index.html', TARGET), Buffer.from(html))
for (const folder of [TARGET, ASSETS])
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = fileURLToPath(new URL(entry.name, folder))
    if (entry.isFile() && !written.has(path)) await rm(path)
  }

/** @param {string} source */
async function bundle(source) {
  const { outputFiles } = await esbuild.build({
    entryPoints: [fileURLToPath(new URL(source, SOURCE))],
    outdir: fileURLToPath(TARGET),
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'chrome111', 'firefox121', 'safari16.4'],
    legalComments: 'none',
    plugins: [withoutInlineStyles],
  })
  const [output] = outputFiles
  if (output === undefined) throw new Error(`esbuild wrote nothing for ${source}`)
  return output.contents
}

/** @param {URL} file @param {Uint8Array} contents */
async function writeCompressed(file, contents) {
  const path = fileURLToPath(file)
  const paths = [path, `${path}.br`, `${path}.gz`]
  for (const one of paths) written.add(one)
  const before = await Promise.all(paths.map((one) => readFile(one).catch(() => undefined)))
  if (before[0]?.equals(contents) && before.every((one) => one !== undefined)) return
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: contents.length }
  await writeFile(`${path}.br`, await promisify(brotliCompress)(contents, { params }))
  await writeFile(`${path}.gz`, await promisify(gzip)(contents, { level: 9 }))
  await writeFile(path, contents)
}
