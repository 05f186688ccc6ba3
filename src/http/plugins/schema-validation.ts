import fp from 'fastify-plugin'
import { fieldErrors } from '../../common/errors.ts'
import { checker } from '../../common/validation.ts'
import { toJson } from '../shared/schema-parts.ts'

/** Validates bodies as JSON values, and queries and path parameters as text. Responses are plain JSON. */
export const schemaValidation = fp(
  (app, _options, done) => {
    app.setValidatorCompiler(({ schema, httpPart, contentType = 'application/json' }) => {
      // Schemas of other content types only document a body; the route parses and checks it.
      if (contentType !== 'application/json') return () => true
      const check = checker(schema, httpPart === 'body' ? 'json' : 'text')
      return (data: unknown) => {
        const errors = check(data)
        return errors.length > 0 ? { error: fieldErrors(errors) } : { value: data }
      }
    })
    app.setSerializerCompiler(() => toJson)
    done()
  },
  { name: 'schema-validation' },
)
