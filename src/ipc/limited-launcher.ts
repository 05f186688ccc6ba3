import { existsSync, readFileSync } from 'node:fs'
import type { WorkerOptions } from './worker-options.ts'

const SHELL = '/bin/sh'
const MAPS = '/proc/self/maps'
/** Smaller mappings hold compiled code. */
const MIN_RESERVATION_BYTES = 2 ** 26

/**
 * Starts Node with limits by the kernel: the memory of the process without the code of its libraries, and no core
 * files. Without a shell there are no limits.
 */
export function createLimitedLauncher(
  memoryBytes: number,
  nodeFlags: readonly string[],
): NonNullable<WorkerOptions['launcher']> {
  if (!existsSync(SHELL)) return { execPath: process.execPath, execArgv: nodeFlags }
  const limitBytes = memoryBytes + readReservedCodeBytes()
  const script = `ulimit -c 0; ulimit -d ${String(Math.floor(limitBytes / 1024))}; exec "$0" "$@"`
  return { execPath: SHELL, execArgv: ['-c', script, process.execPath, ...nodeFlags] }
}

/**
 * Address space that V8 reserves for compiled code. Newer versions map all of it writable and executable, 512 MiB on
 * x86-64, so the kernel counts it as data although few pages of it are ever used. This process and the child run the
 * same binary and reserve the same size. 0 without /proc.
 */
function readReservedCodeBytes(): number {
  const maps = existsSync(MAPS) ? readFileSync(MAPS, 'latin1') : ''
  return [...maps.matchAll(/^([\da-f]+)-([\da-f]+) rwxp /gm)]
    .map(([, start = '', end = '']) => parseInt(end, 16) - parseInt(start, 16))
    .filter((bytes) => bytes >= MIN_RESERVATION_BYTES)
    .reduce((sum, bytes) => sum + bytes, 0)
}
