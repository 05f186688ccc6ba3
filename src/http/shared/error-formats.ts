import type { ServiceError } from '../../common/errors.ts'
import { toProblem, type Statuses } from './problem.ts'

/** The error format of another protocol: `{"error"}` as plain JSON, under the statuses of the protocol. */
export interface ErrorFormat {
  readonly paths: RegExp
  readonly statuses: Statuses
}

/** Triton (INVALID_ARG) and TensorFlow Serving (INVALID_ARGUMENT) answer every invalid request with 400. */
export const INVALID_ARGUMENT: Statuses = {
  ...{ NOT_ACCEPTABLE: 400, BODY_TOO_LARGE: 400, UNSUPPORTED_MEDIA_TYPE: 400, EXPECTATION_FAILED: 400 },
  ...{ INVALID_REQUEST: 400, SHAPE_MISMATCH: 400, MODEL_TOO_LARGE: 400 },
  ...{ INVALID_IMAGE: 400, INVALID_WEIGHTS: 400 },
}

/** Messages quote input of any length. */
const MAX_ERROR_LENGTH = 1000

/** The error formats of the other protocols, selected by path. All remaining paths use problem documents. */
export class ErrorFormats {
  readonly #formats: readonly ErrorFormat[]

  constructor(formats: readonly ErrorFormat[]) {
    this.#formats = formats
  }

  /** The format for a URL; undefined for problem documents. */
  find(url: string): ErrorFormat | undefined {
    const path = url.split('?', 1)[0] ?? url
    return this.#formats.find(({ paths }) => paths.test(path))
  }

  /** Formats an error for a URL. An unknown URL gets a problem document. */
  format(error: ServiceError, url = '') {
    const { code } = error
    const format = this.find(url)
    const { status, headers, body } = toProblem(error, format?.statuses)
    if (format === undefined) return { code, status, headers, body }
    return {
      ...{ code, status },
      headers: { ...headers, 'content-type': 'application/json' },
      body: { error: body.detail.slice(0, MAX_ERROR_LENGTH) },
    }
  }
}
