import type { JobContext } from '../common/cancellation.ts'
import { toPlainError, type Answer, type Handlers, type Methods, type Request } from './messages.ts'

/** The minimum interval between `alive` messages. */
const ALIVE_MS = 100

/** Runs a child's start. A failure is sent to the parent, which logs it, and ends this process. */
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
 * The child half: answers calls, and exits when the parent disconnects. A cancelled call aborts its job's signal. Messages
 * arrive only while the handler awaits, so a long handler calls `checkpoint` between its steps.
 */
export function answerCalls<M extends Methods<M>>(handlers: Handlers<M>, info: unknown): void {
  const send = (answer: Answer): void => {
    // Ignores send errors: after a disconnect this process exits.
    process.send?.(answer, undefined, undefined, () => undefined)
  }
  if (!process.connected) process.exit(0)
  process.on('disconnect', () => process.exit(0))
  let lastAliveAt = -Infinity
  const alive = (): void => {
    const now = performance.now()
    if (now - lastAliveAt < ALIVE_MS) return
    lastAliveAt = now
    send({ kind: 'alive' })
  }
  const running = new Map<number, AbortController>()
  const answer = async ({ id, method, args }: Extract<Request, { kind: 'call' }>): Promise<void> => {
    const controller = new AbortController()
    running.set(id, controller)
    // Does not copy the result of a cancelled call.
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
