import { fork, type ChildProcess } from 'node:child_process'
import type { Logger } from 'pino'
import { raceAbort, type CallOptions, type Progress } from '../common/cancellation.ts'
import { isCrash, ServiceError } from '../common/errors.ts'
import { fromPlainError, type Answer, type Methods, type PlainError, type Request } from './messages.ts'
import { isStopped, Watchdog } from './watchdog.ts'

export interface WorkerOptions {
  readonly name: string
  /** The compiled module that runs in the child. */
  readonly entry: URL
  readonly env: Readonly<Record<string, string>>
  readonly logger: Logger
  /** What starts the child: Node, unless another program starts Node. It is given the entry as its last argument. */
  readonly launcher?: { readonly execPath: string; readonly execArgv: readonly string[] }
  /** A file of the caller's that every child finds open as INHERITED_FD. */
  readonly inherits?: number | undefined
  /** A file of the caller's that takes what children write to stderr. */
  readonly stderr?: number | undefined
  /** Calls are pure: one that its child died over is asked once more. */
  readonly again?: boolean
  /** A child keeps nothing between calls: it is killed instead of asked to stop, and replaced without a pause. */
  readonly disposable?: boolean
  /**
   * A child that is asked and says nothing for longer is killed. While it computes it reads no message, so there is
   * nothing else to judge it by than the time since its last word, or since it was first asked. One without a call is
   * pinged.
   */
  readonly timeoutMs?: number
  /** A child that is not ready so long after its start is killed. */
  readonly startTimeoutMs?: number
  /** Called once for every child that died unasked, before the next one starts; what it held is gone. */
  readonly onLost?: () => void
}

const STOP_GRACE_MS = 5000
/** Libraries of hundreds of MB, from a cold disk. */
const START_TIMEOUT_MS = 120_000
/** A child that the system has stopped for so long is killed, whatever it was asked: no step of a call takes this time. */
const STOPPED_TIMEOUT_MS = 15_000
/** The pause doubles with every death that comes early; a child that starts well is worth a second. */
const RESTART_DELAY_MS = { first: 100, most: 10_000, mostWhereItStarts: 1000 }
/** A child that lived this long did not die early. */
const STEADY_MS = 10_000
/** After so many deaths in a row before it was ready, nobody is kept waiting, and a first start is given up. */
const START_ATTEMPTS = 3

interface Pending<R> {
  readonly resolve: (result: R) => void
  readonly reject: (error: Error) => void
}

interface PendingCall extends Pending<unknown> {
  readonly progress: ((progress: Progress) => void) | undefined
  /** Its caller has left, and the child may still be at work for it. */
  cancelled: boolean
}

/**
 * The parent half of a child process: calls with answers, and a new child whenever one dies. Calls a dead child left
 * unanswered are rejected with ENGINE_CRASHED. Calls made while none is ready wait for the next, or are rejected with
 * ENGINE_UNAVAILABLE where none comes.
 */
export class Worker<M extends Methods<M>, Info> {
  readonly #options: WorkerOptions
  readonly #pending = new Map<number, PendingCall>()
  /** Who waits for a child that answers. */
  readonly #waiting = new Set<Pending<void>>()
  #child: ChildProcess | undefined
  /** One that could not be told something: it is gone, though its exit has not been heard of yet. */
  #unreachable: ChildProcess | undefined
  /** One that was killed by `replace`. */
  #replaced: ChildProcess | undefined
  /** What the last child that was ready said of itself. */
  #said: { readonly info: Info } | undefined
  #restarts = 0
  #failures = 0
  #earlyDeaths = 0
  #started = 0
  /** Bites where the child is silent, and where it is stopped. */
  #watchdogs: Watchdog[] = []
  /** A ping is on its way, and not answered. */
  #pinged = false
  #stopped = false
  /** Why the last child did not start, where it could say so. */
  #failure: PlainError | undefined
  /** Why the last child was killed. */
  #killed: string | undefined
  #calls = 0
  #answering = false
  #closing = false
  #restartTimer: NodeJS.Timeout | undefined

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#start()
  }

  /** What a child said of itself; rejects where none can be started. */
  async info(): Promise<Info> {
    if (this.#said === undefined) await this.#whenReady()
    return (this.#said as { readonly info: Info }).info
  }

  get restarts(): number {
    return this.#restarts
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Whether a child is there that answers calls now. */
  get ready(): boolean {
    return this.#reachable && !this.#stopped
  }

  /** One that is stopped takes messages all the same. */
  get #reachable(): boolean {
    return this.#answering && this.#child?.connected === true && this.#child !== this.#unreachable
  }

  call<K extends keyof M & string>(method: K, ...args: Parameters<M[K]>): ReturnType<M[K]> {
    return this.watched({}, method, ...args)
  }

  /** A call whose progress is told, and which can be ended: the child sees it between its steps. */
  watched<K extends keyof M & string>(
    control: CallOptions,
    method: K,
    ...args: Parameters<M[K]>
  ): ReturnType<M[K]> {
    const answer = this.#ask(control, method, args).catch((error: unknown) => {
      if (this.#options.again === true && isCrash(error)) return this.#ask(control, method, args)
      throw error
    })
    return answer as ReturnType<M[K]>
  }

  async #ask({ signal, progress }: CallOptions, method: string, args: readonly unknown[]): Promise<unknown> {
    await raceAbort(this.#whenReady(), signal)
    const id = ++this.#calls
    const answer = new Promise((resolve, reject) => {
      if (!this.#owesWord) this.#heard()
      this.#pending.set(id, { resolve, reject, progress, cancelled: false })
      const child = this.#child
      child?.send({ kind: 'call', id, method, args } satisfies Request, (error) => {
        if (!error) return
        this.#unreachable = child
        if (this.#pending.delete(id)) reject(this.#lost(error))
      })
    })
    try {
      return await raceAbort(answer, signal)
    } finally {
      // One that is still waited for was left: a child that has just gone needs not hear of it.
      const call = this.#pending.get(id)
      if (call !== undefined) {
        call.cancelled = true
        this.#send({ kind: 'cancel', id })
      }
    }
  }

  #send(request: Request): void {
    this.#child?.send(request, () => undefined)
  }

  /** Kills the child. What it was asked is rejected as after any death, and the next child starts at once. */
  replace(why: string): void {
    const child = this.#child
    if (child === undefined || child === this.#replaced) return
    this.#replaced = child
    this.#options.logger.warn({ worker: this.#options.name, pid: child.pid, why }, 'worker is replaced')
    child.kill('SIGKILL')
  }

  /** Stops the child: by closing its channel, and by force after a grace period. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#restartTimer)
    this.#unwatch()
    this.#settleWaiting(({ reject }) => {
      reject(shuttingDown())
    })
    const child = this.#child
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => {
        resolve()
      })
    })
    if (this.#options.disposable === true) child.kill('SIGKILL')
    else if (child.connected) child.disconnect()
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
    await exited
    clearTimeout(timer)
  }

  #start(): void {
    const { entry, env, name, logger, launcher, inherits = 'ignore', stderr = 'inherit' } = this.#options
    const started = Date.now()
    this.#started = started
    const child = fork(entry, [], {
      ...(launcher && { execPath: launcher.execPath }),
      execArgv: [
        ...(launcher?.execArgv ?? process.execArgv),
        '--import',
        childEntry('ipc/process-signals.js').href,
      ],
      serialization: 'advanced',
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', stderr, 'ipc', inherits],
    })
    this.#child = child
    this.#killed = undefined
    this.#watch(child)
    child.on('message', (answer: Answer) => {
      this.#heard()
      if (answer.kind === 'failed') {
        this.#failure = answer.error
        logger.error({ worker: name, pid: child.pid, err: answer.error.detail }, 'worker cannot start')
        return
      }
      if (answer.kind !== 'ready') {
        this.#settle(answer)
        return
      }
      this.#failures = 0
      this.#failure = undefined
      this.#answering = true
      this.#watch(child)
      this.#said = { info: answer.info as Info }
      logger.info({ worker: name, pid: child.pid, ms: Date.now() - started }, 'worker ready')
      this.#settleWaiting(({ resolve }) => {
        resolve()
      })
    })
    child.on('error', (error) => {
      // One that was never there does not exit.
      if (child.pid === undefined) this.#died({ err: error })
      // A channel that is closed in the middle of a message says so when its child goes.
      else if (!this.#closing) logger.error({ worker: name, pid: child.pid, err: error }, 'worker trouble')
    })
    child.once('exit', (exitCode, signal) => {
      this.#died({ pid: child.pid, exitCode, signal })
    })
  }

  /** Its start, and once it is ready its answers; and all the time whether the system has stopped it. */
  #watch(child: ChildProcess): void {
    const { timeoutMs, startTimeoutMs = START_TIMEOUT_MS, name, logger } = this.#options
    const kill = (why: string, ms: number) => () => {
      this.#killed = `${why} for ${String(Math.ceil(ms / 1000))} s`
      logger.error({ worker: name, pid: child.pid, ms }, `worker ${why} and is killed`)
      child.kill('SIGKILL')
    }
    const ready = this.#answering
    const limitMs = ready ? timeoutMs : startTimeoutMs
    this.#unwatch()
    this.#watchdogs = [
      new Watchdog({
        limitMs: STOPPED_TIMEOUT_MS,
        isWaiting: () => {
          this.#stopped = isStopped(child.pid)
          return this.#stopped
        },
        onTimeout: kill('was stopped', STOPPED_TIMEOUT_MS),
      }),
    ]
    if (limitMs === undefined) return
    this.#watchdogs.push(
      new Watchdog({
        limitMs,
        isWaiting: () => !ready || this.#owesWord,
        idle: () => {
          this.#pinged = true
          this.#send({ kind: 'ping' })
        },
        onTimeout: kill('was silent', limitMs),
      }),
    )
  }

  #unwatch(): void {
    for (const watchdog of this.#watchdogs.splice(0)) watchdog.close()
    this.#pinged = false
    this.#stopped = false
  }

  /** The next child comes after a pause; whoever waits for one waits for that, unless several have died in a row. */
  #died(how: object): void {
    const { name, logger, onLost } = this.#options
    const started = this.#answering
    this.#answering = false
    this.#unwatch()
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const call of pending) call.reject(this.#lost())
    if (this.#closing) return
    const replaced = this.#child === this.#replaced
    if (!replaced) logger.error({ worker: name, ...how }, 'worker died')
    onLost?.()
    this.#failures += 1
    this.#restarts += 1
    if (this.#failures >= START_ATTEMPTS) {
      this.#settleWaiting(({ reject }) => {
        reject(this.#unavailable())
      })
      if (this.#said === undefined) return
    }
    this.#earlyDeaths = Date.now() - this.#started < STEADY_MS ? this.#earlyDeaths + 1 : 1
    const most = started ? RESTART_DELAY_MS.mostWhereItStarts : RESTART_DELAY_MS.most
    const delay =
      started && this.#options.disposable === true
        ? 0
        : Math.min(most, RESTART_DELAY_MS.first * 2 ** (this.#earlyDeaths - 1))
    logger.info({ worker: name, ms: delay }, 'worker is started again after a pause')
    this.#restartTimer = setTimeout(() => {
      this.#start()
    }, delay)
  }

  /** Whether the child is to say something, be it that it has stopped working for a caller who left. */
  get #owesWord(): boolean {
    return this.#pinged || this.#pending.size > 0
  }

  #heard(): void {
    this.#pinged = false
    for (const watchdog of this.#watchdogs) watchdog.heard()
  }

  #whenReady(): Promise<void> {
    if (this.#closing) return Promise.reject(shuttingDown())
    if (this.#reachable) return Promise.resolve()
    if (this.#failures >= START_ATTEMPTS) return Promise.reject(this.#unavailable())
    return new Promise((resolve, reject) => {
      this.#waiting.add({ resolve, reject })
    })
  }

  #settleWaiting(settle: (one: Pending<void>) => void): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    waiting.forEach(settle)
  }

  #settle(answer: Exclude<Answer, { kind: 'ready' | 'failed' }>): void {
    if (answer.kind === 'alive') return
    const call = this.#pending.get(answer.id)
    if (call === undefined) return
    if (answer.kind === 'progress') {
      if (!call.cancelled) call.progress?.(answer.progress)
      return
    }
    this.#pending.delete(answer.id)
    if (answer.kind === 'result') call.resolve(answer.result)
    else call.reject(fromPlainError(answer.error))
  }

  #lost(cause?: Error): ServiceError {
    const end = this.#killed === undefined ? 'died' : `${this.#killed} and was killed`
    const sentence = `the ${this.#options.name} ${end} while it computed this`
    return new ServiceError('ENGINE_CRASHED', sentence, { cause })
  }

  #unavailable(): ServiceError {
    // What is no fault of ours is said; the rest is for the log.
    const why = this.#failure?.code === 'INTERNAL' ? undefined : this.#failure?.detail
    const sentence = `the ${this.#options.name} cannot be started${why === undefined ? '; run "npm run doctor"' : `: ${why}`}`
    return new ServiceError('ENGINE_UNAVAILABLE', sentence, { retryAfterSeconds: 10 })
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
