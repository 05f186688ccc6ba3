import sharp from 'sharp'
import { flatJpeg, MARKER, segmentsOf } from './jpeg.mjs'
import { json } from './requests.mjs'
import { featuresOf } from './windows.mjs'

/** @typedef {import('../parts/cases.mjs').Case} Case */

/** @type {Case} */
async function askGrey({ client, choices, times, check }) {
  const fixed = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [200, 100, 50],
    [128, 128, 128],
  ]
  const colours = [...fixed, ...Array.from({ length: 20 * times }, () => [...choices.bytes(3)])]
  for (const [r = 0, g = 0, b = 0] of colours) {
    const image = sharp({ create: { width: 8, height: 8, channels: 3, background: { r, g, b } } })
    const right = 0.299 * r + 0.587 * g + 0.114 * b
    for (const body of [
      await image.clone().png().toBuffer(),
      await image.clone().webp({ lossless: true }).toBuffer(),
    ]) {
      const answer = await client.attempt({
        path: '/v1/models/grey/predict?include=features',
        headers: { 'content-type': 'image/png' },
        body,
      })
      const [grey = NaN] = featuresOf(answer) ?? []
      check(
        `grey of ${[r, g, b].join()}`,
        Math.abs(grey - right) <= 1,
        `${String(grey)} instead of ${right.toFixed(1)}`,
      )
    }
  }
}

/** @type {Case} */
async function askBase64({ client, choices, times, check }) {
  for (let time = 0; time < times; time += 1) {
    const { bytes } = {
      bytes: await sharp({
        create: { width: choices.between(20, 60), height: 40, channels: 3, background: '#395' },
      })
        .png()
        .toBuffer(),
    }
    const [length, end] = [choices.of([4, 60, 64, 76]), choices.of(['\n', '\r\n'])]
    const text = bytes.toString('base64').replaceAll(new RegExp(`.{${String(length)}}`, 'g'), `$&${end}`)
    for (const b64 of [text, `${end}${text}${end}`]) {
      const input = { name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [b64] }
      for (const request of [
        json('/v1/models/own/predict', { instances: [{ b64 }] }),
        json('/v1/models/own:predict', { instances: [{ b64 }] }),
        json('/v2/models/own/infer', { inputs: [input] }),
      ]) {
        const answer = await client.attempt(request)
        check(
          `line breaks in base64, ${request.path}`,
          answer.status === 200,
          `${String(answer.status)} ${answer.bytes.toString()}`,
        )
      }
    }
  }
}

/**
 * Photographs as phones write them are accepted; larger ones and those of 12 bits are rejected with the
 * reason. @type {Case}
 */
async function askSizes({ client, check }) {
  const predict = (/** @type {Buffer} */ body) =>
    client.attempt({ path: '/v1/models/own/predict', headers: { 'content-type': 'image/jpeg' }, body })
  const accepted = [
    { width: 8064, height: 6048, sampling: 2 },
    { width: 8192, height: 6144, sampling: 2 },
    { width: 6144, height: 8192 },
  ]
  for (const size of accepted) {
    const { status, bytes } = await predict(flatJpeg(size))
    check(`a JPEG of ${JSON.stringify(size)}`, status === 200, `${String(status)} ${bytes.toString()}`)
  }
  for (const side of [20_000, 65_000]) {
    const { status, bytes } = await predict(flatJpeg({ width: side, height: side, sampling: 2 }))
    const text = bytes.toString()
    const named = text.includes(String(side * side)) && text.includes('MAX_IMAGE_PIXELS')
    check(`a JPEG of ${String(side)}x${String(side)}`, status === 422 && named, `${String(status)} ${text}`)
  }
  const file = flatJpeg({ width: 100, height: 100 })
  const at = segmentsOf(file).find((start) => file[start + 1] === MARKER.sof0) ?? 0
  file[at + 1] = MARKER.sof1
  file[at + 4] = 12
  const { status, bytes } = await predict(file)
  check('a JPEG of 12 bits', status === 422 && /12.bit/.test(bytes.toString()), bytes.toString())
}

export const imageCases = { sizes: askSizes, grey: askGrey, base64: askBase64 }
