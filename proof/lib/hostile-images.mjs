import sharp from 'sharp'
import { hostileFiles } from './hostile-files.mjs'
import { hostileJpegs } from './hostile-jpegs.mjs'
import { hostilePngs } from './hostile-pngs.mjs'
import { hostileWebps } from './hostile-webps.mjs'
import { mutateBytes } from './mutations.mjs'

/**
 * A kind of harmful images. `verdict` is set if every image of the kind must be rejected; otherwise both
 * outcomes are right.
 * @typedef {{ name: string, verdict?: 'refused', make: (choices: import('./choices.mjs').Choices) => Buffer
 * }} ImageKind
 */

const SIDE = 224

/** Valid files of the model's size, and a photograph. */
export async function soundImages() {
  const pixels = Buffer.from(Array.from({ length: SIDE * SIDE * 3 }, (_, at) => ((at * at) >> 9) & 255))
  const own = sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
  return {
    jpeg: await own.clone().jpeg().toBuffer(),
    progressiveJpeg: await own.clone().jpeg({ progressive: true }).toBuffer(),
    photograph: await own.clone().resize(1000, 700).jpeg({ quality: 90 }).toBuffer(),
    png: await own.clone().png().toBuffer(),
    webp: await own.clone().webp().toBuffer(),
    losslessWebp: await own.clone().webp({ lossless: true }).toBuffer(),
  }
}

/**
 * All kinds.
 * @param {Awaited<ReturnType<typeof soundImages>>} sound
 * @returns {ImageKind[]}
 */
export function hostileImages(sound) {
  const { jpeg, progressiveJpeg, photograph, png, webp, losslessWebp } = sound
  const all = Object.values(sound)
  /** @type {(name: string, files: readonly Buffer[]) => ImageKind} */
  const mutated = (name, files) => ({ name, make: (choices) => mutateBytes(choices.of(files), choices) })
  return [
    ...hostileJpegs({ jpeg, progressiveJpeg, photograph }),
    ...hostilePngs({ png }),
    ...hostileWebps({ webp, losslessWebp }),
    ...hostileFiles(),
    mutated('JPEG with random changes', [jpeg, progressiveJpeg, photograph]),
    mutated('PNG with random changes', [png]),
    mutated('WebP with random changes', [webp, losslessWebp]),
    {
      name: 'two files in one',
      make: (choices) => {
        const [first, second] = [choices.of(all), choices.of(hostileFiles()).make(choices)]
        const at = choices.below(first.length)
        return choices.of([
          () => Buffer.concat([first, second]),
          () => Buffer.concat([second, first]),
          () => Buffer.concat([first, choices.of(all)]),
          () => Buffer.concat([first.subarray(0, at), second, first.subarray(at)]),
          () => Buffer.concat([first.subarray(0, 12), choices.of(all).subarray(12)]),
        ])()
      },
    },
  ]
}
