import { createHash, type Hash } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { expect } from 'vitest'
import type { Client, ModelBody } from './client.ts'

const SAFETENSORS = 'application/vnd.safetensors'
export const HDF5 = 'application/x-hdf5'

/** Creates a model from a weights file; without an architecture the file's metadata contains the network. */
export async function loadWeights({ url }: Client, path: string, architecture?: unknown): Promise<ModelBody> {
  const form = new FormData()
  if (architecture !== undefined) form.append('spec', JSON.stringify({ architecture }))
  form.append('weights', await openAsBlob(path), 'weights.safetensors')
  const answer = await fetch(`${url}/v1/models`, { method: 'POST', body: form })
  const text = await answer.text()
  expect(answer.status, text.slice(0, 1000)).toBe(201)
  return JSON.parse(text) as ModelBody
}

/** Streams a model's weights to a file and returns the SHA-256 of the stream. */
export async function exportWeights(
  { url }: Client,
  model: string,
  {
    names,
    to,
    accept = SAFETENSORS,
  }: { readonly names: string; readonly to: string; readonly accept?: string },
): Promise<{ readonly path: string; readonly sha256: string }> {
  const { status, body } = await fetch(`${url}/v1/models/${model}/weights?names=${names}`, {
    headers: { accept },
  })
  expect(status).toBe(200)
  const hash = createHash('sha256')
  await writeFile(to, hashed(body as unknown as AsyncIterable<Uint8Array>, hash))
  return { path: to, sha256: hash.digest('hex') }
}

async function* hashed(parts: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const part of parts) {
    hash.update(part)
    yield part
  }
}
