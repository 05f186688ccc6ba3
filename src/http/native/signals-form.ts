import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { MAX_BATCH, SignalFields, type SignalsQuestion } from '../../analysis/signals-contract.ts'
import { bodyTooLarge, fieldError, pointerTo } from '../../common/errors.ts'
import { parser } from '../../common/validation.ts'
import { decodeAll } from '../shared/encoded-images.ts'
import { readParts } from '../shared/forms.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import type { Config } from '../../config.ts'
import type { Specification } from '../../network/specification.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'

const { seed, repeats, mode } = SignalFields
const FormFields = Type.Partial(Type.Object({ input: Type.Enum(['images']), seed, repeats, mode }), {
  additionalProperties: false,
})
const parseFields = parser(FormFields, 'text')

interface Context {
  readonly decoder: ImageDecoder
  readonly config: Pick<Config, 'MAX_BODY_BYTES' | 'MAX_IMAGE_PIXELS'>
}

/** Reads a form of images (file parts, which form the batch in their order) and measurement settings. */
export async function readSignalsForm(
  request: FastifyRequest,
  reply: FastifyReply,
  { architecture, preprocessing }: Specification,
  { decoder, config }: Context,
): Promise<{ question: SignalsQuestion; pixels: Uint8Array; count: number }> {
  const { MAX_BODY_BYTES, MAX_IMAGE_PIXELS: maxPixels } = config
  const fields: Record<string, unknown> = {}
  const files: Buffer[] = []
  let total = 0
  const limits = { parts: MAX_BATCH + 16, fileSize: MAX_BODY_BYTES }
  for await (const part of readParts(request, { limits })) {
    if (part.type === 'field') {
      if (part.fieldname === 'batch_size')
        throw fieldError('#/batch_size', 'is the number of images; leave it out')
      if (part.fieldname in fields) throw fieldError(pointerTo('#', part.fieldname), 'is sent twice')
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
  const { input_shape: shape } = architecture
  const options = { shape, fit: 'cover', resize: preprocessing.resize, maxPixels } as const
  const decoded = await decodeAll(encoded, options, decoder, abortOnClose(reply))
  return { question, pixels: Buffer.concat(decoded.map(({ pixels }) => pixels)), count: files.length }
}
