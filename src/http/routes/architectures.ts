import { presets } from '../../network/architectures.ts'
import { recordedInitializer } from '../../network/parameters.ts'
import { planRequest } from '../../network/plan.ts'
import { precisionAdvice } from '../model-view.ts'
import { pageOf } from '../query.ts'
import { Page } from '../schemas/common.ts'
import { ArchitectureList, Plan } from '../schemas/models.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import type { App, Services } from '../services.ts'

/** What can be known of networks without building them: presets, and the plan of any specification. */
export function architectureRoutes(app: App, { config, engine }: Services): void {
  app.get(
    '/v1/architectures',
    {
      schema: {
        tags: ['catalogue'],
        summary: 'All presets',
        querystring: Page,
        response: { 200: ArchitectureList },
      },
    },
    ({ query }) => {
      const { items, next_cursor } = pageOf(Object.entries(presets), query)
      const architectures = items.map(([name, { summary }]) => {
        const { specification, totals } = planRequest({ architecture: name }, Number.MAX_SAFE_INTEGER)
        const { parameters, multiplyAdds } = totals
        const { input_shape } = specification.architecture
        return { name, summary, spec: specification, input_shape, parameters, multiply_adds: multiplyAdds }
      })
      return { architectures, next_cursor }
    },
  )

  app.post(
    '/v1/plans',
    {
      schema: {
        tags: ['models'],
        summary: 'What a specification would be: layers, shapes, parameters, cost. Nothing is built',
        body: SpecificationRequest,
        response: { 200: Plan },
      },
    },
    async ({ body }) => {
      const { id, specification, layers, initialized, totals, advice } = planRequest(
        body,
        config.MAX_MODEL_PARAMETERS,
      )
      const initializers = new Map(
        initialized.map((parameter) => [parameter.name, recordedInitializer(parameter)]),
      )
      // A plan needs no engine: what one would say of itself is left out where none can be started.
      const device =
        specification.precision === 'float32' ? undefined : await engine.info().catch(() => undefined)
      return {
        id,
        spec: specification,
        layers: layers.map(({ name, op, outputShape, parameters: own, multiplyAdds }) => ({
          name,
          op,
          output_shape: [...outputShape],
          parameters: own.map((parameter) => ({
            name: parameter.name,
            shape: [...parameter.shape],
            initializer: initializers.get(parameter.name) ?? null,
          })),
          multiply_adds: multiplyAdds,
        })),
        totals: { parameters: totals.parameters, multiply_adds: totals.multiplyAdds, bytes: totals.bytes },
        advice: [...advice, ...precisionAdvice(specification, device)],
      }
    },
  )
}
