import { describe, expect, test } from 'vitest'
import { layoutProblem, tensorsIn } from '../../../src/network/layouts.ts'
import { readTransformersName, transformersName } from '../../../src/network/transformers-names.ts'
import { planned, small } from '../support/requests.ts'
import { fileOf, transformersFile } from '../support/weights-files.ts'

/** The configurations of microsoft/resnet-18 and microsoft/resnet-50. */
const MODELS = {
  resnet18: { depths: [2, 2, 2, 2], hidden_sizes: [64, 128, 256, 512], layer_type: 'basic' },
  resnet50: { depths: [3, 4, 6, 3], hidden_sizes: [256, 512, 1024, 2048], layer_type: 'bottleneck' },
} as const

const sorted = (file: readonly { name: string }[]) => file.toSorted((a, b) => (a.name < b.name ? -1 : 1))

describe.each(['resnet18', 'resnet50'] as const)('%s', (preset) => {
  test('has the names, shapes and types of ResNetForImageClassification', () => {
    const file = fileOf(planned({ architecture: preset }), 'transformers')
    expect(sorted(file)).toEqual(sorted(transformersFile(MODELS[preset])))
  })

  test('is read back, with the prefix resnet. as a part of the prefix', () => {
    const { parameters } = planned({ architecture: preset })
    for (const parameter of parameters) {
      const name = transformersName(parameter) ?? ''
      expect(readTransformersName(`module.${name}`)).toEqual({
        tail: name.replace('resnet.', ''),
        parameter: parameter.name,
      })
    }
  })
})

test.each([
  'resnet.encoder.stages.0.layers.0.layer.0.convolution.scale',
  'resnet.encoder.stages.0.layers.0.layer.0.convolution.running_mean',
  'resnet.encoder.stages.0.layers.0.attention.weight',
  'xembedder.embedder.convolution.weight',
  'classifier.0.weight',
  'classifier.1.weight.more',
])('%s is no name', (name) => {
  expect(readTransformersName(name)).toBeUndefined()
})

test('counters of batches precede the tensors', () => {
  const [first] = tensorsIn('transformers', planned({ architecture: 'resnet18' }))
  expect(first).toMatchObject({
    name: 'resnet.embedder.embedder.normalization.num_batches_tracked',
    dtype: 'I64',
  })
})

test('pre-activation networks and networks with biases have no such names', () => {
  const problem = (architecture: object) =>
    layoutProblem('transformers', planned({ architecture: small({ ...architecture }) }))
  expect(problem({ version: 'v2' })).toMatch(/^transformers has no names for this network: its blocks are v1/)
  expect(problem({ use_bias: true })).toMatch(/no biases/)
})
