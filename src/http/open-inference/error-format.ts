import { INVALID_ARGUMENT, type ErrorFormat } from '../shared/error-formats.ts'

/** Triton's docs/customization_guide/inference_protocols.md. Triton reports an expired timeout as UNAVAILABLE. */
export const openInferenceErrors: ErrorFormat = {
  paths: /^\/v2(\/|$)/i,
  statuses: { ...INVALID_ARGUMENT, DEADLINE_EXCEEDED: 503 },
}
