import { toPlainError, type Answer, type Call, type Methods } from './messages.ts'

/** The contract's methods, each at once or in time. */
export type Handlers<M extends Methods<M>> = {
  readonly [K in keyof M]: (...args: Parameters<M[K]>) => ReturnType<M[K]> | Awaited<ReturnType<M[K]>>
}

/**
 * The child half: answers calls until the parent goes away. Stopping is the parent's decision, so signals to the whole
 * process group are left to it; without a parent the child has nothing to live for.
 */
export function answerCalls<M extends Methods<M>>(handlers: Handlers<M>, info: unknown): void {
  const send = (answer: Answer): void => {
    // A parent that has just gone wants no answer; the disconnect below ends this process.
    process.send?.(answer, undefined, undefined, () => undefined)
  }
  if (!process.connected) process.exit(0)
  process.on('SIGTERM', () => undefined)
  process.on('SIGINT', () => undefined)
  process.on('disconnect', () => process.exit(0))
  process.on('message', (call: Call) => {
    void (async () => {
      try {
        const result: unknown = Reflect.apply(handlers[call.method as keyof M], handlers, call.args)
        send({ kind: 'result', id: call.id, result: await result })
      } catch (error) {
        send({ kind: 'error', id: call.id, error: toPlainError(error) })
      }
    })()
  })
  send({ kind: 'ready', info })
}
