import { readFileSync } from 'node:fs'
import { tensorsIn, type Layout } from '../../../src/network/layouts.ts'
import type { FoundTensor } from '../../../src/network/locate-network.ts'
import type { Plan } from '../../../src/network/plan.ts'

/** The tensors of a file with a plan's weights under other names. */
export function fileOf(plan: Plan, layout: Layout, prefix = ''): FoundTensor[] {
  return tensorsIn(layout, plan).map(({ name, dtype, shape }) => ({ name: prefix + name, dtype, shape }))
}

type Shape = readonly number[]

/** The tensors of torchvision's models, as `state_dict()` lists them. */
export function torchvisionFile(model: 'resnet18' | 'resnet50'): FoundTensor[] {
  const state = readNames('torchvision_names.json')[model] as Record<string, [string, ...number[]]>
  return Object.entries(state).map(([name, [dtype, ...shape]]) => ({
    name,
    dtype: dtype === 'float32' ? 'F32' : 'I64',
    shape,
  }))
}

/** The tensors of `keras.applications`. */
export function kerasFile(model: 'ResNet50' | 'ResNet50V2'): FoundTensor[] {
  const variables = readNames('keras_names.json')[model] as Record<string, Shape>
  return Object.entries(variables).map(([name, shape]) => ({ name, dtype: 'F32', shape }))
}

function readNames(file: string): Record<string, unknown> {
  const path = new URL(`../../fixtures/${file}`, import.meta.url)
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
}

interface ResNetConfig {
  readonly depths: readonly number[]
  readonly hidden_sizes: readonly number[]
  readonly layer_type: 'basic' | 'bottleneck'
  readonly embedding_size?: number
  readonly downsample_in_first_stage?: boolean
  readonly num_labels?: number
}

/** The state_dict of transformers' `ResNetForImageClassification(ResNetConfig(...))`, by `modeling_resnet.py`. */
export function transformersFile({
  depths,
  hidden_sizes,
  layer_type,
  embedding_size = 64,
  downsample_in_first_stage = false,
  num_labels = 1000,
}: ResNetConfig): FoundTensor[] {
  const state: FoundTensor[] = []
  const convLayer = (scope: string, input: number, output: number, size: number): void => {
    const norm = ['weight', 'bias', 'running_mean', 'running_var']
    state.push({ name: `${scope}.convolution.weight`, dtype: 'F32', shape: [output, input, size, size] })
    for (const word of norm)
      state.push({ name: `${scope}.normalization.${word}`, dtype: 'F32', shape: [output] })
    state.push({ name: `${scope}.normalization.num_batches_tracked`, dtype: 'I64', shape: [] })
  }
  convLayer('resnet.embedder.embedder', 3, embedding_size, 7)
  let input = embedding_size
  depths.forEach((depth, stage) => {
    const output = hidden_sizes[stage] ?? 0
    for (let index = 0; index < depth; index++) {
      const layer = `resnet.encoder.stages.${String(stage)}.layers.${String(index)}`
      const stride = index === 0 && (stage > 0 || downsample_in_first_stage) ? 2 : 1
      if (input !== output || stride !== 1) convLayer(`${layer}.shortcut`, input, output, 1)
      const inner = layer_type === 'basic' ? output : output / 4
      const sizes = layer_type === 'basic' ? [3, 3] : [1, 3, 1]
      sizes.forEach((size, n) => {
        const [from, to] = [n === 0 ? input : inner, n === sizes.length - 1 ? output : inner]
        convLayer(`${layer}.layer.${String(n)}`, from, to, size)
      })
      input = output
    }
  })
  return [
    ...state,
    { name: 'classifier.1.weight', dtype: 'F32', shape: [num_labels, input] },
    { name: 'classifier.1.bias', dtype: 'F32', shape: [num_labels] },
  ]
}

/** Changes the dense layer's shapes to another number of classes. */
export function withClasses(file: readonly FoundTensor[], from: number, to: number): FoundTensor[] {
  return file.map((tensor) => ({ ...tensor, shape: tensor.shape.map((size) => (size === from ? to : size)) }))
}
