import Type, { type TProperties, type TSchema, type TSchemaOptions } from 'typebox'

/** An object that takes no other fields. */
export const closed = <P extends TProperties>(properties: P) =>
  Type.Object(properties, { additionalProperties: false })

/** The same, under a name of its own in the OpenAPI document. */
export const named = <P extends TProperties>(title: string, properties: P) =>
  Type.Object(properties, { additionalProperties: false, title })

/** What the service answers: named, and free to grow. */
export const answer = <P extends TProperties>(title: string, properties: P) =>
  Type.Object(properties, { title })

export const nullable = <S extends TSchema>(schema: S, options: TSchemaOptions = {}) =>
  Type.Union([schema, Type.Null()], options)

/** A number that may be NaN or infinite. JSON has neither, so answers say them in words. */
export const Num = Type.Unsafe<number>({
  anyOf: [{ type: 'number' }, { enum: ['NaN', 'Infinity', '-Infinity'] }],
})
