import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startService } from '../../bench/lib/service.mjs'
import { orphansOf, specificationOf } from '../lib/lifecycle.mjs'
import { report, shareOf } from '../lib/part.mjs'

/**
 * Kills the service with its children at random moments of creates, names and deletes, and restarts it on the
 * same folder, 200 times. Every acknowledged change persists: a created model exists with its name, a deleted
 * one does not. Changes in flight may have happened or not. Every start succeeds.
 */
const KILLS = shareOf(200)
const CLIENTS = 4
const LONGEST_LIFE_MS = 700

const folder = await mkdtemp(join(tmpdir(), 'resinit-killed-'))
/** @type {string[]} */
const failures = []
/** Models that must exist: their seed by name. @type {Map<string, number>} */
const present = new Map()
/** Models that must not exist: their id by name. @type {Map<string, string>} */
const gone = new Map()
/** Ids by seed. @type {Map<number, string>} */
const ids = new Map()
const counts = { created: 0, deleted: 0, starts: 0 }
let seeds = 0

/**
 * Creates and deletes until the service ends, and records acknowledged changes.
 * @param {string} url
 */
async function change(url) {
  for (;;) {
    const seed = ++seeds
    const name = `model-${String(seed)}`
    const made = await send(`${url}/v1/models`, 'POST', { ...specificationOf(seed), name })
    if (made === undefined) return
    if (made.status !== 201) failures.push(`a create returned ${String(made.status)}: ${made.text}`)
    /** @type {{ id: string }} */
    const { id } = JSON.parse(made.text)
    ids.set(seed, id)
    present.set(name, seed)
    counts.created += 1
    if (Math.random() < 0.5) continue
    present.delete(name)
    const deleted = await send(`${url}/v1/models/${id}`, 'DELETE')
    if (deleted === undefined) return
    if (deleted.status !== 204) failures.push(`a delete returned ${String(deleted.status)}: ${deleted.text}`)
    gone.set(name, id)
    counts.deleted += 1
  }
}

/**
 * @param {string} url
 * @param {string} method
 * @param {object} [body]
 * @returns {Promise<{ status: number, text: string } | undefined>} Nothing where it was cut off.
 */
async function send(url, method, body) {
  try {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(url, { method, ...(body && { headers, body: JSON.stringify(body) }) })
    return { status: answer.status, text: await answer.text() }
  } catch {
    return undefined
  }
}

/** @param {string} url */
async function check(url) {
  /** @type {Map<string, string[]>} */
  const there = new Map()
  let cursor = ''
  do {
    const answer = await fetch(`${url}/v1/models?limit=1000${cursor && `&cursor=${cursor}`}`)
    /** @type {{ models: { id: string, names: string[] }[], next_cursor: string | null }} */
    const page = JSON.parse(await answer.text())
    for (const { id, names } of page.models) there.set(id, names)
    cursor = page.next_cursor ?? ''
  } while (cursor !== '')
  const named = new Set([...there.values()].flat())
  for (const [name, seed] of present)
    if (there.get(ids.get(seed) ?? '')?.includes(name) !== true)
      failures.push(`${name} was created and does not exist`)
  for (const [name, id] of gone)
    if (there.has(id) || named.has(name)) failures.push(`${name} was deleted and exists`)
}

for (let kill = 0; kill < KILLS; kill += 1) {
  const service = await startService(folder).catch((/** @type {unknown} */ error) => {
    failures.push(`start ${String(kill)}: ${String(error)}`)
  })
  if (!service) continue
  counts.starts += 1
  await check(service.url)
  const changing = Array.from({ length: CLIENTS }, () => change(service.url))
  // On a slow machine, wait until a change is in flight.
  const before = counts.created
  const until = performance.now() + 60_000
  while (counts.created === before && performance.now() < until) await pause(5)
  await pause(Math.random() * LONGEST_LIFE_MS)
  service.signalGroup('SIGKILL')
  await service.ended
  await Promise.all(changing)
  const left = await orphansOf(service.pid, 5000)
  if (left.length > 0) failures.push(`processes remain after kill ${String(kill)}: ${left.join()}`)
}
const last = await startService(folder)
await check(last.url)
last.signal('SIGTERM')
const code = await last.ended
if (code !== 0) failures.push(`exit status of the last stop: ${String(code)}`)
await rm(folder, { recursive: true })
report('killed-service', { count: KILLS, failures, found: counts })
