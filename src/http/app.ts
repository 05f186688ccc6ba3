import accepts from '@fastify/accepts'
import multipart from '@fastify/multipart'
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { randomUUID } from 'node:crypto'
import { fieldErrors, ServiceError } from '../common/errors.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { checker } from '../common/validation.ts'
import { authenticate } from './plugins/access.ts'
import { decodeBodies } from './shared/body-encoding.ts'
import { limitBodies } from './plugins/body-budget.ts'
import { shutDownGracefully, discardRefusedBodies } from './plugins/graceful-shutdown.ts'
import { allowOrigins } from './plugins/cors.ts'
import { refuseCrossSite } from './plugins/cross-site.ts'
import { problemAnswers, refuseUnknownRoutes } from './plugins/error-handler.ts'
import { acceptRawBodies } from './shared/raw-body.ts'
import { document } from './plugins/openapi-document.ts'
import { Incoming, incomingOf } from './shared/incoming-requests.ts'
import { Lingerers } from './plugins/lingering-close.ts'
import { answerClientError, checkHead, headTimes, refuseTunnels } from './plugins/protocol-errors.ts'
import { limiter } from './plugins/rate-limit.ts'
import { parseRate } from './shared/rates.ts'
import { EventLoopThrottle, throttleRequests } from './plugins/event-loop-throttle.ts'
import { page } from './plugins/page.ts'
import { architectureRoutes } from './native/architectures.ts'
import { experimentRoutes } from './native/experiments.ts'
import { fitRoutes } from './native/weights-statistics.ts'
import { refreshModels } from './plugins/refresh-models.ts'
import { healthRoutes } from './native/health.ts'
import { initializerRoutes } from './native/initializers.ts'
import { metricsRoutes } from './native/metrics.ts'
import { modelRoutes } from './native/models.ts'
import { predictRoutes } from './native/predict.ts'
import { savedModelRoutes } from './native/saved-model.ts'
import { signalRoutes } from './native/signals.ts'
import { statisticsRoutes } from './native/model-statistics.ts'
import { weightsRoutes } from './native/weights.ts'
import { toJson } from './shared/schema-parts.ts'
import type { App, Services } from './shared/services.ts'
import { parseJsonBody } from './shared/uploads.ts'
import { traceRequests } from './plugins/request-tracing.ts'
import { refuseMalformedPaths } from './tensorflow-serving/paths.ts'
import { tensorflowServingRoutes } from './tensorflow-serving/routes.ts'
import { openInferenceRoutes } from './open-inference/routes.ts'
import { checkVersions } from './shared/versions.ts'

const REQUEST_ID = /^[\w.:-]{1,128}$/
/** What a part of a form may say of itself. */
const PART_HEAD = { headerSize: 8192, headerPairs: 20 }
/** Longer than balancers keep connections that nobody uses, so that it is they who end them. */
const KEEP_ALIVE_MS = 72_000

/** The HTTP side of the service: parsing, checking, answering. It listens to nothing; `main.ts` does. */
export async function buildApp(services: Services): Promise<App> {
  const loggerInstance: FastifyBaseLogger = services.logger
  const answerError = problemAnswers((code) => {
    services.metrics.error(code)
  })
  const pace = new EventLoopThrottle()
  const lingerers = new Lingerers(services.config)
  const app: App = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: services.config.MAX_BODY_BYTES,
    // Longer than any name, so that a wrong one is told what is wrong with it.
    routerOptions: { maxParamLength: 1024 },
    // These answer in a form of their own otherwise, and not as a problem.
    http: { requireHostHeader: false, IncomingMessage: Incoming, ...headTimes(services.config) },
    requestTimeout: services.config.UPLOAD_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      logRequest(request, reply, services.metrics)
      // No hook runs here.
      reply.raw.once('finish', () => {
        lingerers.readAway(incomingOf(request))
      })
      void answerError(error, request, reply)
    },
    clientErrorHandler: (error, socket) => {
      pace.run(() => {
        answerClientError(error, socket, services, lingerers)
      })
    },
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
    },
  })

  app.server.maxConnections = services.config.MAX_CONNECTIONS
  checkBySchema(app)
  // Before any route is there, also those of plugins: a route keeps the handler of errors that it finds.
  app.setErrorHandler(answerError)
  // In the order a request meets them: each sees only what those before it let through.
  logRequests(app, services.metrics)
  traceRequests(app, services.tracing)
  checkHead(app)
  refuseTunnels(app, services, lingerers)
  shutDownGracefully(app, services.config, () => services.notReady()?.code === 'SHUTTING_DOWN', lingerers)
  throttleRequests(app, pace)
  discardRefusedBodies(app, lingerers)
  if (!services.keyring.asks) refuseCrossSite(app, services.config)
  await allowOrigins(app, services.config)
  authenticate(app, services.keyring, await limiter(app, parseRate(services.config.RATE_LIMIT)))
  refuseMalformedPaths(app)
  refuseUnknownRoutes(app)
  limitBodies(app, services.config)
  decodeBodies(app, services.config)
  refreshModels(app, services.registry)
  // Images and arrays arrive under many types; their routes look at the bytes.
  app.removeContentTypeParser('text/plain')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    (_request: FastifyRequest, body: Buffer) =>
      parseJsonBody(body, body.length === 0 ? 'the body is empty and' : 'the body'),
  )
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body)
  })
  await app.register(accepts)
  await app.register(multipart, { limits: PART_HEAD })
  demandJson(app)
  await document(app)

  await page(app)
  healthRoutes(app, services)
  metricsRoutes(app, services)
  initializerRoutes(app, services)
  architectureRoutes(app, services)
  modelRoutes(app, services)
  weightsRoutes(app, services)
  savedModelRoutes(app, services)
  predictRoutes(app, services)
  statisticsRoutes(app, services)
  signalRoutes(app, services)
  experimentRoutes(app, services)
  await app.register((scope: App, _options, done) => {
    fitRoutes(scope, services)
    done()
  })
  // The protocols of others, on the same port.
  await app.register((scope: App, _options, done) => {
    acceptRawBodies(scope)
    checkVersions(scope)
    openInferenceRoutes(scope, services)
    tensorflowServingRoutes(scope, services)
    done()
  })
  return app
}

/** Bodies are checked as they are; scalars of queries and paths are parsed from text. Answers are plain JSON. */
function checkBySchema(app: FastifyInstance): void {
  app.setValidatorCompiler(({ schema, httpPart, contentType = 'application/json' }) => {
    // A body that is not JSON is described for those who read the document; its route reads and checks it.
    if (contentType !== 'application/json') return () => true
    const check = checker(schema, httpPart === 'body' ? 'body' : 'text')
    return (data: unknown) => {
      const errors = check(data)
      return errors.length > 0 ? { error: fieldErrors(errors) } : { value: data }
    }
  })
  app.setSerializerCompiler(() => toJson)
}

/** A route that reads JSON gets JSON: a body of another type, or none, never reaches its schema or its handler. */
function demandJson(app: FastifyInstance): void {
  app.addHook('onRequest', ({ headers }, _reply, done) => {
    // Without a body its type says nothing; whether one is needed, the route knows.
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    if (!hasBody) delete headers['content-type']
    done()
  })
  app.addHook('preValidation', (request, _reply, done) => {
    const schema = request.routeOptions.schema?.body as { readonly content?: object } | undefined
    const types = schema?.content ? Object.keys(schema.content) : ['application/json']
    const readsBytes = types.some((type) => !['application/json', 'multipart/form-data'].includes(type))
    const readsForm = request.isMultipart() && types.includes('multipart/form-data')
    if (schema === undefined || readsBytes || readsForm) done()
    else if (request.isMultipart() || Buffer.isBuffer(request.body))
      done(new ServiceError('UNSUPPORTED_MEDIA_TYPE', `send the body as Content-Type: ${types.join(' or ')}`))
    else if (request.body === undefined)
      done(new ServiceError('MALFORMED_REQUEST', `the body is empty; send ${types.join(' or ')}`))
    else done()
  })
}

/**
 * Every answer carries its request's id; every request is measured and leaves one line in the log: no body, no header,
 * no query.
 */
function logRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onRequest', (request, reply, done) => {
    logRequest(request, reply, metrics)
    done()
  })
}

function logRequest(request: FastifyRequest, reply: FastifyReply, metrics: Metrics): void {
  void reply.header('x-request-id', request.id)
  // Not onResponse, which neither a client who hung up sees nor a request that has no route.
  reply.raw.once('close', () => {
    const { method, url, routeOptions } = request
    const answered = reply.raw.writableFinished
    const route = routeOptions.url === undefined ? 'none' : `${method} ${routeOptions.url}`
    metrics.request(route, answered ? reply.statusCode : undefined, reply.elapsedTime)
    request.log.info(
      {
        method,
        path: url.split('?', 1)[0],
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        ...(answered ? {} : { hung_up: true }),
      },
      'request',
    )
  })
}
