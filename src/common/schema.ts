import Type, { type TProperties, type TSchema, type TSchemaOptions } from 'typebox'

/** An object without additional fields. */
export const closed = <P extends TProperties>(properties: P) =>
  Type.Object(properties, { additionalProperties: false })

/** A closed object with a name in the OpenAPI document. */
export const named = <P extends TProperties>(title: string, properties: P) =>
  Type.Object(properties, { additionalProperties: false, title })

/** A named object in responses. Later versions may add fields. */
export const answer = <P extends TProperties>(title: string, properties: P) =>
  Type.Object(properties, { title })

export const nullable = <S extends TSchema>(schema: S, options: TSchemaOptions = {}) =>
  Type.Union([schema, Type.Null()], options)

/** A number that may be NaN or infinite. JSON has neither, so responses use strings. */
export const Num = Type.Unsafe<number>({
  anyOf: [{ type: 'number' }, { enum: ['NaN', 'Infinity', '-Infinity'] }],
})
