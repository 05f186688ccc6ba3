import { detectArchiveFormat } from './archive-format.ts'
import { openKerasArchive } from './keras/open-archive.ts'
import { openPytorch } from './pytorch/open-pytorch.ts'
import type { WeightsFile } from './weights-file.ts'
import { openZip } from './zip.ts'

/** Opens a zip archive of PyTorch or Keras. Throws INVALID_WEIGHTS. The caller closes it. */
export async function openZipWeights(path: string): Promise<WeightsFile> {
  const zip = await openZip(path)
  const names = [...zip.entries.keys()]
  await zip.close()
  return detectArchiveFormat(names) === 'pytorch' ? await openPytorch(path) : await openKerasArchive(path)
}
