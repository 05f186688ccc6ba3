import { describe, expect, it } from 'vitest'
import { ServiceError } from '../../../src/common/errors.ts'
import { openInferenceErrors } from '../../../src/http/open-inference/error-format.ts'
import { ErrorFormats } from '../../../src/http/shared/error-formats.ts'
import { tensorflowServingErrors } from '../../../src/http/tensorflow-serving/error-format.ts'

const formats = new ErrorFormats([openInferenceErrors, tensorflowServingErrors])
const deadline = new ServiceError('DEADLINE_EXCEEDED', 'too late')
const invalid = new ServiceError('INVALID_REQUEST', 'x'.repeat(2000))

describe('the error format of a path', () => {
  it.each([undefined, '/', '/v1/models/net', '/v1/models/net/weights', '/v20', '/nothing'])(
    'is a problem document for %s',
    (url) => {
      const { status, headers, body } = formats.format(invalid, url)
      expect(status).toBe(422)
      expect(headers['content-type']).toBe('application/problem+json')
      expect(body).toMatchObject({ code: 'INVALID_REQUEST', status: 422 })
    },
  )

  it.each(['/v2', '/v2/models/net/infer?x=1', '/v1/models/net:predict', '/v1/models/net/versions/1'])(
    'is plain JSON with a limited message for %s',
    (url) => {
      const { status, headers, body } = formats.format(invalid, url)
      expect(status).toBe(400)
      expect(headers['content-type']).toBe('application/json')
      expect(body).toEqual({ error: 'x'.repeat(1000) })
    },
  )

  it('has the statuses of its protocol, and Retry-After for 429 and 503', () => {
    expect(formats.format(deadline, '/v2/models/net/infer')).toMatchObject({
      status: 503,
      headers: { 'retry-after': '1' },
    })
    expect(formats.format(deadline, '/v1/models/net:predict')).toMatchObject({ status: 504 })
    expect(formats.format(deadline, '/v1/models/net/predict')).toMatchObject({ status: 504 })
  })
})
