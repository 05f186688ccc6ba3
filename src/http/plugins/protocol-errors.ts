import { randomUUID } from 'node:crypto'
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { ErrorFormats } from '../shared/error-formats.ts'
import { findIncoming, Incoming } from '../shared/incoming-requests.ts'
import type { LingeringConnections } from './lingering-close.ts'
import { METHODS } from './unknown-routes.ts'

const HOST = 'host'
/** Longer than any path that selects an error format. */
const MAX_TARGET = 4096

/** An error of Node for a connection. Some have the bytes that could not be parsed. */
type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: unknown }

interface ResponderContext {
  readonly logger: Logger
  readonly metrics: Metrics
  readonly lingering: LingeringConnections
  readonly formats: ErrorFormats
}

/** Answers errors on the socket, where no request exists, and closes the connection. */
export class SocketErrorResponder {
  readonly #context: ResponderContext

  constructor(context: ResponderContext) {
    this.#context = context
  }

  /** Answers a request that did not arrive completely or is no HTTP. */
  answerClientError(error: ClientError, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const request = Incoming.findNewest(socket)?.request
    const url = request?.url ?? parseTarget(error.rawPacket)
    this.#send(socket, toServiceError(error), { url, id: request?.id, cause: error.code })
  }

  /** Answers CONNECT, for which Node detaches the connection from its HTTP parser. */
  refuseTunnel(method: string, socket: Socket): void {
    const error = new ServiceError('METHOD_NOT_ALLOWED', `${method} is not supported: this is no proxy`)
    this.#send(socket, error, { headers: { allow: METHODS.join(', ') } })
  }

  #send(
    socket: Socket,
    error: ServiceError,
    {
      url,
      id = randomUUID(),
      headers: more = {},
      cause = error.code,
    }: {
      /** It selects the format of the error. */
      readonly url?: string | undefined
      readonly id?: string | undefined
      readonly headers?: Readonly<Record<string, string>>
      /** The code in the log. */
      readonly cause?: string | undefined
    },
  ): void {
    const { logger, metrics, lingering, formats } = this.#context
    const { code, status, headers, body } = formats.format(error, url)
    metrics.error(code)
    const text = JSON.stringify(body)
    const head = Object.entries({
      ...headers,
      ...more,
      'x-request-id': id,
      'content-length': Buffer.byteLength(text),
      connection: 'close',
    }).map(([name, value]) => `${name}: ${String(value)}\r\n`)
    logger.info({ reqId: id, status, code: cause }, 'request')
    lingering.sendAndClose(
      socket,
      `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n${head.join('')}\r\n${text}`,
    )
  }
}

/** Rejects invalid heads in the service's error format, including those that Node rejects in its own or accepts. */
export const protocolErrors = fp<{ readonly responder: SocketErrorResponder }>(
  (app, { responder }, done) => {
    for (const event of ['checkContinue', 'checkExpectation'] as const)
      app.server.on(event, (request: IncomingMessage, response: ServerResponse) => {
        app.routing(request, response)
      })
    app.server.on('connect', (request, socket: Socket) => {
      responder.refuseTunnel(request.method ?? '', socket)
    })
    // No 100 Continue for a request that its head already disqualifies.
    app.addHook('preParsing', ({ raw, headers: { expect } }, reply, _payload, next) => {
      if (expect !== undefined && raw.httpVersion === '1.1') reply.raw.writeContinue()
      next()
    })
    app.addHook('onRequest', (request, reply, next) => {
      const message = findIncoming(request)
      if (message !== undefined) {
        message.request = request
        reply.raw.once('close', () => {
          message.request = undefined
        })
      }
      // RFC 9110, 14.2: Range is defined for GET only.
      if (request.headers.range !== undefined && request.raw.method !== 'GET') delete request.headers.range
      next(checkHead(request))
    })
    done()
  },
  { name: 'protocol-errors', dependencies: ['error-handler'] },
)

/** HEAD_TIMEOUT_MS for Node, which checks at intervals of a quarter of it. */
export function createHeadTimeouts({ HEAD_TIMEOUT_MS }: Pick<Config, 'HEAD_TIMEOUT_MS'>) {
  return {
    headersTimeout: HEAD_TIMEOUT_MS,
    connectionsCheckingInterval: Math.ceil(HEAD_TIMEOUT_MS / 4),
  }
}

function checkHead({ raw, headers: { host, expect } }: FastifyRequest): ServiceError | undefined {
  if (host === undefined && raw.httpVersion === '1.1')
    return new ServiceError('MALFORMED_REQUEST', 'HTTP/1.1 requires the Host header')
  if (countHosts(raw.rawHeaders) > 1)
    return new ServiceError('MALFORMED_REQUEST', 'the Host header appears more than once; send it once')
  if (expect !== undefined && !/100-continue/i.test(expect))
    return new ServiceError('EXPECTATION_FAILED', 'Expect must be 100-continue')
  return undefined
}

/** Counts the Host headers; `headers` of Node has only the first. */
function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length === HOST.length && name.toLowerCase() === HOST) hosts += 1
  }
  return hosts
}

function toServiceError({ code, message }: NodeJS.ErrnoException): ServiceError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new ServiceError('HEADERS_TOO_LARGE', 'the headers are larger than 16 KB; send fewer')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new ServiceError('REQUEST_TIMEOUT', 'the request did not arrive in time; send it again')
  return new ServiceError('MALFORMED_REQUEST', `this is not an HTTP request: ${message}`)
}

/** The path in the request line, if the bytes start with one. */
function parseTarget(bytes: unknown): string | undefined {
  if (!Buffer.isBuffer(bytes)) return undefined
  return /^[A-Z]+ (\/\S*) HTTP\//.exec(bytes.toString('latin1', 0, MAX_TARGET))?.[1]
}
