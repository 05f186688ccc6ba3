import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ServiceError } from '../../../src/common/errors.ts'
import { initializeParameters } from '../../../src/network/parameters.ts'
import type { Plan } from '../../../src/network/plan.ts'
import { specificationRequests } from '../support/arbitrary-specification.ts'
import { planned } from '../support/requests.ts'

/** The plan, or the ServiceError; any other error fails the test. */
function attempt(body: unknown): Plan | ServiceError {
  try {
    return planned(body)
  } catch (error) {
    expect(error).toBeInstanceOf(ServiceError)
    return error as ServiceError
  }
}

describe('any request of the schema', () => {
  test('is planned, or rejected with a pointer to a field', () => {
    const seen = { plans: 0, refusals: new Set<string>() }
    fc.assert(
      fc.property(specificationRequests, (body) => {
        const outcome = attempt(body)
        if (!(outcome instanceof ServiceError)) {
          seen.plans += 1
          return
        }
        seen.refusals.add(outcome.code)
        expect(outcome.errors.length).toBeGreaterThan(0)
        for (const { pointer } of outcome.errors)
          expect(pointer).toMatch(
            /^#\/(architecture|classes|initializers|seed|labels|preprocessing|residual_scheme)/,
          )
      }),
      { numRuns: 1000, seed: 20 },
    )
    expect(seen.plans).toBeGreaterThan(100)
    expect([...seen.refusals].sort()).toEqual(['INVALID_REQUEST', 'SHAPE_MISMATCH'])
  })

  test('has the same id and the same plan when its resolved specification is sent back', () => {
    fc.assert(
      fc.property(specificationRequests, (body) => {
        const outcome = attempt(body)
        fc.pre(!(outcome instanceof ServiceError))
        const again = planned(JSON.parse(JSON.stringify(outcome.specification)))
        expect(again.specification).toEqual(outcome.specification)
        expect(again.id).toBe(outcome.id)
        expect(again.totals).toEqual(outcome.totals)
      }),
      { numRuns: 150 },
    )
  })

  test('gives every parameter one name, one layer and, where drawn, one seed vector', () => {
    fc.assert(
      fc.property(specificationRequests, (body) => {
        const { initializers, ...plain } = body
        const outcome = attempt(plain)
        fc.pre(!(outcome instanceof ServiceError))
        const names = outcome.parameters.map(({ name }) => name)
        expect(new Set(names).size).toBe(names.length)
        expect(outcome.layers.flatMap(({ parameters }) => parameters.map(({ name }) => name)).sort()).toEqual(
          names.sort(),
        )
        const { specification } = outcome
        const seeds = initializeParameters(outcome.parameters, specification)
          .filter(({ law }) => law.kind !== 'constant')
          .map(({ seed }) => JSON.stringify(seed))
        expect(new Set(seeds).size).toBe(seeds.length)
      }),
      { numRuns: 150 },
    )
  })
})
