import type { Analysis, SignalsRequest } from '../../analysis/contract.ts'
import { affordableMemory } from '../../analysis/memory-estimate.ts'
import { rankModels } from '../../analysis/rankings.ts'
import { SignalsQuestion } from '../../analysis/signals-contract.ts'
import { fieldError, fieldErrors, ServiceError } from '../../common/errors.ts'
import { planRequest, planSpecification, type Plan } from '../../network/plan.ts'
import type { SpecificationRequest } from '../../network/specification.ts'
import { answerJob } from '../shared/server-sent-events.ts'
import { ModelReference } from '../shared/model-schemas.ts'
import { Comparison, ComparisonRequest, ModelSignals, SignalsForm, withEvents } from './signal-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Config } from '../../config.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { readSignalsForm } from './signals-form.ts'

interface Context {
  readonly registry: Registry
  readonly analysis: Analysis
  readonly decoder: ImageDecoder
  readonly config: Pick<
    Config,
    'ANALYSIS_MEMORY_BYTES' | 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES' | 'MAX_IMAGE_PIXELS'
  >
}

/** Measures forward signals and gradients: of a model, and of several specifications for comparison. */
export function registerSignalRoutes(app: App, context: Context): void {
  const { registry, analysis, config } = context
  const { ANALYSIS_MEMORY_BYTES: budget, MAX_MODEL_PARAMETERS } = config

  app.post(
    '/v1/models/:model/signals',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'measureSignals',
        tags: ['models'],
        summary: 'Measures signals and gradients of the network block by block, with a verdict',
        params: ModelReference,
        body: {
          content: {
            'application/json': { schema: SignalsQuestion },
            'multipart/form-data': {
              schema: SignalsForm,
            },
          },
        },
        response: { 200: withEvents(ModelSignals) },
      },
    },
    async (request, reply) => {
      const model = registry.find(request.params.model)
      const { id, weights, specification } = model.record
      const plan = planSpecification(specification)
      const { measured, pointer } = await readQuestion()
      affordableMemory(plan, measured.batch_size, budget, pointer)
      // Rejects a model without valid weights before an event stream starts.
      await registry.openWeights(model)
      return answerJob(request, reply, async (options) => {
        const [signals] = await registry.withWeights(model, (source) =>
          analysis.signals([source], measured, options),
        )
        if (signals === undefined) throw new TypeError('the analysis returned no signals')
        return { model: id, weights, ...signals }
      })

      async function readQuestion(): Promise<{ measured: SignalsRequest; pointer: string }> {
        if (!request.isMultipart())
          return { measured: planDraw(request.body as SignalsQuestion, '#'), pointer: '#/batch_size' }
        const { question, pixels, count } = await readSignalsForm(request, reply, specification, context)
        return { measured: { ...selectSettings(question), batch_size: count, pixels }, pointer: '#/images' }
      }
    },
  )

  app.post(
    '/v1/comparisons',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'compareSpecifications',
        tags: ['models'],
        summary:
          'Measures and ranks several specifications on the same input and labels, without building them',
        body: ComparisonRequest,
        response: { 200: withEvents(Comparison) },
      },
    },
    async (request, reply) => {
      const { specs, signals = {} } = request.body
      const measured = planDraw(signals, '#/signals')
      const plans = specs.map((spec, index) => planListed(spec, index, MAX_MODEL_PARAMETERS))
      for (const plan of plans) affordableMemory(plan, measured.batch_size, budget, '#/signals/batch_size')
      return answerJob(request, reply, async (options) => {
        const sources = plans.map(({ specification }) => ({ specification }))
        const networks = await analysis.signals(sources, measured, options)
        const classes = plans.map(({ specification }) => specification.classes)
        return {
          results: networks.map((network, index) => ({ id: plans[index]?.id ?? '', ...network })),
          rankings: rankModels(networks, classes),
        }
      })
    },
  )
}

function selectSettings({ seed = 0, repeats = 5, mode = 'training' }: SignalsQuestion) {
  return { seed, repeats, mode }
}

function planDraw(question: SignalsQuestion, pointer: string): SignalsRequest {
  const { input = 'gaussian', batch_size = 8 } = question
  if (input === 'images')
    throw fieldError(`${pointer}/input`, 'needs images: send them to a model as multipart/form-data')
  return { ...selectSettings(question), batch_size }
}

/** Plans a specification of a list. Pointers of errors start at its index. */
function planListed(spec: SpecificationRequest, index: number, maxParameters: number): Plan {
  try {
    return planRequest(spec, maxParameters)
  } catch (error) {
    if (!(error instanceof ServiceError) || error.errors.length === 0) throw error
    const errors = error.errors.map(({ pointer, detail }) => ({
      pointer: `#/specs/${String(index)}${pointer.slice(1)}`,
      detail,
    }))
    throw fieldErrors(errors, error.code)
  }
}
