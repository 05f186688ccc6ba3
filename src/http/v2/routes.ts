import type { App, Services } from '../services.ts'
import { healthRoutes } from './health.ts'

/** The Open Inference Protocol over REST, with the extensions that `GET /v2` names. */
export function openInferenceRoutes(app: App, services: Services): void {
  healthRoutes(app, services)
}
