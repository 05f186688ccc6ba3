/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`)
}

/**
 * Reports a growing amount until stopped: one line rewritten on a terminal, occasional lines in a log.
 * @param {string} label
 * @param {number} total
 * @param {() => number} measure
 * @returns {() => void}
 */
export function watch(label, total, measure) {
  const terminal = process.stderr.isTTY
  const timer = setInterval(
    () => {
      const line = `${label}: ${megabytes(Math.min(measure(), total))} of ${megabytes(total)}`
      process.stderr.write(terminal ? `\r${line} ` : `${line}\n`)
    },
    terminal ? 500 : 10_000,
  )
  return () => {
    clearInterval(timer)
    if (terminal) process.stderr.write('\r\u001B[K')
  }
}

/** @param {number} bytes */
export const megabytes = (bytes) => `${String(Math.round(bytes / 1e6))} MB`
