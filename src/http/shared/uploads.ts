import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { bodyTooLarge, fieldError, pointerTo, ServiceError } from '../../common/errors.ts'
import { readNpy, type NpyArray } from '../../formats/npy.ts'
import { malformedJson, stripByteOrderMark } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import { parser } from '../../common/validation.ts'
import { decodeBase64 } from './base64.ts'
import type { EncodedImage } from './encoded-images.ts'
import { NPY } from './schema-parts.ts'
import { PredictBody, PredictQuery } from './prediction-schemas.ts'
import { readParts } from './forms.ts'

/** Encoded images, or an array of pixels. */
export type Upload =
  | { readonly kind: 'images'; readonly images: readonly EncodedImage[] }
  | { readonly kind: 'array'; readonly array: NpyArray }

/** Types, curl's default among them, that do not identify the content. Its first bytes do. */
const UNSPECIFIC = ['', 'application/octet-stream', 'application/x-www-form-urlencoded']
const parseBody = parser(PredictBody)

/** Reads the images of a prediction request in any of its formats. */
export async function readUpload(request: FastifyRequest, config: Config): Promise<Upload> {
  if (request.isMultipart()) return { kind: 'images', images: await readFiles(request, config) }
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const unspecific = UNSPECIFIC.includes(type)
  const { body } = request
  if (type === 'application/json') return readInstances(body as PredictBody, config)
  if (!Buffer.isBuffer(body) || body.length === 0) {
    throw new ServiceError(
      'MALFORMED_REQUEST',
      `the body is empty; send an image, ${NPY}, multipart/form-data or {"instances": [{"b64": "..."}]}`,
    )
  }
  if (type === NPY || (unspecific && body.subarray(1, 6).toString('latin1') === 'NUMPY'))
    return { kind: 'array', array: readNpy(body) }
  if (unspecific && /^\s*\{/.test(stripByteOrderMark(body).subarray(0, 100).toString('latin1')))
    return readInstances(parseBody(await parseJsonBody(body, 'the body')), config)
  if (!unspecific && !type.startsWith('image/')) {
    throw new ServiceError(
      'UNSUPPORTED_MEDIA_TYPE',
      `${type} is not an image type; send image/jpeg, image/png, image/webp or ${NPY}`,
    )
  }
  return { kind: 'images', images: [{ bytes: body, pointer: '#' }] }
}

/** Rejects more images than the queue can hold, even when it is empty. */
export function assertCount(count: number, pointer: string, maxQueue: number): void {
  if (count > maxQueue)
    throw fieldError(pointer, `must be at most ${String(maxQueue)} images (MAX_QUEUE); send fewer at once`)
}

async function readFiles(
  request: FastifyRequest,
  { MAX_QUEUE, MAX_BODY_BYTES }: Config,
): Promise<EncodedImage[]> {
  const images: EncodedImage[] = []
  let total = 0
  const limits = { parts: MAX_QUEUE + 1, fileSize: MAX_BODY_BYTES }
  for await (const part of readParts(request, { limits })) {
    const { fieldname } = part
    if (part.type === 'field') {
      const cure =
        fieldname in PredictQuery.properties
          ? 'belongs in the query'
          : 'is not a file; send every image as a file part, with a filename'
      throw fieldError(pointerTo('#', fieldname), cure)
    }
    const bytes = await part.toBuffer()
    total += bytes.length
    if (total > MAX_BODY_BYTES) throw bodyTooLarge()
    images.push({ bytes, pointer: `#/images/${String(images.length)}` })
    assertCount(images.length, '#/images', MAX_QUEUE)
  }
  if (images.length === 0) throw fieldError('#/images', 'needs at least one file part')
  return images
}

function readInstances({ instances }: PredictBody, { MAX_QUEUE }: Config): Upload {
  assertCount(instances.length, '#/instances', MAX_QUEUE)
  const images = instances.map(({ b64 }, index) => {
    const pointer = `#/instances/${String(index)}/b64`
    const bytes = decodeBase64(b64)
    if (bytes === undefined) throw fieldError(pointer, 'is not base64')
    return { bytes, pointer }
  })
  return { kind: 'images', images }
}

export async function parseJsonBody(text: Buffer, subject: string): Promise<unknown> {
  try {
    return await readJson(text)
  } catch (error) {
    throw malformedJson(subject, error)
  }
}
