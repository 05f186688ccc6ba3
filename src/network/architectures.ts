import type { preprocessings } from './preprocessing.ts'
import type { ArchitectureRequest } from './specification.ts'

/** An architecture as in a request, with the defaults that it adds to a specification. */
export interface Preset {
  readonly architecture: ArchitectureRequest
  readonly classes: number
  readonly preprocessing: keyof typeof preprocessings
  readonly summary: string
}

const COMMON = { version: 'v1.5', padding: 'symmetric' } as const
const STEM = {
  kernel_size: 7,
  filters: 64,
  strides: 2,
  padding: 'symmetric',
  pool: { type: 'max', size: 3, strides: 2, padding: 'symmetric' },
} as const

function imagenet(block: 'basic' | 'bottleneck', blocks: readonly number[], summary: string): Preset {
  return {
    architecture: {
      ...COMMON,
      block,
      stem: STEM,
      stages: blocks.map((count, stage) => ({
        blocks: count,
        filters: 64 * 2 ** stage,
        strides: stage === 0 ? 1 : 2,
      })),
    },
    classes: 1000,
    preprocessing: 'torch',
    summary,
  }
}

/** He et al. 2015, section 4.2: 6n + 2 layers on 32x32 images, with projections where shapes change. */
function cifar(depth: number): Preset {
  const blocks = (depth - 2) / 6
  return {
    architecture: {
      ...COMMON,
      block: 'basic',
      stem: { kernel_size: 3, filters: 16, strides: 1, padding: 'symmetric', pool: null },
      stages: [16, 32, 64].map((filters, stage) => ({ blocks, filters, strides: stage === 0 ? 1 : 2 })),
      input_shape: [32, 32, 3],
    },
    classes: 10,
    preprocessing: 'torch',
    summary: `ResNet-${String(depth)} for 32x32 images, ${String(blocks)} blocks per stage`,
  }
}

/**
 * ResNets of `keras.applications`: bit for bit equal with "seeding": "keras" (`keras/src/applications/resnet.py`).
 */
function application(version: 'v1' | 'v2', depth: number, blocks: readonly number[]): Preset {
  const preActivation = version === 'v2'
  const strides = preActivation ? [2, 2, 2, 1] : [1, 2, 2, 2]
  return {
    architecture: {
      version,
      block: 'bottleneck',
      stem: STEM,
      stages: blocks.map((count, stage) => ({
        blocks: count,
        filters: 64 * 2 ** stage,
        strides: strides[stage] ?? 1,
      })),
      strides_in: preActivation ? 'last' : 'first',
      padding: 'symmetric',
      shortcut: preActivation ? 'pool' : 'projection',
      use_bias: preActivation ? 'unnormed' : true,
      norm: { type: 'batch', epsilon: 1.001e-5, momentum: 0.99 },
    },
    classes: 1000,
    preprocessing: preActivation ? 'tf' : 'caffe',
    summary: `Keras's ResNet${String(depth)}${preActivation ? 'V2' : ''} from keras.applications`,
  }
}

const torchvision = (depth: number): string => `ResNet-${String(depth)} v1.5, torchvision's layout`

/** The article's network, as tf.layers builds it. */
const residualNetwork: Preset = {
  architecture: {
    version: 'v1.5',
    block: 'basic',
    stem: { kernel_size: 7, filters: 64, strides: 2, padding: 'same', pool: null },
    stages: [64, 128, 256].map((filters, stage) => ({ blocks: 1, filters, strides: stage === 0 ? 1 : 2 })),
    kernel_size: 3,
    padding: 'same',
    use_bias: true,
    norm: { type: 'batch', epsilon: 0.001, momentum: 0.99 },
    head: { pool: { type: 'average', size: 7, strides: 1, padding: 'valid' } },
  },
  classes: 1000,
  preprocessing: 'none',
  summary: "The article's network: three basic blocks and a dense layer that holds nearly all parameters",
}

export const ARTICLE_PRESET = 'residual_network'

export const presets: Readonly<Record<string, Preset>> = {
  [ARTICLE_PRESET]: residualNetwork,
  resnet18: imagenet('basic', [2, 2, 2, 2], torchvision(18)),
  resnet34: imagenet('basic', [3, 4, 6, 3], torchvision(34)),
  resnet50: imagenet('bottleneck', [3, 4, 6, 3], torchvision(50)),
  resnet101: imagenet('bottleneck', [3, 4, 23, 3], torchvision(101)),
  resnet152: imagenet('bottleneck', [3, 8, 36, 3], torchvision(152)),
  resnet50_v1: application('v1', 50, [3, 4, 6, 3]),
  resnet101_v1: application('v1', 101, [3, 4, 23, 3]),
  resnet152_v1: application('v1', 152, [3, 8, 36, 3]),
  resnet50_v2: application('v2', 50, [3, 4, 6, 3]),
  resnet101_v2: application('v2', 101, [3, 4, 23, 3]),
  resnet152_v2: application('v2', 152, [3, 8, 36, 3]),
  resnet20: cifar(20),
  resnet32: cifar(32),
  resnet44: cifar(44),
  resnet56: cifar(56),
  resnet110: cifar(110),
}
