import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Failure, fullDisk } from './failure.mjs'
import { megabytes, say, watch } from './progress.mjs'
import { runProgram } from './subprocess.mjs'

/** @typedef {import('./pins.mjs').Release} Release */

export const PYTHON = process.env['PYTHON'] || 'python3'

export async function checkPip() {
  const pip = await runProgram(PYTHON, ['-m', 'pip', '--version'])
  if (pip.missing) {
    throw new Failure(
      `No Python at ${PYTHON}: install it (Debian: apt install python3 python3-pip) or set PYTHON to its path.`,
    )
  }
  if (pip.status !== 0) {
    throw new Failure(
      `${PYTHON} has no pip: install it (Debian: apt install python3-pip) or set PYTHON to another interpreter.`,
    )
  }
}

/**
 * Downloads the pinned wheels. Platform and Python version are explicit, so the result does not depend on the
 * Python that runs pip, and each wheel must have its pinned hash.
 * @param {Release} release
 * @param {string} directory
 * @returns {Promise<string>} The directory of the wheels.
 */
export async function downloadWheels(release, directory) {
  const wheels = path.join(directory, 'wheels')
  const temporary = path.join(directory, 'temporary')
  const requirements = path.join(directory, 'requirements.txt')
  mkdirSync(wheels)
  mkdirSync(temporary)
  const lines = release.wheels.map(
    ({ name, version, sha256 }) => `${name}==${version} --hash=sha256:${sha256}`,
  )
  writeFileSync(requirements, `${lines.join('\n')}\n`)
  const tags = new Set(release.wheels.map(({ platform }) => platform))
  const platforms = [...tags].flatMap((tag) => ['--platform', tag])
  const label = `libtensorflow ${release.version} (${release.flavour})`
  say(`${label}: downloading ${megabytes(release.download)}`)
  const stop = watch(label, release.download, () => sizeOf(wheels) + sizeOf(temporary))
  const outcome = await runProgram(
    PYTHON,
    [
      ...['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-input', '--no-cache-dir'],
      ...['--retries', '3', '--no-deps', '--require-hashes', '--only-binary=:all:'],
      ...['--python-version', release.python, ...platforms, '--dest', wheels, '--requirement', requirements],
    ],
    // pip downloads to its temporary directory first: here, it is observed and removed.
    { ...process.env, TMPDIR: temporary },
  )
  stop()
  if (outcome.status !== 0) throw new Failure(sentence(outcome.stderr))
  return wheels
}

/** @param {string} complaint */
function sentence(complaint) {
  if (/DO NOT MATCH THE HASHES|hash mismatch/i.test(complaint)) {
    return 'A downloaded wheel does not have the pinned hash and was discarded: try again; if this persists, check the package index or proxy of pip.'
  }
  if (/No space left/i.test(complaint)) return fullDisk()
  // pip skips an index without TLS and reports only that it found nothing.
  if (/Connection|not a trusted|timed? ?out|name resolution|ProxyError|SSLError|Retry\(/i.test(complaint)) {
    return 'The package index is unreachable: check the network, or configure another one for pip (PIP_INDEX_URL, HTTPS_PROXY).'
  }
  const absent = /No matching distribution found for (\S+)/.exec(complaint)?.[1]
  if (absent)
    return `The package index of pip does not have ${absent}: use one that mirrors PyPI (PIP_INDEX_URL).`
  return `pip could not download the pinned wheels; run the same download with pip to see the reason: ${complaint.trim().split('\n').at(-1) ?? ''}`
}

/**
 * @param {string} directory
 * @returns {number}
 */
function sizeOf(directory) {
  let bytes = 0
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    // pip may move a file during this scan.
    bytes += statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0
  }
  return bytes
}
