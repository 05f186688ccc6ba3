import { cruise, type ICruiseResult } from 'dependency-cruiser'
import extractOptions from 'dependency-cruiser/config-utl/extract-depcruise-options'
import { appendFileSync, cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** One line per violated rule of .dependency-cruiser.cjs: the rule and both modules. */
async function violations(folder: string): Promise<string[]> {
  const options = await extractOptions(path.join(ROOT, '.dependency-cruiser.cjs'))
  const { output } = await cruise(['src'], { ...options, baseDir: folder })
  const { summary } = output as ICruiseResult
  expect(summary.totalCruised).toBeGreaterThan(50)
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`)
}

let copy: string

beforeAll(() => {
  copy = mkdtempSync(path.join(tmpdir(), 'resinit-architecture-'))
  for (const name of ['src', 'package.json', 'tsconfig.json']) {
    cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true })
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'))
})

afterAll(() => {
  rmSync(copy, { recursive: true, force: true })
})

test('imports follow the table of directories', async () => {
  expect(await violations(ROOT)).toEqual([])
})

test('a forbidden import is reported', async () => {
  const plant = (file: string, line: string): void => {
    appendFileSync(path.join(copy, 'src', file), `\n${line}\n`)
  }
  plant('serving/models/names.ts', "import '../../http/shared/query.ts'")
  plant('network/shapes.ts', "import type {} from '../formats/npy.ts'")
  plant('network/geometry.ts', "import 'node:fs'")
  plant('statistics/moments.ts', "import 'pino'")
  plant('engine/client/engine-process.ts', "await import('../worker/model-table.ts')")
  plant('tensorflow/sampler.ts', "await import('sharp')")
  plant('images/client/image-decoder.ts', "import '../worker/decode.ts'")
  plant('formats/npy.ts', "import './safetensors.ts'")
  plant('formats/safetensors.ts', "import './npy.ts'")
  plant('config.ts', "import 'vitest'")
  plant('images/worker/decode.ts', "import 'no-such-package'")
  plant('http/shared/query.ts', "export { VERSION } from '../../common/version.ts'")
  plant('http/shared/rates.ts', "import '../plugins/index.ts'")
  writeFileSync(path.join(copy, 'src/http/plugins/index.ts'), 'export {}\n')
  writeFileSync(path.join(copy, 'src/util.ts'), 'export {}\n')

  const found = await violations(copy)

  const modules = (rule: string) =>
    found.filter((line) => line.startsWith(`${rule}: `)).map((line) => line.slice(rule.length + 2))
  const once = (rule: string, from: string) => {
    expect(modules(rule), found.join('\n')).toContainEqual(expect.stringMatching(`^src/${from} -> `))
  }
  once('imports of serving/', 'serving/models/names.ts')
  once('imports of network/', 'network/shapes.ts')
  once('purity of network/', 'network/geometry.ts')
  once('packages of statistics/', 'statistics/moments.ts')
  once('imports of engine/client/', 'engine/client/engine-process.ts')
  once('no-tensorflow-in-parent', 'main.ts')
  once('no-libvips-elsewhere', 'main.ts')
  once('packages of tensorflow/', 'tensorflow/sampler.ts')
  once('no-cycle', 'formats/npy.ts')
  once('no-dev-dependency', 'config.ts')
  once('resolvable', 'images/worker/decode.ts')
  once('no-re-export', 'http/shared/query.ts')
  once('no-barrel', 'http/shared/rates.ts')
  once('layers of http/shared/', 'http/shared/rates.ts')
  once('known-row', 'util.ts')
  once('no-unused-module', 'util.ts')
})
