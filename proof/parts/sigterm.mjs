import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startService } from '../../bench/lib/service.mjs'
import { image, orphansOf, specificationOf } from '../lib/lifecycle.mjs'
import { report, shareOf } from '../lib/part.mjs'

/**
 * Ends the service by SIGTERM under load, 50 times, every second time the whole process group, as terminals
 * and some supervisors do. Clients keep their connections, send one prediction after another and reconnect
 * elsewhere when a response closes the connection. They do so for most of the drain delay. No request is
 * lost, cut off or rejected; the exit code is 0 and no process remains.
 */
const STOPS = shareOf(50)
const CLIENTS = 8
const DRAIN_DELAY_MS = 2000
const body = image()

const folder = await mkdtemp(join(tmpdir(), 'resinit-sigterm-'))
/** @type {string[]} */
const failures = []
let answered = 0
let stoppedAt = Infinity

/**
 * One prediction: its status or its error, and whether the response closes the connection.
 * @param {string} url
 * @param {Agent} agent
 * @returns {Promise<{ status?: number, code?: string, last: boolean }>}
 */
function predict(url, agent) {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/x-npy', 'content-length': body.length }
    const outgoing = request(`${url}/v1/models/net/predict`, { agent, method: 'POST', headers }, (answer) => {
      answer.resume()
      answer.once('close', () => {
        const whole = answer.complete ? { status: answer.statusCode ?? 0 } : { code: 'cut off' }
        resolve({ ...whole, last: answer.headers.connection === 'close' })
      })
    })
    outgoing.once('error', ({ message }) => {
      resolve({ code: message, last: false })
    })
    outgoing.end(body)
  })
}

/**
 * Sends predictions until a response closes the connection after most of the drain delay.
 * @param {string} url
 * @param {number} stop
 */
async function runClient(url, stop) {
  const leaves = () => performance.now() - stoppedAt > 0.7 * DRAIN_DELAY_MS
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (;;) {
    const { status, code, last } = await predict(url, agent)
    if (status === 200) answered += 1
    else failures.push(`stop ${String(stop)}: ${String(status ?? code)}`)
    if (status !== 200 || (last && leaves())) break
  }
  agent.destroy()
}

for (let stop = 0; stop < STOPS; stop += 1) {
  const service = await startService(folder, { DRAIN_DELAY_MS: String(DRAIN_DELAY_MS) })
  const made = await fetch(`${service.url}/v1/models/net`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(specificationOf(1)),
  })
  if (!made.ok) failures.push(`stop ${String(stop)}: no model: ${await made.text()}`)
  stoppedAt = Infinity
  const clients = Array.from({ length: CLIENTS }, () => runClient(service.url, stop))
  await pause(100 + Math.random() * 400)
  stoppedAt = performance.now()
  if (stop % 2 === 0) service.signal('SIGTERM')
  else service.signalGroup('SIGTERM')
  await pause(DRAIN_DELAY_MS / 4)
  const ready = await fetch(`${service.url}/readyz`, { headers: { connection: 'close' } }).catch(
    () => undefined,
  )
  if (ready?.status !== 503) failures.push(`stop ${String(stop)}: /readyz returned ${String(ready?.status)}`)
  await ready?.arrayBuffer()
  const how = await service.ended
  if (how !== 0) failures.push(`stop ${String(stop)}: exit status ${String(how)}`)
  await Promise.all(clients)
  const left = await orphansOf(service.pid, 0)
  if (left.length > 0) failures.push(`stop ${String(stop)}: processes remain: ${left.join()}`)
}
await rm(folder, { recursive: true })
report('sigterm', { count: STOPS, failures, found: { answered } })
