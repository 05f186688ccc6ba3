import type { SignalsRequest } from '../../analysis/contract.ts'
import { affordableMemory } from '../../analysis/memory-estimate.ts'
import { rankModels } from '../../analysis/rankings.ts'
import { SignalsQuestion } from '../../analysis/signals-contract.ts'
import { fieldError, fieldErrors, ServiceError } from '../../common/errors.ts'
import { planRequest, planSpecification, type Plan } from '../../network/plan.ts'
import type { SpecificationRequest } from '../../network/specification.ts'
import { answerJob } from '../shared/server-sent-events.ts'
import { ModelReference } from '../shared/model-schemas.ts'
import { Comparison, ComparisonRequest, ModelSignals, SignalsForm, withEvents } from './signal-schemas.ts'
import type { App, Services } from '../shared/services.ts'
import { readSignalsForm } from './signals-form.ts'

/** Signals on their way through a network and back: of a model, and of specifications side by side. */
export function signalRoutes(app: App, services: Services): void {
  const { registry, analysis, config } = services
  const { ANALYSIS_MEMORY_BYTES: budget, MAX_MODEL_PARAMETERS } = config

  app.post(
    '/v1/models/:model/signals',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'measureSignals',
        tags: ['models'],
        summary: 'How signals and gradients pass through the network: block by block, with a verdict',
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
      // What is refused is refused with its status, before an answer of events begins.
      await registry.weightsOf(model)
      return answerJob(request, reply, async (control) => {
        const [signals] = await registry.withWeights(model, (source) =>
          analysis.signals([source], measured, control),
        )
        if (signals === undefined) throw new TypeError('no signals came of a network')
        return { model: id, weights, ...signals }
      })

      async function readQuestion(): Promise<{ measured: SignalsRequest; pointer: string }> {
        if (!request.isMultipart())
          return { measured: drawn(request.body as SignalsQuestion, '#'), pointer: '#/batch_size' }
        const shape = specification.architecture.input_shape
        const { question, pixels, count } = await readSignalsForm(request, reply, shape, services)
        return { measured: { ...settings(question), batch_size: count, pixels }, pointer: '#/images' }
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
          'The same for several specifications under the same input and labels, ranked; nothing is built',
        body: ComparisonRequest,
        response: { 200: withEvents(Comparison) },
      },
    },
    async (request, reply) => {
      const { specs, signals = {} } = request.body
      const measured = drawn(signals, '#/signals')
      const plans = specs.map((spec, index) => planAt(spec, index, MAX_MODEL_PARAMETERS))
      for (const plan of plans) affordableMemory(plan, measured.batch_size, budget, '#/signals/batch_size')
      return answerJob(request, reply, async (control) => {
        const sources = plans.map(({ specification }) => ({ specification }))
        const networks = await analysis.signals(sources, measured, control)
        const classes = plans.map(({ specification }) => specification.classes)
        return {
          results: networks.map((network, index) => ({ id: plans[index]?.id ?? '', ...network })),
          rankings: rankModels(networks, classes),
        }
      })
    },
  )
}

function settings({ seed = 0, repeats = 5, mode = 'training' }: SignalsQuestion) {
  return { seed, repeats, mode }
}

function drawn(question: SignalsQuestion, pointer: string): SignalsRequest {
  const { input = 'gaussian', batch_size = 8 } = question
  if (input === 'images')
    throw fieldError(`${pointer}/input`, 'needs images: send them to a model as multipart/form-data')
  return { ...settings(question), batch_size }
}

/** What is wrong with a specification is wrong at its place in the list. */
function planAt(spec: SpecificationRequest, index: number, maxParameters: number): Plan {
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
