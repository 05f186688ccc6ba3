import Type from 'typebox'
import { Rankings } from '../../analysis/rankings.ts'
import { NetworkSignals, SignalFields, SignalsQuestion } from '../../analysis/signals-contract.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import { answer, named } from '../../common/schema.ts'
import { Bytes, EVENTS, optional } from '../shared/schema-parts.ts'

export const ModelSignals = answer('ModelSignals', {
  model: Type.String(),
  weights: Type.Enum(['initialized', 'loaded']),
  ...NetworkSignals.properties,
})

const { seed, repeats, mode } = SignalFields
export const SignalsForm = Type.Object(
  { ...Type.Partial(Type.Object({ seed, repeats, mode })).properties, images: Type.Array(Bytes()) },
  { description: 'The images form the batch' },
)

export const ComparisonRequest = named('ComparisonRequest', {
  specs: Type.Array(SpecificationRequest, { minItems: 2, maxItems: 8 }),
  signals: optional(SignalsQuestion),
})
export const Comparison = answer('Comparison', {
  results: Type.Array(answer('ComparedSignals', { id: Type.String(), ...NetworkSignals.properties }), {
    description: 'In the order of `specs`',
  }),
  rankings: Rankings,
})

/** JSON, or events that end with the same result. */
export const withEvents = <S extends object>(schema: S) => ({
  description: `The result; with Accept: ${EVENTS}, events "progress" {"done", "total"}, then "result" or "error"`,
  content: { 'application/json': { schema }, [EVENTS]: { schema: Type.String() } },
})
