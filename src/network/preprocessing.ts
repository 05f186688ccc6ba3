import type { Specification } from './specification.ts'

export type Preprocessing = Specification['preprocessing']

/** (x * scale - mean) / std on 0..255 pixels after `channel_order`; mean and std are in that order. */
export const preprocessings: Readonly<Record<'torch' | 'caffe' | 'tf' | 'unit' | 'none', Preprocessing>> = {
  torch: { scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], channel_order: 'rgb' },
  caffe: { scale: 1, mean: [103.939, 116.779, 123.68], std: [1, 1, 1], channel_order: 'bgr' },
  tf: { scale: 1 / 127.5, mean: [1, 1, 1], std: [1, 1, 1], channel_order: 'rgb' },
  unit: { scale: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1], channel_order: 'rgb' },
  none: { scale: 1, mean: [0, 0, 0], std: [1, 1, 1], channel_order: 'rgb' },
}
