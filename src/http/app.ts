import accepts from '@fastify/accepts'
import multipart from '@fastify/multipart'
import Fastify, { LogController, type FastifyBaseLogger } from 'fastify'
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { Analysis } from '../analysis/contract.ts'
import type { ServiceError } from '../common/errors.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/contract.ts'
import type { ImageDecoder } from '../images/client/image-decoder.ts'
import type { Experiments } from '../serving/experiments/experiment-runner.ts'
import type { Registry } from '../serving/models/registry.ts'
import type { Store } from '../serving/models/store.ts'
import type { Admission } from '../serving/prediction/admission.ts'
import type { Batcher } from '../serving/prediction/batcher.ts'
import type { Usage } from '../serving/prediction/usage.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Tracing } from '../telemetry/tracing.ts'
import type { WeightsReader } from '../weights/reader-contract.ts'
import { registerArchitectureRoutes } from './native/architectures.ts'
import { registerExperimentRoutes } from './native/experiments.ts'
import { registerHealthRoutes } from './native/health.ts'
import { registerInitializerRoutes } from './native/initializers.ts'
import { registerMetricsRoutes } from './native/metrics.ts'
import { registerStatisticsRoutes } from './native/model-statistics.ts'
import { registerModelRoutes } from './native/models.ts'
import { registerPredictRoutes } from './native/predict.ts'
import { registerSavedModelRoutes } from './native/saved-model.ts'
import { registerSignalRoutes } from './native/signals.ts'
import { registerFitRoutes } from './native/weights-statistics.ts'
import { registerWeightsRoutes } from './native/weights.ts'
import { openInferenceErrors } from './open-inference/error-format.ts'
import { viewReadiness } from './open-inference/kserve-readiness.ts'
import { registerOpenInferenceRoutes } from './open-inference/routes.ts'
import { authentication } from './plugins/authentication.ts'
import { bodyBudget } from './plugins/body-budget.ts'
import { bodyEncoding } from './plugins/body-encoding.ts'
import { cors } from './plugins/cors.ts'
import { crossSite } from './plugins/cross-site.ts'
import { createErrorHandler, errorHandler } from './plugins/error-handler.ts'
import { EventLoopThrottle, eventLoopThrottle } from './plugins/event-loop-throttle.ts'
import { gracefulShutdown } from './plugins/graceful-shutdown.ts'
import { jsonBodies } from './plugins/json-bodies.ts'
import { lingeringClose, LingeringConnections } from './plugins/lingering-close.ts'
import { openapiDocument } from './plugins/openapi-document.ts'
import { page } from './plugins/page.ts'
import { createHeadTimeouts, protocolErrors, SocketErrorResponder } from './plugins/protocol-errors.ts'
import { rateLimit } from './plugins/rate-limit.ts'
import { refreshModels } from './plugins/refresh-models.ts'
import { logRequest, requestLog } from './plugins/request-log.ts'
import { requestTracing } from './plugins/request-tracing.ts'
import { schemaValidation } from './plugins/schema-validation.ts'
import { unknownRoutes } from './plugins/unknown-routes.ts'
import type { App } from './shared/app-instance.ts'
import { ErrorFormats } from './shared/error-formats.ts'
import { findIncoming, Incoming } from './shared/incoming-requests.ts'
import type { Keyring } from './shared/keyring.ts'
import { createPredictionAdmission } from './shared/prediction-admission.ts'
import { createPredictor } from './shared/prediction.ts'
import { parseRate } from './shared/rates.ts'
import { acceptRawBodies } from './shared/raw-bodies.ts'
import { checkVersions } from './shared/versions.ts'
import { tensorflowServingErrors } from './tensorflow-serving/error-format.ts'
import { malformedPaths } from './tensorflow-serving/malformed-paths.ts'
import { registerTensorflowServingRoutes } from './tensorflow-serving/routes.ts'
import { viewVersionStatus } from './tensorflow-serving/version-status.ts'

const REQUEST_ID = /^[\w.:-]{1,128}$/
/** Limits for the head of a form part. */
const PART_HEAD = { headerSize: 8192, headerPairs: 20 }
/** Longer than the idle timeout of load balancers, so that the balancer closes idle connections. */
const KEEP_ALIVE_MS = 72_000
/** Hooks, permits and streams of one response listen for its end. Node warns of a leak above 10 listeners. */
const MAX_RESPONSE_LISTENERS = 20

/** The parts of the service behind the HTTP layer. */
export interface Services {
  readonly config: Config
  readonly logger: Logger
  readonly engine: Engine
  readonly analysis: Analysis
  readonly decoder: ImageDecoder
  readonly weightsReader: WeightsReader
  readonly store: Store
  readonly registry: Registry
  readonly admission: Admission
  readonly batcher: Batcher
  readonly experiments: Experiments
  readonly metrics: Metrics
  readonly usage: Usage
  readonly keyring: Keyring
  readonly tracing: Tracing
  /** The reason why the service should get no traffic; undefined when it is ready. */
  readonly notReady: () => ServiceError | undefined
}

/** Builds the HTTP server of the service. It does not listen yet. */
export async function buildApp(services: Services): Promise<App> {
  const { config, logger, metrics } = services
  const formats = new ErrorFormats([openInferenceErrors, tensorflowServingErrors])
  const handleError = createErrorHandler(formats, metrics)
  const throttle = new EventLoopThrottle()
  const lingering = new LingeringConnections(config)
  const responder = new SocketErrorResponder({ logger, metrics, lingering, formats })
  const loggerInstance: FastifyBaseLogger = logger
  const app: App = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.MAX_BODY_BYTES,
    // Longer than any name, so that the error of an invalid name describes it.
    routerOptions: { maxParamLength: 1024 },
    // Otherwise Node answers a missing Host without a problem document.
    http: { requireHostHeader: false, IncomingMessage: Incoming, ...createHeadTimeouts(config) },
    requestTimeout: config.UPLOAD_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false,
    // Called before routing, where no hook runs.
    frameworkErrors: (error, request, reply) => {
      logRequest(request, reply, metrics)
      reply.raw.once('finish', () => {
        lingering.discardBody(findIncoming(request))
      })
      void handleError(error, request, reply)
    },
    clientErrorHandler: (error, socket) => {
      throttle.run(() => {
        responder.answerClientError(error, socket)
      })
    },
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
    },
  })
  app.server.maxConnections = config.MAX_CONNECTIONS

  await app.register(errorHandler, { handleError })
  await registerHooks(app, services, { throttle, lingering, responder })
  await registerParsers(app)
  await app.register(openapiDocument, { formats })
  await app.register(page)
  await registerRoutes(app, services)
  return app
}

interface Connections {
  readonly throttle: EventLoopThrottle
  readonly lingering: LingeringConnections
  readonly responder: SocketErrorResponder
}

/** Registers the checks of every request, in the order in which a request passes them. */
async function registerHooks(
  app: App,
  { config, metrics, tracing, keyring, registry, notReady }: Services,
  { throttle, lingering, responder }: Connections,
): Promise<void> {
  const isDraining = (): boolean => notReady()?.code === 'SHUTTING_DOWN'
  app.addHook('onRequest', (_request, { raw }, done) => {
    raw.setMaxListeners(MAX_RESPONSE_LISTENERS)
    done()
  })
  await app.register(requestLog, { metrics })
  await app.register(requestTracing, { tracing })
  await app.register(protocolErrors, { responder })
  await app.register(gracefulShutdown, { config, isDraining, lingering })
  await app.register(eventLoopThrottle, { throttle })
  await app.register(lingeringClose, { lingering })
  if (!keyring.requiresKey) await app.register(crossSite, { config })
  await app.register(cors, { config })
  await app.register(rateLimit, { defaultRate: parseRate(config.RATE_LIMIT) })
  await app.register(authentication, { keyring })
  await app.register(malformedPaths)
  await app.register(unknownRoutes)
  await app.register(bodyBudget, { config })
  await app.register(bodyEncoding, { config })
  await app.register(refreshModels, { registry })
}

async function registerParsers(app: App): Promise<void> {
  await app.register(schemaValidation)
  await app.register(accepts)
  await app.register(multipart, { limits: PART_HEAD })
  await app.register(jsonBodies)
}

async function registerRoutes(app: App, services: Services): Promise<void> {
  const predictionAdmission = createPredictionAdmission(services)
  const predict = createPredictor(services)
  const protocolFields = { kserve: viewReadiness, tensorflowServing: viewVersionStatus }
  registerHealthRoutes(app, services)
  registerMetricsRoutes(app, services)
  registerInitializerRoutes(app, services)
  registerArchitectureRoutes(app, services)
  registerModelRoutes(app, { ...services, protocolFields })
  registerWeightsRoutes(app, services)
  registerSavedModelRoutes(app, services)
  registerPredictRoutes(app, { ...services, predictionAdmission, predict })
  registerStatisticsRoutes(app, services)
  registerSignalRoutes(app, services)
  registerExperimentRoutes(app, services)
  await app.register((scope: App, _options, done) => {
    registerFitRoutes(scope, services)
    done()
  })
  await app.register((scope: App, _options, done) => {
    acceptRawBodies(scope)
    checkVersions(scope)
    registerOpenInferenceRoutes(scope, { ...services, predictionAdmission, predict })
    registerTensorflowServingRoutes(scope, { ...services, predictionAdmission, predict })
    done()
  })
}
