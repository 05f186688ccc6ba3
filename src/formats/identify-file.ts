import { quoteName, invalidWeights } from '../common/errors.ts'
import { findFailedDownload, findUnusableFormat } from './file-signatures.ts'
import { openRegularFile, type RegularFile } from './regular-file.ts'

/** The container of a file. */
type Container = 'safetensors' | 'zip' | 'hdf5' | 'json'

/**
 * What the content of a file says. A failed download is neither weights nor a shard. A shard of raw numbers is
 * `unknown`; it resembles an unusable format only by chance. The problem continues a sentence.
 */
export type FileIdentity =
  | { readonly kind: Container }
  | { readonly kind: 'failed-download' | 'unusable' | 'unknown'; readonly problem: string }

const HEAD_BYTES = 1024
const TAIL_BYTES = 8
const HDF5 = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1')
/** The user block before an HDF5 signature is 0, 512, 1024, 2048 ... bytes (HDF5 File Format Specification, II.A). */
const FIRST_USER_BLOCK = 512
/** A file header, the end of an empty archive, and the mark of a split archive. */
const ZIP = ['PK\x03\x04', 'PK\x05\x06', 'PK\x07\x08']
/** A safetensors header has at most 100 MB and begins with a brace. */
const MAX_HEADER_BYTES = 100_000_000n
const OPEN_RECORD = 0x7b
const JSON_START = /^(?:\xef\xbb\xbf)?\s*\{\s*["}]/u
const CONTROL_CHARACTER = /[^\t\n\r\x20-\xff]/u
const FORMATS = 'send safetensors, PyTorch in zip form, Keras (.h5, .weights.h5, .keras) or tfjs files'

/** Identifies a file by its content. Throws INVALID_WEIGHTS if it cannot be read. */
export async function identifyFile(path: string): Promise<FileIdentity> {
  const invalid = (reason: string) => invalidWeights(`cannot be read: ${reason}`)
  const file = await openRegularFile(path, invalid)
  try {
    const head = await file.read(0, Math.min(HEAD_BYTES, file.size))
    const kind = identifyHead(head)
    if (kind !== undefined) return { kind }
    const failed = findFailedDownload(head)
    if (failed !== undefined) return { kind: 'failed-download', problem: failed }
    const tail = await file.read(Math.max(0, file.size - TAIL_BYTES), Math.min(TAIL_BYTES, file.size))
    const unusable = findUnusableFormat(head, tail)
    if (unusable !== undefined) return { kind: 'unusable', problem: unusable }
    return (await hasUserBlock(file)) ? { kind: 'hdf5' } : { kind: 'unknown', problem: describeUnknown(head) }
  } finally {
    await file.close()
  }
}

function identifyHead(head: Buffer): Container | undefined {
  const text = head.toString('latin1')
  if (ZIP.some((start) => text.startsWith(start))) return 'zip'
  if (head.subarray(0, HDF5.length).equals(HDF5)) return 'hdf5'
  if (JSON_START.test(text) && !CONTROL_CHARACTER.test(text)) return 'json'
  const isSafetensors = head[8] === OPEN_RECORD && head.readBigUInt64LE() <= MAX_HEADER_BYTES
  return isSafetensors ? 'safetensors' : undefined
}

/** Whether the signature of HDF5 follows a user block. */
async function hasUserBlock(file: RegularFile): Promise<boolean> {
  for (let at = FIRST_USER_BLOCK; at + HDF5.length <= file.size; at *= 2) {
    if ((await file.read(at, HDF5.length)).equals(HDF5)) return true
  }
  return false
}

function describeUnknown(head: Buffer): string {
  const text = head.toString('latin1')
  const isText = /^[\t\n\r\x20-\x7e]+$/u.test(text)
  const start = isText
    ? `the text ${quoteName(text.trim())}`
    : `the bytes ${head.toString('hex', 0, 8).replaceAll(/(?<=^(?:..)+)(?=.)/gu, ' ')}`
  return `has no known format: it begins with ${start}; ${FORMATS}`
}
