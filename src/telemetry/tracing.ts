/** Attributes of a span: never a query, a body or a key. */
type Attributes = Readonly<Record<string, string | number | boolean>>

export interface RequestSpan {
  /** Hexadecimal. Log lines contain it, so a trace leads to its log lines. */
  readonly traceId: string
  /** Runs work in the request's context: spans that it starts belong to the request. */
  readonly within: (work: () => void) => void
  /** Ends the span. Without a status the client disconnected. */
  readonly end: (route: string | undefined, status: number | undefined) => void
}

/** Records spans. It never fails and does not delay the work that it observes. */
export interface Tracing {
  /** Starts a request's span in the trace of its `traceparent` header; undefined without a collector. */
  readonly request: (head: {
    readonly id: string
    readonly method: string
    readonly path: string
    readonly headers: Readonly<Record<string, string | string[] | undefined>>
  }) => RequestSpan | undefined
  /** Records a span over `work`, within the current request's span if there is one. */
  readonly span: <R>(name: string, attributes: Attributes, work: () => Promise<R>) => Promise<R>
  /** Records a span in the past; `from` and `to` are values of `performance.now()`. */
  readonly past: (name: string, from: number, to: number, attributes: Attributes) => void
  /** Sends pending spans, for a few seconds at most. Resolves even if the collector does not respond. */
  readonly close: () => Promise<void>
}

/** Without a collector nothing is recorded, and no library is loaded. */
export const noTracing: Tracing = {
  request: () => undefined,
  span: (_name, _attributes, work) => work(),
  past: () => undefined,
  close: () => Promise.resolve(),
}
