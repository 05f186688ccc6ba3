import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client } from './client.ts'
import type { Settings } from './service.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface ServiceProcess {
  readonly client: Client
  readonly pid: number
  /** Process ids of the children, by name, of those that run now. */
  readonly workers: ReadonlyMap<string, number>
  /** Signals the service and waits for its end: its exit code, or the signal that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
}

/** The compiled service as its users start it, on a free port; resolves when it says that it is ready. */
export async function startProcess(settings: Settings): Promise<ServiceProcess> {
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: ROOT,
    env: { ...process.env, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let errors = ''
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()))

  const workers = new Map<string, number>()
  let url = ''
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line) as { msg: string; worker?: string; pid: number }
      url = /^Server listening at (.*)$/.exec(entry.msg)?.[1] ?? url
      if (entry.msg === 'worker ready' && entry.worker !== undefined) workers.set(entry.worker, entry.pid)
      if (entry.msg === 'ready') resolve()
    })
    void ended.then(([code]) => {
      reject(new Error(`the service ended with ${String(code)} before it was ready: ${errors}`))
    })
  })
  return {
    client: new Client(url),
    pid: child.pid ?? 0,
    workers,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      const [code, by] = await ended
      return code ?? by
    },
  }
}

/** Whether a process is there. */
export function runs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
