import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Config } from '../../config.ts'
import { bodyTooLarge, fieldError, ServiceError } from '../../errors.ts'
import { readNpy, type NpyArray } from '../../formats/npy.ts'
import type { PredictBody } from '../schemas/predictions.ts'

/** Encoded images with where each stood in the request; or an array of pixels. */
export type Upload =
  | {
      readonly kind: 'images'
      readonly images: readonly { readonly bytes: Uint8Array; readonly pointer: string }[]
    }
  | { readonly kind: 'array'; readonly array: NpyArray }

/** Types that say nothing of the content (curl's default among them): what it is shows in its first bytes. */
const UNSPECIFIC = ['', 'application/octet-stream', 'application/x-www-form-urlencoded']
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/

/** The images of a prediction request, in any of the forms it may have. */
export async function readUpload(
  request: FastifyRequest,
  { MAX_QUEUE, MAX_BODY_BYTES }: Config,
): Promise<Upload> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (request.isMultipart()) {
    const images = []
    let total = 0
    for await (const file of request.files({ limits: { files: MAX_QUEUE, fileSize: MAX_BODY_BYTES } })) {
      const bytes = await file.toBuffer()
      total += bytes.length
      if (total > MAX_BODY_BYTES) throw bodyTooLarge()
      images.push({ bytes, pointer: `#/images/${String(images.length)}` })
    }
    if (images.length === 0) throw fieldError('#/images', 'needs at least one file part')
    return { kind: 'images', images }
  }
  if (type === 'application/json') {
    const { instances } = request.body as Static<typeof PredictBody>
    const images = instances.map(({ b64 }, index) => {
      const pointer = `#/instances/${String(index)}/b64`
      if (!BASE64.test(b64)) throw fieldError(pointer, 'is not base64')
      return { bytes: Buffer.from(b64, 'base64'), pointer }
    })
    return { kind: 'images', images }
  }
  const body = request.body
  if (!Buffer.isBuffer(body) || body.length === 0) {
    throw fieldError(
      '#',
      'is empty; send an image, application/x-npy, multipart/form-data or {"instances": [{"b64": "..."}]}',
    )
  }
  if (
    type === 'application/x-npy' ||
    (UNSPECIFIC.includes(type) && body.subarray(1, 6).toString('latin1') === 'NUMPY')
  ) {
    return { kind: 'array', array: readNpy(body) }
  }
  if (!UNSPECIFIC.includes(type) && !type.startsWith('image/')) {
    throw new ServiceError(
      'UNSUPPORTED_MEDIA_TYPE',
      `${type} is no image; send image/jpeg, image/png, image/webp or application/x-npy`,
    )
  }
  return { kind: 'images', images: [{ bytes: body, pointer: '#' }] }
}
