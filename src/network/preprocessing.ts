import Type, { type Static, type TProperties } from 'typebox'
import { fieldError } from '../common/errors.ts'
import { closed, nullable } from '../common/schema.ts'
import { withDefaults } from '../common/canonical-json.ts'

const resize = {
  short_side: Type.Integer({
    minimum: 1,
    maximum: 8192,
    description:
      'The length of the shorter side after resizing, usually input size / crop_pct; at least the shorter side of the input',
  }),
  interpolation: Type.Enum(['bilinear', 'bicubic', 'lanczos', 'nearest'], { default: 'bilinear' }),
}
const resizeWith = <P extends TProperties>(properties: P) =>
  nullable(closed(properties), {
    default: null,
    description:
      "With fit=cover, resizes encoded images of any size, also of the input's, then crops to the centre, as torchvision's Resize and CenterCrop and timm's evaluation do; null: resizes to cover the input. Other fits and arrays of pixels ignore it",
  })

/** (x * scale - mean) / std of pixels 0..255, after `channel_order`; mean and std are in that order. */
export const Preprocessing = closed({
  scale: Type.Number({ default: 1 }),
  mean: Type.Array(Type.Number(), { default: [0, 0, 0] }),
  std: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { default: [1, 1, 1] }),
  channel_order: Type.Enum(['rgb', 'bgr'], { default: 'rgb' }),
  resize: resizeWith(resize),
})
export type Preprocessing = Static<typeof Preprocessing>

/** Named presets. Missing fields have the defaults, for any number of channels. */
export const preprocessings = {
  torch: { scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  caffe: { mean: [103.939, 116.779, 123.68], channel_order: 'bgr' },
  tf: { scale: 1 / 127.5, mean: [1, 1, 1] },
  unit: { scale: 1 / 255 },
  none: {},
} as const

export const PreprocessingRequest = Type.Union([
  Type.Enum(Object.keys(preprocessings) as (keyof typeof preprocessings)[]),
  Type.Partial(
    closed({
      ...Preprocessing.properties,
      resize: resizeWith({ ...resize, interpolation: Type.Optional(resize.interpolation) }),
    }),
    { additionalProperties: false },
  ),
])

/**
 * Converts pixels 0..255, whole images with the channels last, to the network's input. Uses the graph's float32
 * arithmetic, so integer pixels give the same bits as uint8.
 */
export function preprocess(
  pixels: Uint8Array | Float32Array,
  { scale, mean, std, channel_order }: Preprocessing,
): Float32Array {
  const channels = std.length
  const factors = Float32Array.from(std, (value) => scale / value)
  const summands = Float32Array.from(mean, (value, channel) => -value / (std[channel] ?? 1))
  const images = new Float32Array(pixels.length)
  for (let index = 0; index < pixels.length; index++) {
    const channel = index % channels
    const from = channel_order === 'bgr' ? index + channels - 1 - 2 * channel : index
    const scaled = Math.fround((pixels[from] ?? 0) * (factors[channel] ?? 1))
    images[index] = scaled + (summands[channel] ?? 0)
  }
  return images
}

/**
 * Fills every field for an input of [height, width, channels]. All numbers must be finite in float32, in which the network
 * computes.
 */
export function resolvePreprocessing(
  given: Static<typeof PreprocessingRequest>,
  [height = 0, width = 0, channels = 0]: readonly number[],
): Preprocessing {
  const named = typeof given === 'string'
  const each = (value: number) => Array.from({ length: channels }, () => value)
  const preprocessing = withDefaults(Preprocessing, {
    ...{ mean: each(0), std: each(1) },
    ...(named ? preprocessings[given] : given),
  }) as Preprocessing
  const { scale, mean, std } = preprocessing
  for (const [field, { length }] of Object.entries({ mean, std })) {
    if (length === channels) continue
    throw fieldError(
      named ? '#/preprocessing' : `#/preprocessing/${field}`,
      `must have one number per channel (${String(channels)}), got ${String(length)}; "none" and "unit" take any`,
    )
  }
  assertFloat32('scale', scale)
  mean.forEach((value, channel) => {
    assertFloat32(`mean/${String(channel)}`, value)
  })
  std.forEach((value, channel) => {
    assertFloat32(`std/${String(channel)}`, value, Math.max(value, 1 / Math.fround(value)))
  })
  const { short_side } = preprocessing.resize ?? {}
  if (short_side !== undefined && short_side < Math.min(height, width))
    throw fieldError(
      '#/preprocessing/resize/short_side',
      `must be at least the shorter side of the input (${String(Math.min(height, width))}), got ${String(short_side)}; images of ${String(height)}x${String(width)} cannot be cropped from smaller ones`,
    )
  return preprocessing
}

function assertFloat32(field: string, value: number, used = value): void {
  if (Number.isFinite(Math.fround(used))) return
  throw fieldError(`#/preprocessing/${field}`, `is beyond float32, got ${String(value)}`)
}
