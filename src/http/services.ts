import type { Logger } from 'pino'
import type { Analysis } from '../analysis/analysis.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import type { Batcher } from '../serving/batcher.ts'
import type { ServiceError } from '../errors.ts'
import type { Registry } from '../serving/registry.ts'
import type { Store } from '../serving/store.ts'

/** What routes work with. They own none of it. */
export interface Services {
  readonly config: Config
  readonly logger: Logger
  readonly engine: Engine
  readonly analysis: Analysis
  readonly store: Store
  readonly registry: Registry
  readonly batcher: Batcher
  /** The key every call but probes and docs must carry; none where anyone may call. */
  readonly key: string | undefined
  /** Why the service should get no traffic, or undefined where it should. */
  readonly notReady: () => ServiceError | undefined
}
