/** Attributes of a span: never a query, a body or a key. */
type Attributes = Readonly<Record<string, string | number | boolean>>

export interface RequestSpan {
  /** Hexadecimal; log lines carry it, so they can be found from a trace. */
  readonly traceId: string
  /** Runs work in the request's context, so that spans which it begins belong to the request. */
  readonly within: (work: () => void) => void
  /** Ends the span. Without a status the client disconnected. */
  readonly end: (route: string | undefined, status: number | undefined) => void
}

/** Spans of where time is spent. Nothing here may fail, or slow down the work that it observes. */
export interface Tracing {
  /** Begins a request's span in the trace that its `traceparent` names; undefined without a collector. */
  readonly request: (head: {
    readonly id: string
    readonly method: string
    readonly path: string
    readonly headers: Readonly<Record<string, string | string[] | undefined>>
  }) => RequestSpan | undefined
  /** A span over this work, within the current request's span if there is one. */
  readonly span: <R>(name: string, attributes: Attributes, work: () => Promise<R>) => Promise<R>
  /** A span in the past; `from` and `to` are values of `performance.now()`. */
  readonly past: (name: string, from: number, to: number, attributes: Attributes) => void
  /** Sends pending spans, for a few seconds at most. Resolves even if the collector does not respond. */
  readonly close: () => Promise<void>
}

/** No collector: nothing is measured or loaded. */
export const noTracing: Tracing = {
  request: () => undefined,
  span: (_name, _attributes, work) => work(),
  past: () => undefined,
  close: () => Promise.resolve(),
}
