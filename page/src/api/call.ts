/** One request to the service, as data: it is sent (`client.ts`) and written down for others (`snippets.ts`). */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** A JSON body, or images: one as it is, several as a form. */
  readonly json?: unknown
  readonly images?: readonly File[]
}

/** The path with its query, as it stands in an address. */
export function addressOf({ path, query = {} }: Call): string {
  const text = new URLSearchParams(query).toString()
  return text === '' ? path : `${path}?${text}`
}
