import { readdir, readFile } from 'node:fs/promises'
import { pidsOf } from '../../bench/lib/service.mjs'

/**
 * A process of the service: its role (`service`, `engine`, `analysis`, `engine 2`), its memory (RSS) in MB,
 * its open descriptors.
 * @typedef {{ role: string, pid: number, megabytes: number, descriptors: number }} Process
 */

/**
 * Current processes of the service, without the reader of weights files, which ends when it is idle.
 * @param {number} pid The service's own.
 * @returns {Promise<Process[]>}
 */
export async function processesOf(pid) {
  const all = await Promise.all((await pidsOf(pid)).map((one) => processOf(one).catch(() => undefined)))
  const processes = all.flatMap((one) => (one === undefined || one.role === 'weights' ? [] : [one]))
  return processes.map((process, at) => {
    const before = processes.slice(0, at).filter(({ role }) => role === process.role).length
    return before === 0 ? process : { ...process, role: `${process.role} ${String(before + 1)}` }
  })
}

/** @param {number} pid @returns {Promise<Process>} */
async function processOf(pid) {
  const folder = `/proc/${String(pid)}`
  const [command, status, descriptors] = await Promise.all([
    readFile(`${folder}/cmdline`, 'utf8'),
    readFile(`${folder}/status`, 'utf8'),
    readdir(`${folder}/fd`),
  ])
  const kibibytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1])
  return { role: roleOf(command), pid, megabytes: (kibibytes * 1024) / 1e6, descriptors: descriptors.length }
}

/** The role of a process, from its command line. @param {string} command */
export function roleOf(command) {
  const children = /** @type {const} */ (['engine', 'analysis', 'images', 'weights'])
  return children.find((folder) => command.includes(`/${folder}/`)) ?? 'service'
}
