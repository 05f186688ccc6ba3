import { quoteName, invalidWeights } from '../common/errors.ts'

const PICKLE = /(?:^|\/)data\.pkl$/u
const SHOWN_ENTRIES = 3

/**
 * The format of a zip archive by the names of its entries. Throws INVALID_WEIGHTS if it is neither of PyTorch nor of
 * Keras.
 */
export function detectArchiveFormat(names: readonly string[]): 'pytorch' | 'keras' {
  if (names.some((name) => PICKLE.test(name))) return 'pytorch'
  if (
    names.includes('model.weights.h5') ||
    (names.includes('config.json') && names.includes('metadata.json'))
  )
    return 'keras'
  throw invalidWeights(describeArchive(names))
}

function describeArchive(names: readonly string[]): string {
  if (names.length === 0) return 'is an empty zip archive; send the weights file'
  if (names.every((name) => name.endsWith('.npy')))
    return 'is an npz archive of numpy; write the tensors with safetensors.numpy.save_file'
  if (names.some((name) => name.endsWith('saved_model.pb')))
    return 'is an archive of a TensorFlow SavedModel; load it in Keras and write model.save("model.keras")'
  const shown = names
    .slice(0, SHOWN_ENTRIES)
    .map((name) => quoteName(name))
    .join(', ')
  const more = names.length > SHOWN_ENTRIES ? ' ...' : ''
  return `is a zip archive with ${shown}${more}, not of PyTorch or Keras; unpack it and send the weights file in it`
}
