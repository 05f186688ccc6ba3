import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider } from 'fastify'
import type { Logger } from 'pino'
import type { Static, TSchema } from 'typebox'
import type { Analysis } from '../../analysis/contract.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/contract.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Admission } from '../../serving/prediction/admission.ts'
import type { Batcher } from '../../serving/prediction/batcher.ts'
import type { ServiceError } from '../../common/errors.ts'
import type { Keyring } from './keyring.ts'
import type { Experiments } from '../../serving/experiments/experiment-runner.ts'
import type { Registry } from '../../serving/models/registry.ts'
import type { Store } from '../../serving/models/store.ts'
import type { Usage } from '../../serving/prediction/usage.ts'
import type { Tracing } from '../../telemetry/tracing.ts'

/** A route's schemas are the types of what it is asked and answers. */
interface TypeBoxTypeProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

export type App = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** What routes work with. They own none of it. */
export interface Services {
  readonly config: Config
  readonly logger: Logger
  readonly engine: Engine
  readonly analysis: Analysis
  readonly decoder: ImageDecoder
  readonly store: Store
  readonly registry: Registry
  readonly admission: Admission
  readonly batcher: Batcher
  readonly experiments: Experiments
  readonly metrics: Metrics
  readonly usage: Usage
  /** The keys that calls must carry, but for probes, docs and the page. */
  readonly keyring: Keyring
  readonly tracing: Tracing
  /** Why the service should get no traffic, or undefined where it should. */
  readonly notReady: () => ServiceError | undefined
}
