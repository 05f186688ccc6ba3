import { Client } from './client.mjs'

/**
 * Asks the path that its second argument names of the service that its first argument names, without pause, from a process of
 * its own, until SIGTERM: then it prints how long answers took in ms, and the longest that this process itself was not run, which is the machine's
 * doing and no server's.
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
