import { presets } from '../../network/architectures.ts'
import { recordedInitializer } from '../../network/parameters.ts'
import { planRequest } from '../../network/plan.ts'
import { residualSchemes, schemeNames } from '../../network/schemes.ts'
import { advisePrecision } from './model-view.ts'
import { paginate } from '../shared/query.ts'
import { Page } from '../shared/schema-parts.ts'
import { ArchitectureList, Plan, ResidualSchemeList } from '../shared/model-schemas.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import type { App } from '../shared/app-instance.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/contract.ts'

interface Context {
  readonly engine: Engine
  readonly config: Pick<Config, 'MAX_MODEL_PARAMETERS'>
}

/** Presets, residual schemes, and plans of specifications: nothing here builds a model. */
export function registerArchitectureRoutes(app: App, { engine, config }: Context): void {
  app.get(
    '/v1/architectures',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listArchitectures',
        tags: ['catalogue'],
        summary: 'Lists the presets',
        querystring: Page,
        response: { 200: ArchitectureList },
      },
    },
    ({ query }) => {
      const { items, next_cursor } = paginate(Object.entries(presets), query)
      const architectures = items.map(([name, { summary }]) => {
        const { specification, totals } = planRequest({ architecture: name }, Number.MAX_SAFE_INTEGER)
        const { parameters, multiplyAdds } = totals
        const { input_shape } = specification.architecture
        return { name, summary, spec: specification, input_shape, parameters, multiply_adds: multiplyAdds }
      })
      return { architectures, next_cursor }
    },
  )

  app.get(
    '/v1/residual-schemes',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listResidualSchemes',
        tags: ['catalogue'],
        summary: 'Lists the residual schemes with their effect, required norm and test statistic',
        querystring: Page,
        response: { 200: ResidualSchemeList },
      },
    },
    ({ query }) => {
      const names = schemeNames.filter((name) => name !== 'none')
      const { items, next_cursor } = paginate(names, query)
      const residual_schemes = items.map((name) => {
        const { paper, statistic, norm, postActivation, effect, multiplier } = residualSchemes[name]
        return {
          ...{ name, paper, statistic, norm, effect },
          versions: postActivation === undefined ? ['v1', 'v1.5', 'v2'] : ['v1', 'v1.5'],
          multiplier: multiplier === undefined ? null : multiplier === 'ones' ? 1 : 0,
        }
      })
      return { residual_schemes, next_cursor }
    },
  )

  app.post(
    '/v1/plans',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'planModel',
        tags: ['models'],
        summary: 'Plans a specification without building it: layers, shapes, parameters, cost',
        body: SpecificationRequest,
        response: { 200: Plan },
      },
    },
    async ({ body }) => {
      const { id, specification, layers, initialized, totals, advice } = planRequest(
        body,
        config.MAX_MODEL_PARAMETERS,
      )
      const known = new Map(initialized.map((parameter) => [parameter.name, parameter]))
      const describeInitializer = (name: string) => {
        const parameter = known.get(name)
        if (parameter === undefined) return { initializer: null }
        const { factor } = parameter
        return { initializer: recordedInitializer(parameter), ...(factor === undefined ? {} : { factor }) }
      }
      // Only the advice on precision needs the engine; it is omitted if the engine cannot start.
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
            ...describeInitializer(parameter.name),
          })),
          multiply_adds: multiplyAdds,
        })),
        totals: { parameters: totals.parameters, multiply_adds: totals.multiplyAdds, bytes: totals.bytes },
        advice: [...advice, ...advisePrecision(specification, device)],
      }
    },
  )
}
