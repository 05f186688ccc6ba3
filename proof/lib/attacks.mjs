import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { COLOUR, png, pngChunk, repeatedByte } from './png.mjs'

/** @typedef {{ name: string, request: import('./client.mjs').Request, wanted: readonly number[] }} Attack */

const BYTES = 10_000_000
const SIDE = 30_000
const BOMB_BYTES = 1e9
/** Pause between two bytes of a client that never finishes. */
const DRIBBLE_MS = 500
const DRIBBLE_TIMES = 20

/** Attacks by single requests. @returns {Attack[]} */
export function attacksOf() {
  const predict = '/v1/models/net/predict'
  const infer = '/v2/models/net/infer'
  const verb = '/v1/models/net:predict'
  const json = { 'content-type': 'application/json' }
  const deep = '['.repeat(BYTES / 2) + ']'.repeat(BYTES / 2)
  /** @param {string} item */
  const many = (item) => `${`${item},`.repeat(BYTES / (item.length + 1))}${item}`
  const names = Array.from({ length: BYTES / 16 }, (_, index) => `"${String(index)}":1`).join()
  const bomb = gzipSync(Buffer.alloc(BOMB_BYTES, ' '))
  const zipped = { 'content-encoding': 'gzip' }
  /** @type {(name: string, path: string, headers: Record<string, string>, body: string | Buffer, wanted: number[]) => Attack} */
  const attack = (name, path, headers, body, wanted) => ({
    name,
    request: { path, headers, body: Buffer.from(body) },
    wanted,
  })
  return [
    attack('nested JSON', '/v1/plans', json, deep, [400]),
    attack('nested JSON within a specification', '/v1/models', json, `{"architecture":${deep}}`, [400]),
    attack('nested JSON without a content type', predict, {}, `{"instances":${deep}}`, [400]),
    attack('nested JSON for v2', infer, {}, deep, [400]),
    attack('nested JSON for TensorFlow Serving', verb, {}, `{"instances":${deep}}`, [400]),
    attack('millions of instances', predict, json, `{"instances":[${many('0')}]}`, [422]),
    attack('millions of instances for TensorFlow Serving', verb, {}, `{"instances":[${many('0')}]}`, [400]),
    attack('millions of tensors', infer, {}, `{"inputs":[${many('{}')}]}`, [400]),
    attack('a field with a long name', '/v1/plans', json, `{"${'x'.repeat(BYTES)}":1}`, [422]),
    attack('a preset with a long name', '/v1/plans', json, `{"architecture":"${'x'.repeat(BYTES)}"}`, [422]),
    attack('many unknown fields', '/v1/plans', json, `{"architecture":"resnet18",${names}}`, [400]),
    attack(
      'many stages',
      '/v1/plans',
      json,
      `{"architecture":{"stages":[${many('{"blocks":1,"filters":4}')}]}}`,
      [400],
    ),
    attack('a gzip bomb for v2', infer, zipped, bomb, [400]),
    attack('a gzip bomb for TensorFlow Serving', verb, zipped, bomb, [400]),
    attack('a gzip bomb on a route without gzip', '/v1/plans', { ...json, ...zipped }, bomb, [400, 415]),
    attack('a huge PNG', predict, { 'content-type': 'image/png' }, hugePng(), [422]),
  ]
}

/** A black PNG with one bit per pixel. */
function hugePng() {
  const rows = repeatedByte(SIDE * (1 + SIDE / 8), 0)
  return png({ width: SIDE, height: SIDE, depth: 1, colour: COLOUR.grey }, [pngChunk('IDAT', rows)])
}

/**
 * Connections that send a byte now and then and never finish, until the service closes them.
 * @param {string} url
 * @param {'head' | 'body'} where
 * @param {number} count
 * @returns How many it left open.
 */
export async function dribble(url, where, count) {
  const { hostname, port } = new URL(url)
  const head = `POST /v1/models/net/predict HTTP/1.1\r\nHost: ${hostname}\r\n`
  const start = where === 'head' ? head : `${head}Content-Type: image/png\r\nContent-Length: 100000\r\n\r\n`
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(Number(port), hostname)
      // The close of the service raises an error here.
      socket.on('error', () => undefined)
      socket.resume()
      socket.once('end', () => socket.destroy())
      await Promise.race([once(socket, 'connect'), once(socket, 'close')])
      socket.write(start)
      return socket
    }),
  )
  const open = () => sockets.filter(({ closed }) => !closed)
  for (let times = 0; times < DRIBBLE_TIMES * 4 && open().length > 0; times += 1) {
    for (const socket of open()) socket.write('x')
    await pause(DRIBBLE_MS)
  }
  const left = open()
  for (const socket of left) socket.destroy()
  return left.length
}

/** Routes that read bodies, each in its own way. */
const READERS = [
  ['/v1/plans', 'application/json'],
  ['/v1/models', 'multipart/form-data; boundary=x'],
  ['/v1/models/net/predict', 'image/png'],
  ['/v1/models/net/predict', 'multipart/form-data; boundary=x'],
  ['/v1/weights/statistics', 'application/octet-stream'],
  ['/v2/models/net/infer', 'application/json'],
  ['/v1/models/net:predict', 'application/json'],
]
const FRAMINGS = ['Transfer-Encoding: chunked', 'Content-Length: 60000000']

/**
 * Bodies that are announced and then missing or sent byte by byte, on every route while `ask` runs.
 * @param {string} url
 * @param {'silent' | 'slow'} pace
 * @param {number} count On each route.
 * @param {() => Promise<unknown>} ask
 */
export async function announce(url, pace, count, ask) {
  const { host, hostname, port } = new URL(url)
  const sockets = READERS.flatMap(([path = '', type = '']) =>
    Array.from({ length: count }, (_, index) => {
      const framing = FRAMINGS[index % FRAMINGS.length] ?? ''
      const socket = connect(Number(port), hostname)
      // The close of the service raises an error here.
      socket.on('error', () => undefined)
      socket.resume()
      socket.write(`POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: ${type}\r\n${framing}\r\n\r\n`)
      const byte = framing.startsWith('T') ? '1\r\n \r\n' : ' '
      return { socket, byte }
    }),
  )
  const timer = setInterval(() => {
    for (const { socket, byte } of sockets) if (pace === 'slow' && socket.writable) socket.write(byte)
  }, DRIBBLE_MS)
  try {
    await Promise.all(
      sockets.filter(({ socket }) => socket.connecting).map(({ socket }) => once(socket, 'connect')),
    )
    await ask()
  } finally {
    clearInterval(timer)
    for (const { socket } of sockets) socket.destroy()
  }
}
