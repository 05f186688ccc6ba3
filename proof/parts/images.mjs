import { setTimeout as pause } from 'node:timers/promises'
import { Choices } from '../lib/choices.mjs'
import { HostileClients } from '../lib/hostile-clients.mjs'
import { hostileImages, soundImages } from '../lib/hostile-images.mjs'
import { imageRoutes, modelOf, MODELS } from '../lib/image-routes.mjs'
import { flatJpeg } from '../lib/jpeg.mjs'
import { NormalClients, normalRequests } from '../lib/normal-clients.mjs'
import { progress, runProof } from '../lib/part.mjs'
import { startProber } from '../lib/probing.mjs'
import { processesOf } from '../lib/processes.mjs'
import { withLimitedService } from '../lib/service.mjs'

/**
 * 500 hostile images of 50 kinds, each on several routes, beside eight normal clients, against a service with
 * a memory limit of 2 GB. The kernel kills no process, the engine does not restart, no normal request fails,
 * each image gets the same verdict on every route, GET /v1/models responds within a second, and memory
 * returns to its earlier level. At the end the service is stopped while it decodes.
 */
const IMAGES = 500
const AT_ONCE = 6
const LIMIT_BYTES = 2e9
const LIST_MS = 1000
/** Pause after a valid image of each kind was sent on each route. */
const WARM_UP_MS = 20_000
/** Allowed growth of the memory afterwards, and the time for it to return. */
const GROWTH = 0.1
const SETTLE_MS = 60_000
/** Well above a decoder's time limit, well below the time of the slowest image without it. */
const STOP_MS = 15_000

const models = Object.fromEntries(Object.entries(MODELS).map(([name, shape]) => [name, modelOf(shape)]))

await runProof('images', (share) =>
  withLimitedService(LIMIT_BYTES, models, async ({ service, client, limit, memory }) => {
    const { url, pid } = service
    const sound = await soundImages()
    const kinds = hostileImages(sound)
    const routes = imageRoutes(sound.jpeg)
    const hostile = new HostileClients(client, kinds, routes)
    const normal = new NormalClients(url, await normalRequests(sound))
    const images = Math.max(kinds.length, Math.round(IMAGES * share))

    const over = new AbortController()
    const running = normal.run(over.signal)
    const warm = await warmUp(routes, sound)
    await pause(WARM_UP_MS * share)
    const before = { bytes: await limit.bytesOf(pid), processes: await processesOf(pid) }
    const quiet = normal.times.splice(0)
    const stopProber = await startProber(url, '/v1/models')
    progress(`${String(images)} images of ${String(kinds.length)} kinds; memory limit by ${limit.how}`)
    await hostile.send(images, AT_ONCE)
    const list = await stopProber()
    over.abort()
    await running
    normal.close()
    const after = await settle(before.bytes)
    const processes = await processesOf(pid)
    await memory.stop()
    const kills = await limit.kills()
    const [slow] = kinds
    const stop = await stopWhile(() => {
      const choices = new Choices(0)
      for (const { request } of routes.slice(0, 4))
        if (slow) void client.attempt(request(slow.make(choices), choices))
    })

    const { together, each } = memory.peaks
    const failures = [
      ...warm,
      ...normal.failures,
      ...hostile.failures,
      ...before.processes
        // The service itself may kill decoders, for their time or their memory.
        .filter(
          ({ role, pid: old }) => !role.startsWith('images') && !processes.some((one) => one.pid === old),
        )
        .map(({ role }) => `the ${role} was restarted`),
    ]
    /** @type {(right: boolean, text: string) => void} */
    const check = (right, text) => {
      if (!right) failures.push(text)
    }
    const { statuses } = hostile
    const answers = Object.values(statuses).reduce((sum, one) => sum + one, 0)
    const busy = (statuses[429] ?? 0) + (statuses[503] ?? 0)
    check(
      busy <= answers / 2,
      `of ${String(answers)} hostile requests ${String(busy)} were rejected as overload`,
    )
    check(kills === 0, `the kernel killed ${String(kills)} processes`)
    check(together <= LIMIT_BYTES, `memory reached ${String(megabytes(together))} MB`)
    check(
      after <= before.bytes * (1 + GROWTH),
      `memory was ${String(megabytes(before.bytes))} MB and stays at ${String(megabytes(after))} MB`,
    )
    check(list.failed === 0, `GET /v1/models failed ${String(list.failed)} times`)
    // The machine's stalls of the prober do not count.
    check(list.longest - list.longestStall <= LIST_MS, `GET /v1/models took ${list.longest.toFixed(0)} ms`)
    check(stop.how === 0, `SIGTERM during decoding: exit status ${String(stop.how)}`)
    const found = {
      ...{ images, kinds: kinds.length, statuses, limit: limit.how },
      megabytes: { before: megabytes(before.bytes), after: megabytes(after), peak: megabytes(together) },
      processes: Object.fromEntries(
        before.processes.map(({ role, megabytes: held }, at) => [
          role,
          [held, processes[at]?.megabytes ?? 0].map(Math.round),
        ]),
      ),
      peaks: Object.fromEntries(Object.entries(each).map(([role, bytes]) => [role, megabytes(bytes)])),
      list_ms: { longest: Math.round(list.longest), machine: Math.round(list.longestStall) },
      normal: { answers: normal.times.length, p99_ms: { quiet: p99(quiet), attacked: p99(normal.times) } },
      longest: { ms: Math.round(hostile.longest.ms), image: hostile.longest.image },
      stop_ms: Math.round(stop.ms),
    }
    return { count: answers + quiet.length + normal.times.length, failures, found }

    /**
     * Sends valid images on every route, and one of 50 megapixels, to trigger one-time allocations. Returns
     * rejections.
     * @param {readonly import('../lib/image-routes.mjs').Route[]} routes @param {Record<string, Buffer>}
     * sound
     */
    async function warmUp(routes, sound) {
      const refused = []
      const large = flatJpeg({ width: 8192, height: 6144, sampling: 2 })
      for (const image of [...Object.values(sound), large])
        for (const { name, request } of routes) {
          const { status, bytes } = await client.attempt(request(image, new Choices(0)))
          if (status !== 200)
            refused.push(`a valid image, ${name}: ${String(status)} ${bytes.toString().slice(0, 200)}`)
        }
      return refused
    }

    /** Returns the memory once it is within the allowed growth, or after a while. @param {number} before */
    async function settle(before) {
      const until = performance.now() + SETTLE_MS
      for (;;) {
        const bytes = await limit.bytesOf(pid)
        if (bytes <= before * (1 + GROWTH) || performance.now() > until) return bytes
        await pause(500)
      }
    }

    /** Ends the service by SIGTERM after `begin` has started work. @param {() => void} begin */
    async function stopWhile(begin) {
      begin()
      await pause(200)
      const started = performance.now()
      service.signal('SIGTERM')
      const how = await Promise.race([service.ended, pause(STOP_MS, 'not in time')])
      return { how, ms: performance.now() - started }
    }
  }),
)

/** @param {number} bytes */
function megabytes(bytes) {
  return Math.round(bytes / 1e6)
}

/** In ms. @param {readonly number[]} times */
function p99(times) {
  return Math.round(times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0)
}
