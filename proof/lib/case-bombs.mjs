import { emptyScan, manyScans } from './jpeg.mjs'
import { compressedChunk, png, pngChunk, repeatedByte } from './png.mjs'
import { SIDE } from './windows.mjs'

/** @typedef {import('../parts/cases.mjs').Case} Case */

const BOMB = { texts: 900, bytes: 7_900_000, scans: 2000, ownScans: 1_000_000, at_once: 4 }
const REFUSED_MS = 2000
const OTHERS_MS = 1000
const AT_ONCE_MS = 1000
const PROCESS_BYTES = 500e6

/** @param {number} count @param {number} size */
function textBomb(count, size) {
  const compressed = repeatedByte(size, 0x61)
  const texts = Array.from({ length: count }, (_, at) =>
    compressedChunk('zTXt', `k${String(at)}`, compressed),
  )
  const data = pngChunk('IDAT', repeatedByte(SIDE * (1 + 3 * SIDE), 0))
  return png({ width: SIDE, height: SIDE }, [...texts, data])
}

/** @param {import('./jpeg.mjs').JpegSize} size @param {number} count */
const scanBomb = (size, count) => manyScans(size, emptyScan(size), count)

/** @type {Case} */
async function askBombs({ client, choices, check, probe, peaks }) {
  const svg = Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg"><style>${'g '.repeat(4000)}{fill:red}</style>${'<g/>'.repeat(20_000)}</svg>`,
  )
  const jitter = () => choices.between(0, 50)
  /** @type {readonly (readonly [string, () => Buffer, number])[]} */
  const bombs = [
    ['a PNG of texts', () => textBomb(BOMB.texts + jitter(), BOMB.bytes), REFUSED_MS],
    [
      'a JPEG of scans',
      () => scanBomb({ width: 6000, height: 6000, sampling: 2 }, BOMB.scans + jitter()),
      REFUSED_MS,
    ],
    [
      "a JPEG of the model's size of scans",
      () => scanBomb({ width: SIDE, height: SIDE }, BOMB.ownScans + jitter()),
      REFUSED_MS,
    ],
    ['an SVG', () => svg, AT_ONCE_MS],
  ]
  for (const [name, make, ms] of bombs) {
    const { longest, failed } = await probe(async () => {
      await Promise.all(
        Array.from({ length: BOMB.at_once }, async () => {
          const body = make()
          const started = performance.now()
          const answer = await client.attempt({
            path: '/v1/models/own/predict',
            headers: { 'content-type': 'image/jpeg' },
            body,
          })
          const took = performance.now() - started
          const outcome = `${String(answer.status)} after ${took.toFixed(0)} ms ${answer.bytes.toString()}`
          check(`${name} is rejected`, answer.status === 422 && took < ms, outcome)
        }),
      )
    })
    check(
      `${name}: others`,
      failed === 0 && longest < OTHERS_MS,
      `${longest.toFixed(0)} ms, ${String(failed)} failed`,
    )
  }
  for (const [role, peak] of Object.entries(peaks()))
    check(`memory of the ${role}`, peak <= PROCESS_BYTES, `${(peak / 1e6).toFixed(0)} MB`)
}

export const bombCases = { bombs: askBombs }
