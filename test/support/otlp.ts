import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { PbfReader } from 'pbf'

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: number
  /** Unix time in ms. */
  readonly start: number
  readonly end: number
  /** 2 means error. */
  readonly status: number
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  /** Resource attributes of the sender. */
  readonly resource: Readonly<Record<string, string | number | boolean>>
}

export interface Collector {
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  /** Path and content type of each export. */
  readonly requests: readonly string[]
  close(): Promise<void>
}

/**
 * Receives traces as a collector does: OTLP over HTTP with protocol buffers,
 * opentelemetry/proto/trace/v1/trace.proto.
 */
export async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = []
  const requests: string[] = []
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      requests.push(`${request.url ?? ''} ${request.headers['content-type'] ?? ''}`)
      spans.push(...spansOf(body))
      response.setHeader('content-type', 'application/x-protobuf').end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    spans,
    requests,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

type Message = ReadonlyMap<number, readonly Uint8Array[]>
type Scalars = Map<number, number>

function spansOf(body: Uint8Array): ReceivedSpan[] {
  return read(body, 1).flatMap((resourceSpans) => {
    const [resource = new Uint8Array()] = read(resourceSpans, 1)
    return read(resourceSpans, 2)
      .flatMap((scopeSpans) => read(scopeSpans, 2))
      .map((span) => spanOf(span, attributesOf(read(resource, 1))))
  })
}

function spanOf(bytes: Uint8Array, resource: ReceivedSpan['resource']): ReceivedSpan {
  const { messages, scalars } = fieldsOf(bytes)
  const hex = (field: number): string => Buffer.from(messages.get(field)?.[0] ?? []).toString('hex')
  return {
    traceId: hex(1),
    spanId: hex(2),
    parentSpanId: hex(4),
    name: Buffer.from(messages.get(5)?.[0] ?? []).toString(),
    kind: scalars.get(6) ?? 0,
    start: (scalars.get(7) ?? 0) / 1e6,
    end: (scalars.get(8) ?? 0) / 1e6,
    status: fieldsOf(messages.get(15)?.[0] ?? new Uint8Array()).scalars.get(3) ?? 0,
    attributes: attributesOf(messages.get(9) ?? []),
    resource,
  }
}

const DOUBLE_VALUE = 4

/** KeyValue: key = 1, value = 2; AnyValue: string = 1, bool = 2, int = 3, double = 4. */
function attributesOf(pairs: readonly Uint8Array[]): ReceivedSpan['attributes'] {
  return Object.fromEntries(
    pairs.map((pair) => {
      const { messages } = fieldsOf(pair)
      const value = fieldsOf(messages.get(2)?.[0] ?? new Uint8Array())
      const text = value.messages.get(1)?.[0]
      const number = value.scalars.get(3) ?? value.scalars.get(DOUBLE_VALUE) ?? Number.NaN
      const flag = value.scalars.get(2)
      const read =
        text === undefined ? (flag === undefined ? number : flag === 1) : Buffer.from(text).toString()
      return [Buffer.from(messages.get(1)?.[0] ?? []).toString(), read]
    }),
  )
}

function read(bytes: Uint8Array, field: number): readonly Uint8Array[] {
  return fieldsOf(bytes).messages.get(field) ?? []
}

/** A message by its fields: length-delimited ones and numbers. */
function fieldsOf(bytes: Uint8Array): { readonly messages: Message; readonly scalars: Scalars } {
  const messages = new Map<number, Uint8Array[]>()
  const scalars: Scalars = new Map()
  new PbfReader(bytes).readFields((field, _result, reader) => {
    if (reader.type === BYTES) messages.set(field, [...(messages.get(field) ?? []), reader.readBytes()])
    else scalars.set(field, numberOf(reader, field))
  }, undefined)
  return { messages, scalars }
}

/** Wire types, https://protobuf.dev/programming-guides/encoding. */
const [FIXED64, BYTES, FIXED32] = [1, 2, 5]

function numberOf(reader: PbfReader, field: number): number {
  if (reader.type === FIXED32) return reader.readFixed32()
  if (reader.type !== FIXED64) return reader.readVarint()
  return field === DOUBLE_VALUE ? reader.readDouble() : reader.readFixed64()
}
