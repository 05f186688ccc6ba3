import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { form, json, pixels, npy } from './requests.mjs'

/** @typedef {import('../parts/cases.mjs').Case} Case */

const SILENT = [4, 16, 32]
const SIZES = [1e6, 5e6, 20e6]
/** Longest wait of a client for a response. */
const PATIENCE_MS = 20_000

/** Valid bodies of all routes. */
const sound = json('/v1/plans', { architecture: 'resnet20' })

/**
 * Sends the head and the whole body before it reads, as urllib does.
 * @param {string} url @param {string} head @param {number} size
 * @returns {Promise<string>} The status line, or what went wrong.
 */
async function sendThenRead(url, head, size) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  // Each step below rejects with this error.
  socket.on('error', () => undefined)
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('no answer')))
  try {
    await once(socket, 'connect')
    socket.write(`${head}\r\nHost: ${hostname}:${port}\r\nContent-Length: ${String(size)}\r\n\r\n`)
    await promisify(socket.write.bind(socket))(Buffer.alloc(size, 0xff))
    for await (const bytes of socket) return String(bytes).split('\r\n', 1)[0] ?? ''
    return 'closed without a response'
  } catch (error) {
    return String(error)
  } finally {
    socket.destroy()
  }
}

/** @type {Case} */
async function askEarlyRefusals({ url, check }) {
  const paths = ['/v1/models/nope/predict', '/v1/nope', '/v2/models/nope/infer', '/v1/models/nope:predict']
  for (const size of SIZES)
    for (const path of paths)
      for (const version of ['1.1', '1.0']) {
        const head = `POST ${path} HTTP/${version}\r\nConnection: close\r\nContent-Type: image/jpeg`
        const response = await sendThenRead(url, head, size)
        check(
          `a rejected body of ${String(size)} bytes, ${path}, HTTP/${version}`,
          response.includes(' 404 '),
          response,
        )
      }
}

/** @type {Case} */
async function askSilentBodies({ client, url, check }) {
  const { hostname, port, host } = new URL(url)
  const silent = [
    '/v1/plans',
    '/v1/models/own/predict',
    '/v1/models/own:predict',
    '/v2/models/own/infer',
    '/v1/models',
  ]
  const shape = [1, 32, 32, 3]
  const predict = {
    path: '/v1/models/own/predict',
    headers: { 'content-type': 'application/x-npy' },
    body: npy(shape, Buffer.alloc(32 * 32 * 3, 7)),
  }
  for (const length of ['Transfer-Encoding: chunked', 'Content-Length: 60000000'])
    for (const count of SILENT) {
      const sockets = silent.flatMap((path) =>
        Array.from({ length: count }, () => {
          const socket = connect(Number(port), hostname)
          // The service may close the connection.
          socket.on('error', () => undefined)
          socket.write(
            `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n${length}\r\n\r\n`,
          )
          return socket
        }),
      )
      await pause(500)
      for (const request of [sound, predict]) {
        const { status, bytes } = await client.attempt(request)
        const name = `${request.path} beside ${String(sockets.length)} silent bodies, ${length}`
        check(name, status === 200, `${String(status)} ${bytes.toString()}`)
      }
      for (const socket of sockets) socket.destroy()
    }
}

/**
 * Requests that a page of another site can send without preflight, and requests of the service's own page.
 * @type {Case}
 */
async function askCrossSite({ client, url, check }) {
  const { port, host } = new URL(url)
  const image = { name: 'images', bytes: pixels(1), type: 'image/jpeg' }
  const requests = [
    { path: '/v2/repository/models/own/unload', headers: { 'content-type': 'text/plain' }, body: '{}' },
    form('/v1/models', [
      { name: 'spec', bytes: '{"architecture":"resnet20"}', type: 'application/json' },
      image,
    ]),
    { path: '/v1/models', headers: { 'content-type': 'text/plain' }, body: '{"architecture":"resnet20"}' },
    { path: '/v1/models' },
    { path: '/v1/models/own', method: 'DELETE' },
  ]
  /** @type {readonly Record<string, string>[]} */
  const foreign = [
    { origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { host: 'evil.example' },
    { host: `evil.example:${port}` },
    { host: `127.0.0.1.evil.example:${port}` },
    { host: `localhost.evil.example:${port}` },
    { host: `10.0.0.1:${port}` },
  ]
  for (const headers of foreign)
    for (const request of requests) {
      const answer = await client.attempt({ ...request, headers: { ...request.headers, ...headers } })
      const refused = answer.status >= 400 && answer.status < 500
      check(`${JSON.stringify(headers)} ${request.path}`, refused, String(answer.status))
    }
  /** @type {readonly Record<string, string>[]} */
  const own = [
    ...[`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, 'localhost', host].map((name) => ({
      host: name,
    })),
    ...[`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`].map((name) => ({
      ...{ host: name, origin: `http://${name}`, 'sec-fetch-site': 'same-origin' },
    })),
    { 'sec-fetch-site': 'none' },
  ]
  for (const headers of own) {
    const { status } = await client.attempt({ path: '/v1/models', headers })
    check(`${JSON.stringify(headers)} /v1/models`, status === 200, String(status))
  }
}

export const requestCases = {
  'early refusals': askEarlyRefusals,
  'silent bodies': askSilentBodies,
  'cross-site': askCrossSite,
}
