import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { MAX_BATCH, SignalFields, type SignalsQuestion } from '../../analysis/signals-contract.ts'
import { bodyTooLarge, fieldError, pointerTo } from '../../common/errors.ts'
import { parser } from '../../common/validation.ts'
import { decodeAll } from '../shared/encoded-images.ts'
import { partsOf } from '../shared/forms.ts'
import { hangUp } from '../shared/client-abort.ts'
import type { Services } from '../shared/services.ts'

const { seed, repeats, mode } = SignalFields
const FormFields = Type.Partial(Type.Object({ input: Type.Enum(['images']), seed, repeats, mode }), {
  additionalProperties: false,
})
const parseFields = parser(FormFields, 'text')

/** A form of images (file parts, in their order the batch) and fields that say how to measure. */
export async function readSignalsForm(
  request: FastifyRequest,
  reply: FastifyReply,
  shape: readonly number[],
  { decoder, config }: Pick<Services, 'decoder' | 'config'>,
): Promise<{ question: SignalsQuestion; pixels: Uint8Array; count: number }> {
  const { MAX_BODY_BYTES, MAX_IMAGE_PIXELS: maxPixels } = config
  const fields: Record<string, unknown> = {}
  const files: Buffer[] = []
  let total = 0
  const limits = { parts: MAX_BATCH + 16, fileSize: MAX_BODY_BYTES }
  for await (const part of partsOf(request, { limits })) {
    if (part.type === 'field') {
      if (part.fieldname === 'batch_size')
        throw fieldError('#/batch_size', 'is the number of images; leave it out')
      if (part.fieldname in fields) throw fieldError(pointerTo('#', part.fieldname), 'is given twice')
      fields[part.fieldname] = part.value
      continue
    }
    const bytes = await part.toBuffer()
    total += bytes.length
    if (total > MAX_BODY_BYTES) throw bodyTooLarge()
    files.push(bytes)
    if (files.length > MAX_BATCH)
      throw fieldError('#/images', `must be at most ${String(MAX_BATCH)} images; send fewer`)
  }
  const question = parseFields(fields)
  if (files.length === 0) throw fieldError('#/images', 'needs at least one file part')
  const encoded = files.map((bytes, index) => ({ bytes, pointer: `#/images/${String(index)}` }))
  const decoded = await decodeAll(encoded, { shape, fit: 'cover', maxPixels }, decoder, hangUp(reply))
  return { question, pixels: Buffer.concat(decoded.map(({ pixels }) => pixels)), count: files.length }
}
