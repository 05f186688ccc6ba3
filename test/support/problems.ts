import { expect } from 'vitest'
import { ERRORS, type ErrorCode } from '../../src/common/errors.ts'
import type { Answer, ProblemBody } from './client.ts'

/** Expects a problem with this status and code; for invalid fields also their location and the cure. */
export interface Refusal {
  readonly status: number
  readonly code: ErrorCode
  readonly pointer?: string
  readonly says?: RegExp
}

export function expectProblem(answer: Answer, { status, code, pointer, says }: Refusal): ProblemBody {
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json\b/)
  const problem = answer.json as ProblemBody
  expect([answer.status, problem.code], problem.detail).toEqual([status, code])
  expect(problem).toMatchObject({
    type: `urn:resinit:problem:${code}`,
    title: ERRORS[code].title,
    status,
    error: problem.detail,
  })
  expect(answer.headers['x-request-id']).toMatch(/^[\w.:-]{1,128}$/)
  // Messages must not contain paths of the machine or stack traces.
  expect(problem.detail).not.toMatch(/node_modules|\.ts\b|\.js\b|\n\s+at /)
  if (pointer !== undefined) expect(problem.errors?.map((error) => error.pointer)).toContain(pointer)
  const details = [problem.detail, ...(problem.errors ?? []).map(({ detail }) => detail)].join('\n')
  if (says) expect(details).toMatch(says)
  return problem
}

/** Expects an error in the format of another protocol. */
export function expectForeignError(
  answer: Answer,
  { status, says }: { status: number; says?: RegExp },
): void {
  expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/json'])
  const { error, ...others } = answer.json as { error: string }
  expect(others).toEqual({})
  expect(error).not.toMatch(/node_modules|\.ts\b|\.js\b|\n\s+at /)
  expect(error).toMatch(says ?? /\w/)
}
