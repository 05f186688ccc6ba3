import type { App, Services } from '../shared/services.ts'
import { healthRoutes } from './health.ts'
import { inferRoutes } from './infer.ts'
import { metadataRoutes } from './metadata.ts'
import { repositoryRoutes } from './repository.ts'
import { statisticsRoutes } from './usage-statistics.ts'

/** The Open Inference Protocol over REST, with the extensions that `GET /v2` names. */
export function openInferenceRoutes(app: App, services: Services): void {
  healthRoutes(app, services)
  metadataRoutes(app, services)
  inferRoutes(app, services)
  repositoryRoutes(app, services)
  statisticsRoutes(app, services)
}
