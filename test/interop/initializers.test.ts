import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Keras } from '../support/keras.ts'
import { platforms } from '../support/platforms.ts'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { Choices } from '../support/random.ts'
import { temporaryFolder } from '../support/service.ts'

const CASES_OF_EACH = 6
const choices = new Choices()
const configs: Readonly<Record<string, () => Record<string, number>>> = {
  GlorotUniform: () => ({}),
  GlorotNormal: () => ({}),
  HeUniform: () => ({}),
  HeNormal: () => ({}),
  LecunUniform: () => ({}),
  LecunNormal: () => ({}),
  TruncatedNormal: () => ({ mean: choices.decimal(-2, 2), stddev: choices.decimal(0.01, 3) }),
  RandomNormal: () => ({ mean: choices.decimal(-2, 2), stddev: choices.decimal(0.01, 3) }),
  RandomUniform: () => ({ minval: choices.decimal(-3, 0), maxval: choices.decimal(0.01, 3) }),
  Orthogonal: () => ({ gain: choices.decimal(0.1, 3) }),
}

/** Shapes of 1 to 5 dimensions; fewer dimensions are longer. */
function shapeFor(name: string): number[] {
  const rank = choices.integer(name === 'Orthogonal' ? 2 : 1, 5)
  const longest = [70_000, 300, 45, 20, 11][rank - 1] ?? 1
  return Array.from({ length: rank }, () => choices.integer(1, longest))
}

function seed(): number {
  return choices.of(
    choices.integer(-10, 10),
    choices.integer(-(2 ** 31), 2 ** 31),
    choices.integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  )
}

const cases = Object.entries(configs).flatMap(([class_name, config]) =>
  Array.from({ length: CASES_OF_EACH }, () => ({
    class_name,
    config: config(),
    shape: shapeFor(class_name),
    seed: choices.of<number | number[]>(seed(), [seed(), choices.integer(0, 200)]),
  })),
)

let digests: string[]
beforeAll(async () => {
  const keras = new Keras()
  digests = []
  for (const request of cases) {
    digests.push(((await keras.ask({ op: 'initializer', ...request })) as { sha256: string }).sha256)
  }
  await keras.close()
})

describe.each(platforms)('%s', (_, environment) => {
  let folder: string
  let running: ServiceProcess
  beforeAll(async () => {
    folder = await temporaryFolder()
    running = await startProcess({ DATA_DIR: folder, ...environment })
  })
  afterAll(async () => {
    await running.stop()
    await rm(folder, { recursive: true })
  })

  it.each(cases.map((body, index) => [JSON.stringify(body), body, index] as const))(
    '%s equals Keras to the bit',
    async (_, { class_name, ...body }, index) => {
      const { json } = await running.client.post(`/v1/initializers/${class_name}/statistics`, body)
      expect((json as { sample: { sha256: string } }).sample.sha256).toBe(digests[index])
    },
  )
})
