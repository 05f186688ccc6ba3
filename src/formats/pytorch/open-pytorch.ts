import { quoteName, invalidWeights } from '../../common/errors.ts'
import { dtypeNamed, toFloats } from '../dtypes.ts'
import type { TensorInfo, WeightsFile } from '../weights-file.ts'
import { openZip, type ZipArchive, type ZipEntry } from '../zip.ts'
import { damagedPytorch, SAVE_STATE_DICT } from './errors.ts'
import { readPickle } from './pickle.ts'
import { findTensors } from './state-dict.ts'
import { countValues } from '../shape.ts'
import { isContiguous, measureSpan, readStrided } from './strides.ts'
import type { PickledTensor } from './values.ts'

/** A tensor and the entry of the archive that holds its storage. */
interface StoredTensor extends PickledTensor {
  readonly entry: ZipEntry
  readonly bytes: number
}

/** The largest networks have about 1 MB. */
const MAX_PICKLE_BYTES = 16_777_216
const MAX_BYTE_ORDER_BYTES = 16
/** Values of a tensor that repeats those of its storage, with a stride of 0 for example. */
const MAX_REPEATED = 1_048_576
const ROOT_PICKLE = /^(?<root>[^/]*\/)?data\.pkl$/u

/**
 * Opens a file that torch.save wrote since PyTorch 1.6 (torch/serialization.py): a zip archive whose `data.pkl`
 * describes the tensors and whose `data/` holds their storages. Nothing of the pickle is executed. Throws
 * INVALID_WEIGHTS if the file is invalid or holds something else than a state_dict. The caller closes it.
 */
export async function openPytorch(path: string): Promise<WeightsFile> {
  const zip = await openZip(path)
  try {
    const [pickle, root] = findPickle(zip)
    refuseTorchScript(zip, root)
    await checkByteOrder(zip, root)
    const found = findTensors(readPickle(await zip.readWhole(pickle, MAX_PICKLE_BYTES)))
    const stored = new Map([...found].map(([name, tensor]) => [name, locateTensor(zip, root, name, tensor)]))
    return {
      format: 'pytorch',
      tensors: new Map([...stored].map(([name, tensor]) => [name, describeTensor(name, tensor)])),
      metadata: {},
      read: (name, offset = 0, count) => {
        const tensor = stored.get(name)
        if (tensor === undefined) throw new RangeError(`no tensor ${name}`)
        return readTensor(zip, tensor, offset, count ?? countValues(tensor.shape) - offset)
      },
      close: () => zip.close(),
    }
  } catch (error) {
    await zip.close()
    throw error
  }
}

/** The pickle and the name of its directory, which is the stem of the file's name or `archive`. */
function findPickle({ entries }: ZipArchive): [ZipEntry, string] {
  const found = [...entries.values()].flatMap((entry) => {
    const match = ROOT_PICKLE.exec(entry.name)
    return match === null ? [] : [[entry, match.groups?.['root'] ?? ''] as [ZipEntry, string]]
  })
  const [first, ...more] = found
  if (first === undefined)
    throw invalidWeights(
      `is a zip archive without data.pkl, so torch.save did not write it; ${SAVE_STATE_DICT}, or send safetensors`,
    )
  if (more.length > 0) throw damagedPytorch('it has several entries data.pkl')
  return first
}

function refuseTorchScript({ entries }: ZipArchive, root: string): void {
  const code = `${root}code/`
  if (entries.has(`${root}constants.pkl`) || [...entries.keys()].some((name) => name.startsWith(code)))
    throw invalidWeights(
      'is a TorchScript archive, which holds a program; save its weights: ' +
        'torch.save(torch.jit.load(path).state_dict(), path)',
    )
}

/** Files of PyTorch before 2.1 lack the entry; they are little-endian on all usual machines. */
async function checkByteOrder(zip: ZipArchive, root: string): Promise<void> {
  const entry = zip.entries.get(`${root}byteorder`)
  if (entry === undefined) return
  const order = (await zip.readWhole(entry, MAX_BYTE_ORDER_BYTES)).toString('latin1')
  if (order !== 'little')
    throw invalidWeights(
      `has the byte order ${JSON.stringify(order)}; load and save it on a little-endian machine`,
    )
}

/** Checks a tensor's description against the entry of its storage. */
function locateTensor(zip: ZipArchive, root: string, name: string, tensor: PickledTensor): StoredTensor {
  const { storage, dtype, offset, shape, strides } = tensor
  const entry = zip.entries.get(`${root}data/${storage.key}`)
  if (entry === undefined) throw wrong(name, 'refers to a storage that the archive lacks')
  if (!entry.isStored)
    throw wrong(name, 'is compressed; store the entries of the archive without compression')
  const bytes = dtypeNamed(dtype)?.bytes ?? 1
  const storageBytes = storage.count * (storage.dtype === undefined ? 1 : bytes)
  if (storageBytes > entry.size)
    throw wrong(name, `needs a storage of ${String(storageBytes)} bytes, but it has ${String(entry.size)}`)
  if (shape.length !== strides.length)
    throw wrong(name, `has ${String(shape.length)} axes and ${String(strides.length)} strides`)
  const available = Math.floor(storageBytes / bytes)
  const values = countValues(shape)
  const end = offset + measureSpan(shape, strides)
  if (!(end <= available))
    throw wrong(name, `needs a storage of ${String(end)} values, but it has ${String(available)}`)
  if (!(values <= Math.max(available, MAX_REPEATED)))
    throw wrong(name, `repeats ${String(available)} values; save it as tensor.contiguous()`)
  return { ...tensor, entry, bytes }
}

function describeTensor(name: string, { dtype, shape }: PickledTensor): TensorInfo {
  return { name, dtype, shape }
}

async function readTensor(
  zip: ZipArchive,
  tensor: StoredTensor,
  start: number,
  count: number,
): Promise<Float32Array> {
  if (start < 0 || count < 0 || start + count > countValues(tensor.shape))
    throw new RangeError(`no values ${String(start)} to ${String(start + count)}`)
  if (count === 0) return new Float32Array(0)
  const readStorage = async (position: number, length: number) =>
    toFloats(tensor.dtype, await zip.read(tensor.entry, position * tensor.bytes, length * tensor.bytes))
  return isContiguous(tensor)
    ? readStorage(tensor.offset + start, count)
    : readStrided(tensor, start, count, readStorage)
}

function wrong(name: string, detail: string) {
  return damagedPytorch(`tensor ${quoteName(name)} ${detail}`)
}
