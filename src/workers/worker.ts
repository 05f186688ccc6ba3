import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Logger } from 'pino'
import { ServiceError } from '../errors.ts'
import { fromPlainError, type Answer, type Call, type Methods } from './messages.ts'

export interface WorkerOptions {
  readonly name: string
  /** The compiled module that runs in the child. */
  readonly entry: URL
  readonly env: Readonly<Record<string, string>>
  readonly logger: Logger
  /** Called once for every child that died unasked, before the next one starts; what it held is gone. */
  readonly onLost?: () => void
}

const STOP_GRACE_MS = 5000
const RESTART_DELAY_MS = { first: 100, most: 10_000 }
/** A child that lived this long was well; the next restart need not wait. */
const HEALTHY_MS = 60_000
/** After so many deaths in a row before it was ready, a first start is given up. */
const START_ATTEMPTS = 3

interface Pending {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * The parent half of a child process: calls with answers, and a new child whenever one dies. Calls a dead child left
 * unanswered are rejected with ENGINE_CRASHED; calls made while none is ready wait for the next.
 */
export class Worker<M extends Methods<M>, Info> {
  readonly #options: WorkerOptions
  readonly #pending = new Map<number, Pending>()
  #child: ChildProcess | undefined
  #ready: Promise<Info>
  #restarts = 0
  #failures = 0
  #calls = 0
  #answering = false
  #closing = false
  #restartTimer: NodeJS.Timeout | undefined
  #giveUpRestart: ((reason: ServiceError) => void) | undefined

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#ready = this.#start()
  }

  /** What the present child said of itself; rejects where none can be started. */
  get info(): Promise<Info> {
    return this.#ready
  }

  get restarts(): number {
    return this.#restarts
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Whether a child is there that answers calls now. */
  get ready(): boolean {
    return this.#answering && this.#child?.connected === true
  }

  call<K extends keyof M & string>(method: K, ...args: Parameters<M[K]>): ReturnType<M[K]> {
    return this.#call(method, args) as ReturnType<M[K]>
  }

  async #call(method: string, args: readonly unknown[]): Promise<unknown> {
    await this.#ready
    const child = this.#child
    if (this.#closing || child === undefined) throw shuttingDown()
    if (!child.connected) {
      // The channel closes a moment before the exit is known, and with that the next child.
      await once(child, 'exit')
      return this.#call(method, args)
    }
    const id = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      child.send({ id, method, args } satisfies Call, (error) => {
        if (error && this.#pending.delete(id)) reject(this.#lost(error))
      })
    })
  }

  /** Stops the child: by closing its channel, and by force after a grace period. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#restartTimer)
    this.#giveUpRestart?.(shuttingDown())
    const child = this.#child
    if (child?.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    if (child.connected) child.disconnect()
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
    await exited
    clearTimeout(timer)
  }

  #start(): Promise<Info> {
    const { entry, env, name, logger, onLost } = this.#options
    const started = Date.now()
    const child = fork(entry, [], {
      serialization: 'advanced',
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child = child
    const ready = new Promise<Info>((resolve, reject) => {
      child.on('message', (answer: Answer) => {
        if (answer.kind !== 'ready') {
          this.#settle(answer)
          return
        }
        this.#failures = 0
        this.#answering = true
        logger.info({ worker: name, pid: child.pid, ms: Date.now() - started }, 'worker ready')
        resolve(answer.info as Info)
      })
      child.once('error', reject)
      child.once('exit', (exitCode, signal) => {
        this.#answering = false
        const pending = [...this.#pending.values()]
        this.#pending.clear()
        for (const call of pending) call.reject(this.#lost())
        if (this.#closing) {
          reject(shuttingDown())
          return
        }
        logger.error({ worker: name, pid: child.pid, exitCode, signal }, 'worker died')
        onLost?.()
        if (Date.now() - started > HEALTHY_MS) this.#failures = 0
        this.#restart(resolve, reject)
      })
    })
    // Callers see the rejection when they ask; nobody asking is no fault.
    ready.catch(() => undefined)
    return ready
  }

  /** Starts the next child after a pause; whoever still waits for the dead one's readiness waits for the next's. */
  #restart(resolve: (info: Info | Promise<Info>) => void, reject: (error: Error) => void): void {
    this.#failures += 1
    this.#restarts += 1
    if (this.#failures > START_ATTEMPTS && this.#calls === 0) {
      const sentence = `the ${this.#options.name} cannot be started; run "npm run doctor"`
      reject(new ServiceError('ENGINE_UNAVAILABLE', sentence))
      return
    }
    const delay = Math.min(RESTART_DELAY_MS.most, RESTART_DELAY_MS.first * 2 ** (this.#failures - 1))
    this.#ready = new Promise<Info>((resolveNext, rejectNext) => {
      this.#giveUpRestart = rejectNext
      this.#restartTimer = setTimeout(() => {
        this.#start().then(resolveNext, rejectNext)
      }, delay)
    })
    this.#ready.catch(() => undefined)
    resolve(this.#ready)
  }

  #settle(answer: Exclude<Answer, { kind: 'ready' }>): void {
    const call = this.#pending.get(answer.id)
    if (call === undefined) return
    this.#pending.delete(answer.id)
    if (answer.kind === 'result') call.resolve(answer.result)
    else call.reject(fromPlainError(answer.error))
  }

  #lost(cause?: Error): ServiceError {
    return new ServiceError('ENGINE_CRASHED', `the ${this.#options.name} died while it computed this`, {
      cause,
    })
  }
}

function shuttingDown(): ServiceError {
  return new ServiceError('SHUTTING_DOWN', 'the service is shutting down')
}

/** The compiled module of a child, also where this file runs as TypeScript (Node forks no `.ts`). */
export function childEntry(path: string): URL {
  const root = new URL(import.meta.url.endsWith('.ts') ? '../../dist/' : '../', import.meta.url)
  return new URL(path, root)
}
