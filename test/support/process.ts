import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client } from './client.ts'
import type { Settings } from './service.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

type LogEntry = Readonly<Record<string, unknown>> & { readonly msg: string }

export interface ServiceProcess {
  readonly client: Client
  readonly pid: number
  /** Process ids of the current children, by name. */
  readonly workers: ReadonlyMap<string, number>
  /** Its log so far, line by line. */
  readonly log: readonly LogEntry[]
  /** All output of the service and its children so far. */
  output(): string
  /** Signals the service and waits for its end. Returns its exit code or the signal that ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
  /** The same for every process of its group. */
  stopGroup(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
}

/**
 * Starts the compiled service on a free port and resolves when it is ready. Its process group can be
 * signalled only if it has its own session.
 */
export async function startProcess(
  settings: Settings,
  { command = [process.execPath, 'dist/main.js'], cwd = ROOT, ownSession = false } = {},
): Promise<ServiceProcess> {
  const [program = '', ...words] = command
  const child = spawn(program, words, {
    cwd,
    detached: ownSession,
    env: {
      ...process.env,
      ...{ HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DRAIN_DELAY_MS: '0' },
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { pid } = child
  if (pid === undefined) throw new Error('the service cannot be started')
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const written: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => written.push(text))
  const output = (): string => Buffer.concat(written).toString()

  const log: LogEntry[] = []
  const workers = new Map<string, number>()
  let url = ''
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line) as LogEntry & { readonly worker?: string; readonly pid: number }
      log.push(entry)
      url = /^Server listening at (.*)$/.exec(entry.msg)?.[1] ?? url
      if (entry.msg === 'worker ready' && entry.worker !== undefined) workers.set(entry.worker, entry.pid)
      if (entry.msg === 'ready') resolve()
    })
    void ended.then(([code]) => {
      reject(new Error(`the service ended with ${String(code)} before it was ready: ${output()}`))
    })
  })
  const end = async (): Promise<number | NodeJS.Signals | null> => {
    const [code, by] = await ended
    return code ?? by
  }
  return {
    client: new Client(url),
    pid,
    workers,
    log,
    output,
    stop: (signal = 'SIGTERM') => {
      child.kill(signal)
      return end()
    },
    stopGroup: (signal) => {
      process.kill(-pid, signal)
      return end()
    },
  }
}

/** Process ids of all decoders so far, in order of their start. */
export function decodersOf({ log }: ServiceProcess): number[] {
  const ready = log.filter((entry) => entry['worker'] === 'decoder' && entry.msg === 'worker ready')
  return ready.map((entry) => Number(entry['pid']))
}

/** Whether a process exists. */
export function runs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
