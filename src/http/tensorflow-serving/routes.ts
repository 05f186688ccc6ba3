import type { App } from '../shared/app-instance.ts'
import { registerMetadataRoutes } from './metadata.ts'
import { registerPredictRoutes } from './predict.ts'

type Context = Parameters<typeof registerMetadataRoutes>[1] & Parameters<typeof registerPredictRoutes>[1]

/** TensorFlow Serving's REST API. The native route answers for a model without a version. */
export function registerTensorflowServingRoutes(app: App, context: Context): void {
  registerMetadataRoutes(app, context)
  registerPredictRoutes(app, context)
}
