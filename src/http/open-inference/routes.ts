import type { App } from '../shared/app-instance.ts'
import { registerHealthRoutes } from './health.ts'
import { registerInferRoutes } from './infer.ts'
import { registerMetadataRoutes } from './metadata.ts'
import { registerRepositoryRoutes } from './repository.ts'
import { registerUsageRoutes } from './usage-statistics.ts'

type Context = Parameters<typeof registerHealthRoutes>[1] &
  Parameters<typeof registerMetadataRoutes>[1] &
  Parameters<typeof registerInferRoutes>[1] &
  Parameters<typeof registerRepositoryRoutes>[1] &
  Parameters<typeof registerUsageRoutes>[1]

/** The Open Inference Protocol over REST, with the extensions that `GET /v2` lists. */
export function registerOpenInferenceRoutes(app: App, context: Context): void {
  registerHealthRoutes(app, context)
  registerMetadataRoutes(app, context)
  registerInferRoutes(app, context)
  registerRepositoryRoutes(app, context)
  registerUsageRoutes(app, context)
}
