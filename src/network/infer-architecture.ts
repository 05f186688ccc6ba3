import { fieldError, pointerTo, shownName, type ServiceError } from '../common/errors.ts'
import { isTorch } from './layouts.ts'
import { incomplete, readStages, type Shapes } from './infer-stages.ts'
import type { LocatedNetwork } from './locate-network.ts'
import type { ArchitectureRequest } from './specification.ts'

/** The shapes of a file's tensors, with kernels as [...window, in, out]. */
export function readShapes({ names, tensors }: LocatedNetwork): Shapes {
  const read = (shape: readonly number[]): readonly number[] => {
    const [out = 0, input = 0, ...window] = shape
    return isTorch(names) && (shape.length === 4 || shape.length === 2) ? [...window, input, out] : shape
  }
  return new Map([...tensors].map(([parameter, { shape }]) => [parameter, read(shape)]))
}

/**
 * The architecture with a file's blocks, filters, shortcuts, norms and biases. Its strides, paddings and epsilons are
 * those of the framework whose names the file has: torch's v1.5, or Keras applications' v1 or v2.
 */
export function readArchitecture(shapes: Shapes, located: LocatedNetwork): ArchitectureRequest {
  const names = [...shapes.keys()]
  const scalar = names.find((name) => /\/(multiplier|offset)$/.test(name))
  if (scalar !== undefined) {
    throw shownBy(
      located,
      scalar,
      'is a scalar of a residual scheme, which "spec" must name as "residual_scheme"',
    )
  }
  const has = (pattern: RegExp): boolean => names.some((name) => pattern.test(name))
  const stem = shapes.get('stem/conv/kernel')
  const [size = 0, , channels = 3, filters = 0] = stem ?? []
  if (stem?.length !== 4) throw noStem(located)
  const preActivation = has(/^head\/norm\//) || (!has(/^stem\/norm\//) && has(/\/norm1\//))
  const kerasV2 = located.names === 'keras' && preActivation
  const bottleneck = has(/\/conv3\/kernel$/)
  const small = size <= 3
  const { stages, rules, expansion, kernel } = readStages(shapes, {
    ...{ input: filters, bottleneck, kerasV2 },
  })
  const side = small ? 32 : 224
  return {
    version: preActivation ? 'v2' : located.names === 'keras' && bottleneck ? 'v1' : 'v1.5',
    block: bottleneck ? 'bottleneck' : 'basic',
    ...(bottleneck && { expansion }),
    kernel_size: kernel,
    padding: 'symmetric',
    stem: {
      ...{ kernel_size: size, filters, strides: small ? 1 : 2, padding: 'symmetric' },
      pool: small ? null : { type: 'max', size: 3, strides: 2, padding: 'symmetric' },
    },
    stages,
    strides_in: kerasV2 ? 'last' : 'first',
    shortcut: new Set(rules).size === 1 ? (rules[0] ?? 'projection') : rules,
    use_bias: readBiases(has),
    norm: has(/\/norm\d?\//) ? readNorm(located) : 'none',
    input_shape: [side, side, channels],
  }
}

function readBiases(has: (pattern: RegExp) => boolean): boolean | 'unnormed' {
  if (!has(/\/conv\d?\/bias$/)) return false
  // Only convolutions without a norm of their own have biases in Keras's v2.
  return has(/\/conv1\/bias$/) ? true : 'unnormed'
}

function readNorm({ names }: LocatedNetwork): NonNullable<ArchitectureRequest['norm']> {
  return names === 'keras'
    ? { type: 'batch', epsilon: 1.001e-5, momentum: 0.99 }
    : { type: 'batch', epsilon: 1e-5, momentum: 0.9 }
}

/** An error with the tensor that shows why a network is not supported. */
export function shownBy(located: LocatedNetwork, parameter: string, detail: string): ServiceError {
  const name = located.tensors.get(parameter)?.name ?? parameter
  return fieldError(pointerTo('#/weights', shownName(name)), detail, 'INVALID_WEIGHTS')
}

function noStem(located: LocatedNetwork): ServiceError {
  const shape = located.tensors.get('stem/conv/kernel')?.shape
  return shape === undefined
    ? incomplete(`lacks the kernel of the first convolution`)
    : shownBy(located, 'stem/conv/kernel', `must have four axes, got [${shape.join(', ')}]`)
}
