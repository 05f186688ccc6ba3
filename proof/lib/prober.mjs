import { Client } from './client.mjs'

/**
 * Requests a path (second argument) of a service (first argument) continuously from its own process, until
 * SIGTERM. Then it prints the response times in ms and the longest time for which the machine did not run
 * this process.
 */
const EVERY_MS = 10
const [, , url = '', path = ''] = process.argv
const client = new Client(url)
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
  const { status } = await client.send({ path }).catch(() => ({ status: 0 }))
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
