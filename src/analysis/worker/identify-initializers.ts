import { checkpoint, type JobContext } from '../../common/cancellation.ts'
import { openSafetensors, type SafetensorsFile } from '../../formats/safetensors.ts'
import { fieldError } from '../../common/errors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Layout } from '../../statistics/candidates.ts'
import { rankFits, REJECT_BELOW, type Fit, type RankedFit } from '../../statistics/fit.ts'
import type { Judgement } from '../../statistics/judgement.ts'
import type { FittedWeights } from '../contract.ts'
import { fitTensor, type TensorFit } from './fit-tensor.ts'
import type { Spectra } from './spectra.ts'

/**
 * The smallest tensor with bounds that is called fresh among trained tensors. In smaller ones, training may move
 * values by a tenth of their length without a visible change of any statistic.
 */
const MIN_STANDALONE_SIZE = 2 ** 15

/** Largest number of candidates per tensor. */
const MAX_REPORTED = 5

/**
 * Finds the initializers that the tensors of any safetensors file may come from. One tensor is in memory at a time,
 * large ones in part. Throws INVALID_WEIGHTS if the file has no tensor.
 */
export async function fitWeights(
  path: string,
  spectra: Spectra,
  given: Layout | undefined,
  job: JobContext,
): Promise<FittedWeights> {
  const file = await openSafetensors(path)
  try {
    if (file.tensors.size === 0) throw fieldError('#/weights', 'holds no tensor', 'INVALID_WEIGHTS')
    const layout = given ?? detectLayout(file)
    const found: TensorFit[] = []
    for (const tensor of file.tensors.values()) {
      await checkpoint(job)
      found.push(await fitTensor(file, tensor, layout, spectra))
    }
    const votes = countVotes(found)
    const trained = found.some(({ tensor }) => tensor.verdict === 'trained')
    const parameters = found.map(({ tensor, fits }) => ({
      ...tensor,
      ...(trained && tensor.verdict === 'fresh' ? judgeAmongTrained(sizeOf(tensor.shape), fits) : {}),
      candidates: selectBest(rankFits(fits, (initializer) => votes.get(JSON.stringify(initializer)) ?? 0)),
    }))
    return { layout, parameters }
  } finally {
    await file.close()
  }
}

/**
 * Judges a tensor that looks fresh in a file with trained tensors, because networks are usually trained as a whole.
 * The verdict stays `fresh` only if a training step would be visible: the tensor has a structure, which any step
 * destroys, or a bounded law and enough values that a step would move some out of the bounds.
 */
function judgeAmongTrained(size: number, fits: readonly RankedFit[]): Judgement {
  const kinds = fits.filter(({ p_value }) => p_value >= REJECT_BELOW).map(({ kind }) => kind)
  if (kinds.every((kind) => kind === 'structure')) return { verdict: 'fresh' }
  const bounded = kinds.every((kind) => kind === 'uniform' || kind === 'truncated_normal')
  if (bounded && size >= MIN_STANDALONE_SIZE) return { verdict: 'fresh' }
  const reason = bounded
    ? 'the tensor is too small for a verdict'
    : 'a small training step would not be visible in it'
  return { verdict: 'undecided', note: `${reason}, among trained tensors` }
}

/** torch calls kernels `weight`; all other writers of `format: pt` call them `kernel`. */
function detectLayout({ tensors, metadata }: SafetensorsFile): Layout {
  const names = [...tensors.keys()]
  if (names.some((name) => name.endsWith('kernel'))) return 'keras'
  return names.some((name) => name.endsWith('weight')) || metadata['format'] === 'pt' ? 'torch' : 'keras'
}

/** Counts the tensors that each initializer explains. */
function countVotes(found: readonly TensorFit[]): Map<string, number> {
  const votes = new Map<string, number>()
  for (const { fits } of found) {
    const accepted = fits.filter(({ p_value }) => p_value >= REJECT_BELOW)
    for (const key of new Set(accepted.map(({ initializer }) => JSON.stringify(initializer))))
      votes.set(key, (votes.get(key) ?? 0) + 1)
  }
  return votes
}

/** Selects the best fit of each initializer, which may read a shape in several ways. */
function selectBest(fits: readonly RankedFit[]): Fit[] {
  const names = fits.map(({ initializer }) => JSON.stringify(initializer))
  return fits
    .filter((_, index) => names.indexOf(names[index] ?? '') === index)
    .slice(0, MAX_REPORTED)
    .map(({ initializer, p_value, std_ratio }) => ({ initializer, p_value, std_ratio }))
}
