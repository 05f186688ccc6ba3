import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { ServiceError } from '../errors.ts'
import { answerFor } from './error-handler.ts'
import type { Services } from './services.ts'

/** Longer than any path whose protocol matters. */
const MAX_TARGET = 4096
/** The request whose answer a connection waits for. */
const pending = new WeakMap<Socket, FastifyRequest>()

/** Refuses as problems what Node would refuse by itself, in a form of its own. */
export function checkHead(app: FastifyInstance): void {
  app.server.on('checkExpectation', (request, response) => {
    app.routing(request, response)
  })
  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = request
    const { host, expect } = request.headers
    const { socket } = raw
    pending.set(socket, request)
    reply.raw.once('close', () => {
      // Another request may have followed on the connection.
      if (pending.get(socket) === request) pending.delete(socket)
    })
    if (host === undefined && raw.httpVersion === '1.1')
      done(new ServiceError('MALFORMED_REQUEST', 'HTTP/1.1 asks for the header Host'))
    else if (expect !== undefined && !/100-continue/i.test(expect))
      done(new ServiceError('EXPECTATION_FAILED', 'Expect can only be 100-continue'))
    else done()
  })
}

/** How long a head may take to arrive, and how often Node looks: a request that is late is so by a quarter at most. */
export function headTimes({ HEAD_TIMEOUT_MS }: Pick<Config, 'HEAD_TIMEOUT_MS'>) {
  return {
    headersTimeout: HEAD_TIMEOUT_MS,
    connectionsCheckingInterval: Math.ceil(HEAD_TIMEOUT_MS / 4),
  }
}

/** Node's error of a connection: some have the bytes that could not be parsed. */
type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: unknown }

/** Answers on the bare socket what did not arrive as a whole request, and closes it. */
export function answerClientError(
  error: ClientError,
  socket: Socket,
  { logger, metrics }: Pick<Services, 'logger' | 'metrics'>,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const request = pending.get(socket)
  const { code, status, headers, body } = answerFor(
    clientError(error),
    request?.url ?? requestTarget(error.rawPacket),
  )
  metrics.error(code)
  const id = request?.id ?? randomUUID()
  const text = JSON.stringify(body)
  const head = Object.entries({
    ...headers,
    'x-request-id': id,
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${String(value)}\r\n`)
  logger.info({ reqId: id, status, code: error.code }, 'request')
  socket.end(
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n${head.join('')}\r\n${text}`,
    () => {
      socket.destroy()
    },
  )
}

function clientError({ code, message }: NodeJS.ErrnoException): ServiceError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new ServiceError('HEADERS_TOO_LARGE', 'the headers are larger than 16 KB; send fewer')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new ServiceError('REQUEST_TIMEOUT', 'the request did not arrive in time; send it again')
  return new ServiceError('MALFORMED_REQUEST', `this is no HTTP request: ${message}`)
}

/** The path in the first line of a request, where its bytes begin with one. */
function requestTarget(bytes: unknown): string | undefined {
  if (!Buffer.isBuffer(bytes)) return undefined
  return /^[A-Z]+ (\/\S*) HTTP\//.exec(bytes.toString('latin1', 0, MAX_TARGET))?.[1]
}
