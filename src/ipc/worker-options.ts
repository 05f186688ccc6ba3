import type { Logger } from 'pino'

export interface WorkerOptions {
  readonly name: string
  /** The compiled module that runs in the child. */
  readonly entry: URL
  readonly env: Readonly<Record<string, string>>
  readonly logger: Logger
  /** The program that starts the child, Node by default. Its last argument is the entry. */
  readonly launcher?: { readonly execPath: string; readonly execArgv: readonly string[] }
  /** A file descriptor of the caller that every child finds open as INHERITED_FD. */
  readonly inherits?: number | undefined
  /** A file descriptor of the caller that receives the children's stderr. */
  readonly stderr?: number | undefined
  /** Calls are pure: a call is repeated once if its child crashed. */
  readonly retryOnCrash?: boolean
  /** The child keeps no state between calls: it is killed instead of stopped, and replaced without a delay. */
  readonly disposable?: boolean
  /**
   * A child with a call that sends no message for longer is killed. A computing child reads no messages, so the only
   * measure is the time since its last message or its first call. A child without a call is pinged.
   */
  readonly timeoutMs?: number
  /** A child that takes longer to become ready is killed. */
  readonly startTimeoutMs?: number
  /** Called once for every child that exits unexpectedly, before the next one starts; the child's state is lost. */
  readonly onLost?: () => void
}
