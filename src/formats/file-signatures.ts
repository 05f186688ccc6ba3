/** Recognizes a format by the first and the last bytes of a file. */
interface Signature {
  /** The bytes at the position, by default the first ones, or a test of the head. */
  readonly matches: (head: Buffer, tail: Buffer) => boolean
  /** Continues a sentence: what the file is, and the cure. */
  readonly problem: string
}

const EXPORT_STATE =
  'load it in PyTorch and write torch.save(model.state_dict(), path) with torch 1.6 or newer, or safetensors'
const EXPORT_KERAS = 'load it in Keras and write model.save("model.keras")'
const SEND_INNER = 'unpack it and send the weights file in it'

const ONNX_FIELDS = [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42]

const isBetween = (byte = 0, low: number, high: number): boolean => byte >= low && byte <= high
const bytes = (text: string, position = 0): Signature['matches'] => {
  const expected = Buffer.from(text, 'latin1')
  return (head) => head.subarray(position, position + expected.length).equals(expected)
}
const pattern =
  (expression: RegExp): Signature['matches'] =>
  (head) =>
    expression.test(head.toString('latin1'))
const anyOf =
  (...tests: readonly Signature['matches'][]): Signature['matches'] =>
  (...file) =>
    tests.some((test) => test(...file))

/** Texts that a failed download leaves. They are too long to begin a shard of raw numbers by chance. */
const FAILED_DOWNLOADS: readonly Signature[] = [
  { matches: (head) => head.length === 0, problem: 'is an empty file; write or download it again' },
  {
    matches: bytes('version https://git-lfs'),
    problem:
      'is a pointer of git-lfs (version https://git-lfs.github.com/spec/v1), not the file itself; run "git lfs pull" and send the file again',
  },
  {
    matches: pattern(/^(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|\?xml|!--)/iu),
    problem:
      'is an HTML page; the download needs a login or another link, on Hugging Face /resolve/ instead of /blob/',
  },
]

const UNUSABLE: readonly Signature[] = [
  {
    matches: (head) => head[0] === 0x80 && isBetween(head[1], 2, 5),
    problem: `is a pickle outside of a zip archive, for example of torch before 1.6; ${EXPORT_STATE}`,
  },
  {
    matches: bytes('\x93NUMPY'),
    problem: 'is an array of numpy without names; write all tensors with safetensors.numpy.save_file',
  },
  {
    matches: bytes('GGUF'),
    problem: 'is a GGUF file, which holds language models; send safetensors or PyTorch weights',
  },
  { matches: bytes('TFL3', 4), problem: `is a TensorFlow Lite model; ${EXPORT_KERAS} of the original model` },
  {
    matches: bytes('\x08\x01\x12'),
    problem: `is saved_model.pb of a TensorFlow SavedModel; ${EXPORT_KERAS}`,
  },
  {
    // The field ir_version, then a field of ModelProto.
    matches: (head) => head[0] === 0x08 && isBetween(head[1], 2, 31) && ONNX_FIELDS.includes(head[2] ?? 0),
    problem: 'is an ONNX model; send the weights that it was exported from, in safetensors or PyTorch format',
  },
  {
    matches: (_, tail) => tail.equals(Buffer.from('57fb808b247547db', 'hex')),
    problem: `is the .index of a TensorFlow checkpoint; ${EXPORT_KERAS}`,
  },
  {
    matches: pattern(/^(?:all_)?model_checkpoint_paths?:/u),
    problem: `is the list of TensorFlow checkpoints; ${EXPORT_KERAS}`,
  },
  {
    matches: bytes('MATLAB '),
    problem: 'is a MATLAB file; convert it to safetensors',
  },
  {
    matches: anyOf(bytes('ustar', 257), bytes('\x1f\x8b')),
    problem: `is a tar or gzip archive; ${SEND_INNER}`,
  },
  {
    matches: anyOf(
      ...['BZh', '\xfd7zXZ\0', '\x28\xb5\x2f\xfd', '7z\xbc\xaf\x27\x1c', 'Rar!'].map((text) => bytes(text)),
    ),
    problem: `is a compressed archive; ${SEND_INNER}`,
  },
  {
    matches: anyOf(
      ...['\xff\xd8\xff', '\x89PNG\r\n', 'GIF8', '%PDF-'].map((text) => bytes(text)),
      bytes('WEBP', 8),
    ),
    problem: 'is an image or a document; send the weights file',
  },
]

/** The problem of a failed download, if the head of a file shows one. */
export function findFailedDownload(head: Buffer): string | undefined {
  return FAILED_DOWNLOADS.find(({ matches }) => matches(head, head))?.problem
}

/** The problem of a file of a format that is not supported, if its first or last bytes show one. */
export function findUnusableFormat(head: Buffer, tail: Buffer): string | undefined {
  return UNUSABLE.find(({ matches }) => matches(head, tail))?.problem
}
