import { Client } from './client.mjs'

/**
 * Asks /livez of the service its first argument names, without pause, from a process of its own, until it is told to stop:
 * then it prints how long answers took in ms, and the longest that this process itself was not run, which is the machine's
 * doing and no server's.
 */
const EVERY_MS = 10
const client = new Client(process.argv[2] ?? '')
/** @type {number[]} */
const times = []
let longestStall = 0
let failed = 0
const over = new AbortController()
process.once('SIGTERM', () => {
  over.abort()
})
let woken = performance.now()
const clock = setInterval(() => {
  const now = performance.now()
  longestStall = Math.max(longestStall, now - woken - EVERY_MS)
  woken = now
}, EVERY_MS)
console.log('ready')
while (!over.signal.aborted) {
  const start = performance.now()
  const { status } = await client.send({ path: '/livez' }).catch(() => ({ status: 0 }))
  times.push(performance.now() - start)
  if (status !== 200) failed += 1
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
}
clearInterval(clock)
client.close()
times.sort((a, b) => a - b)
console.log(
  JSON.stringify({
    asked: times.length,
    failed,
    longest: times.at(-1),
    p99: times[Math.floor(times.length * 0.99)],
    longestStall,
  }),
)
