import { readFileSync } from 'node:fs'

interface Oddity {
  readonly name: string
  readonly file: Buffer
}

/** A file that decodes to these RGB pixels. */
export interface SoundOddity extends Oddity {
  readonly width: number
  readonly height: number
  readonly pixels: Buffer
  /** Tolerance of a channel. */
  readonly tolerance: number
}

export interface RefusedOddity extends Oddity {
  readonly says: string
}

const corpus = JSON.parse(
  readFileSync(new URL('../oddities/corpus.json', import.meta.url), 'utf8'),
) as readonly (Record<'name' | 'file', string> &
  (Pick<SoundOddity, 'width' | 'height' | 'tolerance'> & { pixels: string } & Partial<RefusedOddity>))[]

/** Files of test/oddities/generate.py with Pillow's pixels. */
export const soundOddities: readonly SoundOddity[] = corpus
  .filter(({ says }) => says === undefined)
  .map((entry) => ({ ...entry, file: bytesOf(entry.file), pixels: bytesOf(entry.pixels) }))

export const refusedOddities: readonly RefusedOddity[] = corpus.flatMap(({ name, file, says }) =>
  says === undefined ? [] : [{ name, file: bytesOf(file), says }],
)

function bytesOf(base64: string): Buffer {
  return Buffer.from(base64, 'base64')
}
