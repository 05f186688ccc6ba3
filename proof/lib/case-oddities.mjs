import sharp from 'sharp'
import { MARKER, segment, segmentsOf } from './jpeg.mjs'
import { PNG_SIGNATURE, pngChunk, pngChunksOf } from './png.mjs'
import { form } from './requests.mjs'
import { featuresOf, SIDE } from './windows.mjs'

/** @typedef {import('../parts/cases.mjs').Case} Case */
/** @typedef {import('./choices.mjs').Choices} Choices */

/**
 * Files with harmless oddities have the same pixels as the file from which they were made.
 * @param {Choices} choices
 */
async function oddities(choices) {
  const pixels = choices.bytes(SIDE * SIDE * 3)
  const image = sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
  const bare = await image
    .clone()
    .jpeg({ quality: choices.between(60, 99) })
    .toBuffer()
  const jfif = segment(MARKER.app0, [...Buffer.from('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0])
  const jpeg = Buffer.concat([bare.subarray(0, 2), jfif, bare.subarray(2)])
  const whole = await image.clone().png().toBuffer()
  const starts = segmentsOf(jpeg)
  const [first = 2] = starts
  const sos = starts.at(-1) ?? 0
  const scanEnd = sos + 2 + jpeg.readUInt16BE(sos + 2)
  /** @param {(file: Buffer) => void} change */
  const changed = (change) => {
    const file = Buffer.from(jpeg)
    change(file)
    return file
  }
  /** @param {number} at @param {readonly Buffer[]} pieces */
  const inserted = (at, ...pieces) =>
    Buffer.concat([jpeg.subarray(0, at), ...pieces.flat(), jpeg.subarray(at)])
  const filling = () => Buffer.alloc(choices.between(1, 9), 0xff)
  const chunks = pngChunksOf(whole)
  /** @param {readonly Buffer[]} list */
  const pngOf = (...list) => Buffer.concat([PNG_SIGNATURE, ...list])
  const [header = Buffer.alloc(0), ...others] = chunks
  return [
    {
      sound: jpeg,
      odd: {
        'the last coefficient of the scan is 0': changed((file) => (file[scanEnd - 2] = 0)),
        'the approximation of the scan is not 0': changed(
          (file) => (file[scanEnd - 1] = choices.between(1, 256)),
        ),
        'JFIF 2.x': changed((file) => (file[first + 9] = choices.between(2, 9))),
        'JFIF with another unit': changed((file) => (file[first + 11] = choices.between(3, 256))),
        'fill bytes before a marker': inserted(choices.of(starts), filling()),
        'fill bytes before each marker': Buffer.concat([
          jpeg.subarray(0, 2),
          ...starts.flatMap((start, at) => [filling(), jpeg.subarray(start, starts[at + 1])]),
        ]),
        'bytes after its end': Buffer.concat([jpeg, choices.bytes(choices.between(1, 2000))]),
        'unknown application data': inserted(first, segment(choices.between(0xe3, 0xed), choices.bytes(99))),
        'an empty comment': inserted(choices.of(starts), segment(MARKER.com, [])),
        'tables twice': inserted(sos, jpeg.subarray(starts[1] ?? 2, starts[2])),
        'no JFIF': bare,
        'EXIF with an offset outside': inserted(
          first,
          segment(MARKER.app1, [...Buffer.from('Exif\0\0II*\0'), 0xff, 0xff, 0xff, 0x7f]),
        ),
      },
    },
    {
      sound: whole,
      odd: {
        'PNG with an unknown chunk': pngOf(header, pngChunk('prIv', choices.bytes(50)), ...others),
        'PNG with texts': pngOf(
          header,
          pngChunk('tEXt', 'Title\0x'),
          pngChunk('tIME', choices.bytes(7)),
          ...others,
        ),
        'PNG with bytes after its end': Buffer.concat([whole, choices.bytes(choices.between(1, 2000))]),
        'PNG with gamma': pngOf(header, pngChunk('gAMA', Buffer.from([0, 1, 0x86, 0xa0])), ...others),
      },
    },
  ]
}

/** @type {Case} */
async function askOddities({ client, choices, times, check }) {
  const typed = { 'content-type': 'image/jpeg' }
  const beside = await sharp(choices.bytes(48), { raw: { width: 4, height: 4, channels: 3 } })
    .png()
    .toBuffer()
  /** @type {Record<string, (body: Buffer) => import('./client.mjs').Request>} */
  const routes = {
    alone: (body) => ({ path: '/v1/models/own/predict?include=features', headers: typed, body }),
    'in a form': (body) =>
      form(
        '/v1/models/own/predict?include=features',
        [body, beside].map((bytes) => ({ name: 'images', bytes, type: 'image/jpeg' })),
      ),
    'to another size': (body) => ({
      path: '/v1/models/other/predict?include=features',
      headers: typed,
      body,
    }),
  }
  for (let time = 0; time < times; time += 1)
    for (const { sound, odd } of await oddities(choices))
      for (const [route, request] of Object.entries(routes)) {
        const expected = featuresOf(await client.attempt(request(sound)))
        for (const [name, file] of Object.entries(odd)) {
          const answer = await client.attempt(request(file))
          const features = featuresOf(answer)
          const same = expected?.every((value, at) => value === features?.[at]) === true
          const outcome = features === undefined ? answer.bytes.toString() : 'other pixels'
          check(`${name}, ${route}`, same, `${String(answer.status)} ${outcome}`)
        }
      }
}

export const oddityCases = { oddities: askOddities }
