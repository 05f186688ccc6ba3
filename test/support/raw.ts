import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'

/** A TCP connection to a service, from one of the loopback addresses. */
export async function open(url: string, localAddress = '127.0.0.1'): Promise<Socket> {
  const { hostname, port } = new URL(url)
  // A client may continue to send after the service has ended its side.
  const socket = connect({ port: Number(port), host: hostname, localAddress, allowHalfOpen: true })
  // The connection may be reset.
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** The head of a request with its final empty line. */
export function headOf(request: string, ...fields: readonly string[]): string {
  const version = / HTTP\/1\.[01]$/.test(request) ? '' : ' HTTP/1.1'
  return [`${request}${version}`, 'Host: 127.0.0.1', ...fields, '', ''].join('\r\n')
}

/** All received bytes until the service ends the connection. */
export function rest(socket: Socket): Promise<string> {
  return text(socket).catch(() => '')
}

/** The first response, as received so far. */
export async function answerOf(socket: Socket): Promise<string> {
  const [bytes] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [Buffer | boolean]
  return bytes.toString()
}
