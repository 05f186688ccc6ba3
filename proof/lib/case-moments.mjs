/** @typedef {import('../parts/cases.mjs').Case} Case */

/** Tolerances: one hundredth for standardized moments, one millionth for the variance. */
const TOLERANCE = { variance: 1e-6, standardized: 1e-2 }
/** Below it a standardized moment is rounding error. */
const NOTHING = 1e-5

/** One tensor as safetensors. @param {Float32Array} values */
function safetensors(values) {
  const about = { w: { dtype: 'F32', shape: [values.length], data_offsets: [0, values.byteLength] } }
  const head = Buffer.from(JSON.stringify(about))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(head.length))
  return Buffer.concat([length, head, Buffer.from(values.buffer)])
}

/** Moments about the mean, in two passes. @param {Float32Array} values */
function momentsOf(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const about = (/** @type {number} */ power) =>
    values.reduce((sum, value) => sum + (value - mean) ** power, 0) / values.length
  const variance = about(2)
  return { variance, skewness: about(3) / variance ** 1.5, kurtosis: about(4) / variance ** 2 - 3 }
}

/** @param {import('./client.mjs').Answer} answer @returns {Record<string, number> | undefined} */
function sampleOf({ status, bytes }) {
  if (status !== 200) return undefined
  /** @type {{ parameters: { sample: Record<string, number> }[] }} */
  const { parameters } = JSON.parse(bytes.toString())
  return parameters[0]?.sample
}

/** @type {Case} */
async function askMoments({ client, choices, times, check }) {
  const normal = () => Math.sqrt(-2 * Math.log(1 - choices.unit())) * Math.cos(2 * Math.PI * choices.unit())
  const laws = [
    [1, 1e-3, 2048],
    [1, 1e-4, 2048],
    [1e4, 1, 200_000],
    [1e6, 1, 200_000],
    ...Array.from({ length: 4 * times }, () => {
      const mean = choices.of([-1, 1]) * 10 ** choices.between(-2, 7)
      return [mean, Math.abs(mean) * 10 ** -choices.between(0, 6), choices.between(100, 50_000)]
    }),
  ]
  for (const [mean = 0, std = 1, length = 0] of laws) {
    const values = Float32Array.from({ length }, () => mean + std * normal())
    const headers = { 'content-type': 'application/octet-stream' }
    const answer = await client.attempt({
      path: '/v1/weights/statistics',
      headers,
      body: safetensors(values),
    })
    const sample = sampleOf(answer)
    for (const [name, right] of Object.entries(momentsOf(values))) {
      const relative = name === 'variance' ? TOLERANCE.variance : TOLERANCE.standardized
      const allowed = relative * Math.abs(right) + (name === 'variance' ? 0 : NOTHING)
      const close = Math.abs((sample?.[name] ?? NaN) - right) <= allowed
      check(
        `${name} of ${String(length)} values ${String(mean)} +- ${String(std)}`,
        close,
        `${String(sample?.[name])} instead of ${String(right)}`,
      )
    }
  }
}

export const momentCases = { moments: askMoments }
