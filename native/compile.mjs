import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { bindingPath, inPartial, land } from './cache.mjs'
import { Failure } from './failure.mjs'
import { packageDirectory, tfjsDirectory } from './package.mjs'
import { say } from './progress.mjs'
import { runProgram } from './subprocess.mjs'

/** @typedef {import('./pins.mjs').Release} Release */

const SOURCES = ['tfjs_backend.cc', 'tfjs_binding.cc']
/**
 * A failing session run keeps its inputs and tensor names forever: 2 KB with every build, whose first run
 * fails by design. The patch releases after a failure what the binding releases after a run.
 */
const FAILING_RUN = `    NAPI_THROW_ERROR(env, "Session fail to run with error: %s",
                     TF_Message(tf_status.status));
`
const RELEASES = `    for (TF_Tensor *tensor : input_values) TF_DeleteTensor(tensor);
    for (const char *name : input_op_name_array) delete[] name;
    for (const char *name : output_op_name_array) delete[] name;
`
const FLAGS = ['-O2', '-std=c++17', '-fPIC', '-w', '-DNAPI_VERSION=8']
const LINK =
  process.platform === 'darwin'
    ? ['-bundle', '-undefined', 'dynamic_lookup', '-Wl,-rpath,@loader_path/../../deps/lib']
    : ['-shared', '-Wl,-rpath,$ORIGIN/../../deps/lib']

/**
 * @param {Release} release
 * @returns {string} A key of everything that the compiled binding depends on.
 */
export function bindingKey(release) {
  const hash = createHash('sha256').update([...FLAGS, ...LINK, FAILING_RUN, RELEASES].join(' '))
  const directory = path.join(tfjsDirectory(), 'binding')
  for (const name of readdirSync(directory).sort())
    hash.update(name).update(readFileSync(path.join(directory, name)))
  return `${release.key}-${hash.digest('hex').slice(0, 12)}`
}

/**
 * Compiles the binding that tfjs-node-gpu ships as source: its prebuilt one is for libtensorflow 2.9.
 * @param {Release} release
 * @param {string} tree
 * @returns {Promise<string>}
 */
export async function compileBinding(release, tree) {
  const binding = bindingPath(bindingKey(release))
  if (existsSync(binding)) return binding
  const [compiler, ...words] = await findCompiler()
  say('compiling the binding (about 15 s)')
  await inPartial('binding', async (directory) => {
    const draft = path.join(directory, 'tfjs_binding.node')
    const tfjs = tfjsDirectory()
    const outcome = await runProgram(
      compiler,
      [
        ...[...words, ...FLAGS, ...LINK, '-o', draft, '-I', tfjs, '-I', path.join(tree, 'include')],
        ...['-I', path.join(packageDirectory('node-api-headers'), 'include')],
        ...['-I', path.join(tfjs, 'binding')],
        ...SOURCES.map((name) => mended(path.join(tfjs, 'binding', name), directory)),
        ...['-L', path.join(tree, 'lib'), '-ltensorflow', '-ltensorflow_framework'],
      ],
      { ...process.env, TMPDIR: directory },
    )
    if (outcome.status !== 0) {
      const reason = /^.*error.*$/im.exec(outcome.stderr)?.[0] ?? outcome.stderr.trim()
      throw new Failure(
        `${compiler} could not compile the binding; set CXX to another C++17 compiler: ${reason}`,
      )
    }
    land(draft, binding)
  })
  return binding
}

/**
 * @param {string} source
 * @param {string} directory
 * @returns {string} The source, or its patched copy in the directory.
 */
function mended(source, directory) {
  const text = readFileSync(source, 'utf8')
  if (!text.includes(FAILING_RUN)) return source
  const copy = path.join(directory, path.basename(source))
  writeFileSync(
    copy,
    text.replace(FAILING_RUN, (failing) => failing + RELEASES),
  )
  return copy
}

/** @returns {Promise<[string, ...string[]]>} The first compiler that runs; CXX may contain options. */
async function findCompiler() {
  const named = process.env['CXX']?.trim()
  for (const candidate of named ? [named] : ['g++', 'clang++', 'c++']) {
    const [program = '', ...words] = candidate.split(/\s+/)
    const outcome = await runProgram(program, [...words, '--version'])
    if (outcome.status === 0) return [program, ...words]
  }
  const sought = named ? `C++ compiler at ${named} (variable CXX)` : 'C++ compiler (g++ or clang++)'
  throw new Failure(`No ${sought} found: install one (Debian: apt install g++) or set CXX to its path.`)
}
