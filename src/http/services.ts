import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, FastifyTypeProvider } from 'fastify'
import type { Logger } from 'pino'
import type { Static, TSchema } from 'typebox'
import type { Analysis } from '../analysis/analysis.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import type { ImageDecoder } from '../images/decoder.ts'
import type { Metrics } from '../metrics.ts'
import type { Admission } from '../serving/admission.ts'
import type { Batcher } from '../serving/batcher.ts'
import type { ServiceError } from '../errors.ts'
import type { Keyring } from './keyring.ts'
import type { Experiments } from '../serving/experiments.ts'
import type { Registry } from '../serving/registry.ts'
import type { Store } from '../serving/store.ts'
import type { Usage } from '../serving/usage.ts'
import type { Tracing } from '../tracing/tracing.ts'

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
