import type { App, Services } from '../shared/services.ts'
import { metadataRoutes } from './metadata.ts'
import { predictRoutes } from './predict.ts'

/** TensorFlow Serving's REST API; only its own listing of a model without a version is one of our answers. */
export function tensorflowServingRoutes(app: App, services: Services): void {
  metadataRoutes(app, services)
  predictRoutes(app, services)
}
