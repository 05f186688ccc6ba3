import { INVALID_ARGUMENT, type ErrorFormat } from '../shared/error-formats.ts'

/** ToHTTPStatusCode in tensorflow_serving/model_servers/http_server.cc. */
export const tensorflowServingErrors: ErrorFormat = {
  // Paths of this API only: with a verb, a version, a label or /metadata, also malformed ones.
  paths: /^\/v1\/models\/(?:.+:\w*|[^/:]+\/(?:metadata|(?:versions?|labels?)(?:\/.*)?))$/i,
  statuses: INVALID_ARGUMENT,
}
