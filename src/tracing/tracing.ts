/** What is known of a span: never a query, a body or a key. */
type Attributes = Readonly<Record<string, string | number | boolean>>

export interface RequestSpan {
  /** Hexadecimal; what a log line needs to be found from a trace. */
  readonly traceId: string
  /** Runs what works for the request, so that what it begins belongs to the request. */
  readonly within: (work: () => void) => void
  /** Ends the span. Without a status the client hung up. */
  readonly end: (route: string | undefined, status: number | undefined) => void
}

/** Where time goes, told to whoever collects it. Nothing here may fail or slow down what it watches. */
export interface Tracing {
  /** Begins a request's span, a part of the trace that its `traceparent` names; undefined where nobody collects. */
  readonly request: (head: {
    readonly id: string
    readonly method: string
    readonly path: string
    readonly headers: Readonly<Record<string, string | string[] | undefined>>
  }) => RequestSpan | undefined
  /** A span over this work, within the request that began it, if one did. */
  readonly span: <R>(name: string, attributes: Attributes, work: () => Promise<R>) => Promise<R>
  /** A span over what is past: `from` and `to` are of `performance.now()`. */
  readonly past: (name: string, from: number, to: number, attributes: Attributes) => void
  /** Sends what was not sent yet, for a few seconds at most; resolves also where nobody takes it. */
  readonly close: () => Promise<void>
}

/** Nobody collects: nothing is measured, nothing is loaded. */
export const noTracing: Tracing = {
  request: () => undefined,
  span: (_name, _attributes, work) => work(),
  past: () => undefined,
  close: () => Promise.resolve(),
}
