import { readdir, readFile } from 'node:fs/promises'

/**
 * A process of the service: which of them, the memory that only it holds and shares (RSS) in MB, its open descriptors.
 * @typedef {{ role: 'service' | 'engine' | 'analysis', pid: number, megabytes: number, descriptors: number }} Process
 */

/**
 * The service's processes as they are now.
 * @param {number} pid The service's own.
 * @returns {Promise<Process[]>}
 */
export async function processesOf(pid) {
  const children = await readFile(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
  const pids = [pid, ...children.split(' ').filter(Boolean).map(Number)]
  return Promise.all(pids.map(processOf))
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
  const role = command.includes('/engine/')
    ? 'engine'
    : command.includes('/analysis/')
      ? 'analysis'
      : 'service'
  return { role, pid, megabytes: (kibibytes * 1024) / 1e6, descriptors: descriptors.length }
}
