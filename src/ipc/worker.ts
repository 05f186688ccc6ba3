import { fork, type ChildProcess } from 'node:child_process'
import { raceAbort, type CallOptions } from '../common/cancellation.ts'
import { createShutdownError, isCrash, ServiceError } from '../common/errors.ts'
import { childEntry } from './child-entry.ts'
import { LivenessMonitor } from './liveness-monitor.ts'
import type { Answer, Methods, PlainError, Request } from './messages.ts'
import { PendingCalls } from './pending-calls.ts'
import { RestartPolicy } from './restart-policy.ts'
import type { WorkerOptions } from './worker-options.ts'

const STOP_GRACE_MS = 5000
/** Loading libraries of hundreds of MB from a cold disk. */
const START_TIMEOUT_MS = 120_000

interface ReadyWaiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * The parent half of a child process: sends calls, and starts a new child when one exits. Calls that a dead child left
 * unanswered are rejected with ENGINE_CRASHED. Calls made while no child is ready wait for the next one, or are
 * rejected with ENGINE_UNAVAILABLE if none can be started.
 */
export class Worker<M extends Methods<M>, Info> {
  readonly #options: WorkerOptions
  readonly #calls = new PendingCalls()
  readonly #restartPolicy: RestartPolicy
  /** Calls that wait for a ready child. */
  readonly #readyWaiters = new Set<ReadyWaiter>()
  #child: ChildProcess | undefined
  /** A child to which a message could not be sent: it has exited, but has not emitted 'exit' yet. */
  #unreachableChild: ChildProcess | undefined
  /** A child that `replace` has killed. */
  #replacedChild: ChildProcess | undefined
  /** Sent by the last child that was ready. */
  #info: { readonly value: Info } | undefined
  #monitor: LivenessMonitor | undefined
  /** Why the last child could not start, if it reported a reason. */
  #startError: PlainError | undefined
  /** Why the last child was killed. */
  #killReason: string | undefined
  #isReady = false
  #closing = false
  #restartTimer: NodeJS.Timeout | undefined

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#restartPolicy = new RestartPolicy(options.disposable === true)
    this.#start()
  }

  /** Resolves with the information that a ready child sent; rejects if none can be started. */
  async info(): Promise<Info> {
    if (this.#info === undefined) await this.#whenReady()
    return (this.#info as { readonly value: Info }).value
  }

  get restarts(): number {
    return this.#restartPolicy.restarts
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** True if a child answers calls now. */
  get ready(): boolean {
    return this.#isReachable && this.#monitor?.isStopped !== true
  }

  /** A stopped child still receives messages. */
  get #isReachable(): boolean {
    return this.#isReady && this.#child?.connected === true && this.#child !== this.#unreachableChild
  }

  call<K extends keyof M & string>(method: K, ...args: Parameters<M[K]>): ReturnType<M[K]> {
    return this.callWith({}, method, ...args)
  }

  /** A call that reports progress and can be cancelled: the child checks for cancellation between its steps. */
  callWith<K extends keyof M & string>(
    options: CallOptions,
    method: K,
    ...args: Parameters<M[K]>
  ): ReturnType<M[K]> {
    const answer = this.#callOnce(options, method, args).catch((error: unknown) => {
      if (this.#options.retryOnCrash === true && isCrash(error)) return this.#callOnce(options, method, args)
      throw error
    })
    return answer as ReturnType<M[K]>
  }

  async #callOnce(
    { signal, progress }: CallOptions,
    method: string,
    args: readonly unknown[],
  ): Promise<unknown> {
    await raceAbort(this.#whenReady(), signal)
    if (!this.#isExpecting) this.#monitor?.reset()
    const { id, result } = this.#calls.add(progress)
    try {
      const child = this.#child
      child?.send({ kind: 'call', id, method, args } satisfies Request, (error) => {
        if (!error) return
        this.#unreachableChild = child
        this.#calls.reject(id, this.#crashError(error))
      })
      return await raceAbort(result, signal)
    } finally {
      // Still pending means the caller aborted: tell the child to cancel.
      if (this.#calls.cancel(id)) this.#send({ kind: 'cancel', id })
    }
  }

  #send(request: Request): void {
    this.#child?.send(request, () => undefined)
  }

  /** Kills the child. Its calls are rejected and the next child starts as after a crash. */
  replace(why: string): void {
    const child = this.#child
    if (child === undefined || child === this.#replacedChild) return
    this.#replacedChild = child
    this.#options.logger.warn({ worker: this.#options.name, pid: child.pid, why }, 'worker is replaced')
    child.kill('SIGKILL')
  }

  /** Stops the child: closes its channel, and kills it after a grace period. */
  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#restartTimer)
    this.#stopMonitor()
    this.#settleReadyWaiters(({ reject }) => {
      reject(createShutdownError())
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
    const { name, logger } = this.#options
    const started = Date.now()
    this.#restartPolicy.recordStart()
    const child = this.#fork()
    this.#child = child
    this.#killReason = undefined
    this.#startMonitor(child)
    child.on('message', (answer: Answer) => {
      this.#monitor?.reset()
      if (answer.kind === 'failed') {
        this.#startError = answer.error
        logger.error({ worker: name, pid: child.pid, err: answer.error.detail }, 'worker cannot start')
      } else if (answer.kind === 'ready') {
        this.#onReady(child, answer.info as Info)
        logger.info({ worker: name, pid: child.pid, ms: Date.now() - started }, 'worker ready')
      } else if (answer.kind !== 'alive') this.#calls.settle(answer)
    })
    child.on('error', (error) => {
      // A child that was never spawned emits no 'exit'.
      if (child.pid === undefined) this.#onExit({ err: error })
      // Disconnecting in the middle of a message also emits 'error'.
      else if (!this.#closing) logger.error({ worker: name, pid: child.pid, err: error }, 'worker error')
    })
    child.once('exit', (exitCode, signal) => {
      this.#onExit({ pid: child.pid, exitCode, signal })
    })
  }

  #fork(): ChildProcess {
    const { entry, env, launcher, inherits = 'ignore', stderr = 'inherit' } = this.#options
    return fork(entry, [], {
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
  }

  #onReady(child: ChildProcess, info: Info): void {
    this.#restartPolicy.recordReady()
    this.#startError = undefined
    this.#isReady = true
    this.#startMonitor(child)
    this.#info = { value: info }
    this.#settleReadyWaiters(({ resolve }) => {
      resolve()
    })
  }

  /**
   * Starts the next child after the delay of the restart policy, which may be 0. Calls wait for it, unless several
   * children in a row failed to start.
   */
  #onExit(details: object): void {
    const { name, logger, onLost } = this.#options
    const wasReady = this.#isReady
    this.#isReady = false
    this.#stopMonitor()
    this.#calls.rejectAll(() => this.#crashError())
    if (this.#closing) return
    if (this.#child !== this.#replacedChild) logger.error({ worker: name, ...details }, 'worker died')
    onLost?.()
    this.#restartPolicy.recordExit()
    if (this.#restartPolicy.isExhausted) {
      this.#settleReadyWaiters(({ reject }) => {
        reject(this.#unavailableError())
      })
      if (this.#info === undefined) return
    }
    const delay = this.#restartPolicy.nextDelay(wasReady)
    logger.info({ worker: name, ms: delay }, 'worker restarts after a pause')
    this.#restartTimer = setTimeout(() => {
      this.#start()
    }, delay)
  }

  /** Watches the start of a child, and from `ready` on its answers. */
  #startMonitor(child: ChildProcess): void {
    const { timeoutMs, startTimeoutMs = START_TIMEOUT_MS, name, logger } = this.#options
    const isReady = this.#isReady
    this.#stopMonitor()
    this.#monitor = new LivenessMonitor({
      pid: child.pid,
      limitMs: isReady ? timeoutMs : startTimeoutMs,
      isExpecting: () => !isReady || this.#calls.size > 0,
      ping: () => {
        this.#send({ kind: 'ping' })
      },
      kill: (why, ms) => {
        this.#killReason = `${why} for ${String(Math.ceil(ms / 1000))} s`
        logger.error({ worker: name, pid: child.pid, ms }, `worker ${why} and is killed`)
        child.kill('SIGKILL')
      },
    })
  }

  #stopMonitor(): void {
    this.#monitor?.close()
    this.#monitor = undefined
  }

  /** True while a message of the child is expected; after a cancelled call, the message that its work has stopped. */
  get #isExpecting(): boolean {
    return this.#monitor?.isPinged === true || this.#calls.size > 0
  }

  #whenReady(): Promise<void> {
    if (this.#closing) return Promise.reject(createShutdownError())
    if (this.#isReachable) return Promise.resolve()
    if (this.#restartPolicy.isExhausted) return Promise.reject(this.#unavailableError())
    return new Promise((resolve, reject) => {
      this.#readyWaiters.add({ resolve, reject })
    })
  }

  #settleReadyWaiters(settle: (waiter: ReadyWaiter) => void): void {
    const waiters = [...this.#readyWaiters]
    this.#readyWaiters.clear()
    waiters.forEach(settle)
  }

  #crashError(cause?: Error): ServiceError {
    const end = this.#killReason === undefined ? 'crashed' : `${this.#killReason} and was killed`
    return new ServiceError('ENGINE_CRASHED', `the ${this.#options.name} ${end} during this call`, { cause })
  }

  #unavailableError(): ServiceError {
    // An internal error is for the log only.
    const why = this.#startError?.code === 'INTERNAL' ? undefined : this.#startError?.detail
    const reason = why === undefined ? '; run "npm run doctor"' : `: ${why}`
    const detail = `the ${this.#options.name} cannot be started${reason}`
    return new ServiceError('ENGINE_UNAVAILABLE', detail, { retryAfterSeconds: 10 })
  }
}
