import { randomUUID } from 'node:crypto'
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import { answerFor, METHODS } from './error-handler.ts'
import type { Lingerers } from './lingering-close.ts'
import type { Services } from '../shared/services.ts'

const HOST = 'host'
/** Longer than any path whose protocol matters. */
const MAX_TARGET = 4096
/** The request whose answer a connection waits for. */
const pending = new WeakMap<Socket, FastifyRequest>()

/** Refuses as problems what Node would refuse by itself, in a form of its own, and what it takes that is no HTTP. */
export function checkHead(app: FastifyInstance): void {
  for (const event of ['checkContinue', 'checkExpectation'] as const)
    app.server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      app.routing(request, response)
    })
  // A body that is refused by its head is not asked for.
  app.addHook('preParsing', ({ raw, headers: { expect } }, reply, _payload, done) => {
    if (expect !== undefined && raw.httpVersion === '1.1') reply.raw.writeContinue()
    done()
  })
  app.addHook('onRequest', (request, reply, done) => {
    const { raw, headers } = request
    const { host, expect } = headers
    const { socket } = raw
    pending.set(socket, request)
    reply.raw.once('close', () => {
      // Another request may have followed on the connection.
      if (pending.get(socket) === request) pending.delete(socket)
    })
    // RFC 9110, 14.2: it is defined for GET alone.
    if (raw.method !== 'GET') delete headers.range
    if (host === undefined && raw.httpVersion === '1.1')
      done(new ServiceError('MALFORMED_REQUEST', 'HTTP/1.1 asks for the header Host'))
    else if (hostsIn(raw.rawHeaders) > 1)
      done(new ServiceError('MALFORMED_REQUEST', 'the header Host is there more than once; send it once'))
    else if (expect !== undefined && !/100-continue/i.test(expect))
      done(new ServiceError('EXPECTATION_FAILED', 'Expect can only be 100-continue'))
    else done()
  })
}

/** Node keeps the first of several. */
function hostsIn(rawHeaders: readonly string[]): number {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length === HOST.length && name.toLowerCase() === HOST) hosts += 1
  }
  return hosts
}

/** CONNECT asks for a tunnel to another host: Node takes its connection out of HTTP. */
export function refuseTunnels(
  app: FastifyInstance,
  services: Pick<Services, 'logger' | 'metrics'>,
  lingerers: Lingerers,
): void {
  app.server.on('connect', (request, socket: Socket) => {
    const error = new ServiceError(
      'METHOD_NOT_ALLOWED',
      `${request.method ?? ''} is not offered: this is no proxy`,
    )
    answerOnSocket(socket, error, { ...services, lingerers, headers: { allow: METHODS.join(', ') } })
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
  services: Pick<Services, 'logger' | 'metrics'>,
  lingerers: Lingerers,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
  else {
    const request = pending.get(socket)
    const url = request?.url ?? requestTarget(error.rawPacket)
    answerOnSocket(socket, clientError(error), {
      ...services,
      ...{ lingerers, url, id: request?.id, cause: error.code },
    })
  }
}

interface SocketAnswer extends Pick<Services, 'logger' | 'metrics'> {
  readonly lingerers: Lingerers
  /** Of the request, where it is known: it decides the form of the error. */
  readonly url?: string | undefined
  readonly id?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** As the log says it. */
  readonly cause?: string | undefined
}

function answerOnSocket(
  socket: Socket,
  error: ServiceError,
  {
    logger,
    metrics,
    lingerers,
    url,
    id = randomUUID(),
    headers: more = {},
    cause = error.code,
  }: SocketAnswer,
): void {
  const { code, status, headers, body } = answerFor(error, url)
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
  lingerers.end(
    socket,
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n${head.join('')}\r\n${text}`,
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
