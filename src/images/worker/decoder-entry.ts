import { answerCalls } from '../../ipc/child.ts'
import { decodeImage } from './decode.ts'
import {
  detectFormat,
  findResize,
  invalidImage,
  UnusableImage,
  type DecoderMethods,
} from '../decoder-contract.ts'

/** For larger files and decoded images a garbage collection is worth its few milliseconds. */
const COLLECTED_BYTES = 2 ** 20
let file = Buffer.alloc(0)

// SIGKILL, because Node's exit waits for a running decode.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

answerCalls<DecoderMethods>(
  {
    receive: (part, offset, fileLength) => {
      if (offset === 0) file = Buffer.allocUnsafeSlow(fileLength)
      file.set(part, offset)
    },
    decode: async (pointer, options) => {
      const format = detectFormat(file)
      if (format === undefined) throw new TypeError('the parent sends files of known formats only')
      const collected = file.length >= COLLECTED_BYTES
      if (collected) collectGarbage()
      try {
        const decoded = await decodeImage(file, format, options)
        file = Buffer.alloc(0)
        const { width, height } = decoded
        const whole = findResize(options) !== null && width * height >= COLLECTED_BYTES
        if (collected || whole) collectGarbage()
        return { ...decoded, residentBytes: process.memoryUsage.rss() }
      } catch (error) {
        if (error instanceof UnusableImage) throw invalidImage(pointer, error.message)
        throw error
      }
    },
  },
  null,
)

/** Buffers are outside of the heap, so V8 collects them late. */
function collectGarbage(): void {
  globalThis.gc?.()
}
