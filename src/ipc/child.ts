import type { JobContext } from '../common/cancellation.ts'
import { toPlainError, type Answer, type Handlers, type Methods, type Request } from './messages.ts'

/** The parent hears of steps no more often than this. */
const ALIVE_MS = 100

/** What a child's start gives. A start that fails ends the process, and the parent logs why. */
export async function startOrExit<R>(start: () => Promise<R>): Promise<R> {
  try {
    return await start()
  } catch (error) {
    const failed: Answer = { kind: 'failed', error: toPlainError(error) }
    return new Promise(() => {
      if (process.connected) process.send?.(failed, undefined, undefined, () => process.exit(1))
      else process.exit(1)
    })
  }
}

/**
 * The child half: answers calls until the parent goes away. A call that is cancelled aborts its job's signal; messages
 * come in only while the handler waits for something, so a long one pauses between its steps. Without a parent the child
 * has nothing to live for.
 */
export function answerCalls<M extends Methods<M>>(handlers: Handlers<M>, info: unknown): void {
  const send = (answer: Answer): void => {
    // A parent that has just gone wants no answer; the disconnect below ends this process.
    process.send?.(answer, undefined, undefined, () => undefined)
  }
  if (!process.connected) process.exit(0)
  process.on('disconnect', () => process.exit(0))
  let toldAlive = -Infinity
  const alive = (): void => {
    const now = performance.now()
    if (now - toldAlive < ALIVE_MS) return
    toldAlive = now
    send({ kind: 'alive' })
  }
  const running = new Map<number, AbortController>()
  const answer = async ({ id, method, args }: Extract<Request, { kind: 'call' }>): Promise<void> => {
    const controller = new AbortController()
    running.set(id, controller)
    // The result of a call that was cancelled would be copied in vain.
    const reply = (answer: Answer): void => {
      send(controller.signal.aborted ? { kind: 'result', id, result: undefined } : answer)
    }
    const job: JobContext = {
      signal: controller.signal,
      progress: (progress) => {
        send({ kind: 'progress', id, progress })
      },
      alive,
    }
    try {
      const result: unknown = Reflect.apply(handlers[method as keyof M], handlers, [...args, job])
      reply({ kind: 'result', id, result: await result })
    } catch (error) {
      reply({ kind: 'error', id, error: toPlainError(error) })
    } finally {
      running.delete(id)
    }
  }
  process.on('message', (request: Request) => {
    if (request.kind === 'ping') send({ kind: 'alive' })
    else if (request.kind === 'call') void answer(request)
    else running.get(request.id)?.abort()
  })
  send({ kind: 'ready', info })
}
