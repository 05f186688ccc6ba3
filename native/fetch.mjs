import { existsSync, statfsSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { CACHE, inPartial, land, treePath } from './cache.mjs'
import { linkCusolver } from './cuda.mjs'
import { Failure, fullDisk } from './failure.mjs'
import { checkPip, downloadWheels, PYTHON } from './pip.mjs'
import { say } from './progress.mjs'
import { runProgram } from './subprocess.mjs'

/** @typedef {import('./pins.mjs').Release} Release */

const UNPACK = fileURLToPath(new URL('unpack.py', import.meta.url))

// The wheel has the C API in its C++ library; the binding links against the C library's name.
const LINKS =
  process.platform === 'darwin'
    ? {
        'libtensorflow.2.dylib': 'libtensorflow_cc.2.dylib',
        'libtensorflow.dylib': 'libtensorflow_cc.2.dylib',
        'libtensorflow_framework.dylib': 'libtensorflow_framework.2.dylib',
      }
    : {
        'libtensorflow.so.2': 'libtensorflow_cc.so.2',
        'libtensorflow.so': 'libtensorflow_cc.so.2',
        'libtensorflow_framework.so': 'libtensorflow_framework.so.2',
      }

/**
 * Downloads the pinned wheels and unpacks them into the cache.
 * @param {Release} release
 * @returns {Promise<string>} The tree: `include`, `lib` and, for CUDA, `nvidia`.
 */
export async function fetchTree(release) {
  const tree = treePath(release.key)
  if (existsSync(tree)) return tree
  if (process.platform === 'linux' && !hasGlibc()) {
    throw new Failure(
      'TensorFlow is built for glibc and this system has musl: run resinit on Debian, Ubuntu or their containers.',
    )
  }
  await checkPip()
  const { bavail, bsize } = statfsSync(CACHE)
  if (bavail * bsize < release.disk) throw new Failure(fullDisk(release.disk))
  await inPartial(release.key, async (directory) => {
    const wheels = await downloadWheels(release, directory)
    const draft = path.join(directory, 'tree')
    await unpack(wheels, draft)
    linkCusolver(draft)
    land(draft, tree)
  })
  return tree
}

/**
 * @param {string} wheels
 * @param {string} draft
 */
async function unpack(wheels, draft) {
  say('unpacking')
  const { status, stderr } = await runProgram(PYTHON, [UNPACK, wheels, draft])
  if (status !== 0) {
    if (stderr.includes('No space left')) throw new Failure(fullDisk())
    const reason = stderr.trim().split('\n').at(-1) ?? ''
    throw new Failure(`${PYTHON} could not unpack the wheels; set PYTHON to another interpreter: ${reason}`)
  }
  for (const [link, target] of Object.entries(LINKS)) symlinkSync(target, path.join(draft, 'lib', link))
}

function hasGlibc() {
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport())
  return header.glibcVersionRuntime !== undefined
}
