import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { PredictionsBody } from '../support/client.ts'
import { arithmeticImage, flowerJpeg } from '../support/images.ts'
import { tiny } from '../support/networks.ts'
import { expectLogits } from '../support/numbers.ts'
import { programOf, runProgram } from '../support/python.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

const SCRIPT = fileURLToPath(new URL('v2_clients.py', import.meta.url))
const SHAPE = [8, 8, 3] as const
const COUNT = 3
const labels = ['a', 'b:c', 'd', 'é', 'f']
const pixels = arithmeticImage([COUNT, ...SHAPE])

let running: RunningService
let logits: number[][]
let encodedLogits: number[]
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, preprocessing: 'torch', labels, name: 'net' })
  logits = await running.client.logits('net', [COUNT, ...SHAPE], pixels)
  const answer = await running.client.upload(
    '/v1/models/net/predict?include=logits',
    flowerJpeg,
    'image/jpeg',
  )
  encodedLogits = (answer.json as PredictionsBody).predictions[0]?.logits?.map(Number) ?? []
})
afterAll(() => running.close())

/** Nested arrays in the shape of the images. */
function nested(values: readonly number[], [length, ...inner]: readonly number[]): unknown {
  if (length === undefined) return values[0]
  const size = values.length / length
  return Array.from({ length }, (_, index) => nested(values.slice(index * size, (index + 1) * size), inner))
}

it.each(['sync', 'aio', 'kserve'])('%s', async (client) => {
  const task = {
    ...{ url: running.client.url, model: 'net', labels, logits },
    images: nested([...pixels], [COUNT, ...SHAPE]),
    encoded: flowerJpeg.toString('base64'),
    encoded_logits: [encodedLogits, encodedLogits],
  }
  const python = programOf('RESINIT_CLIENTS_PYTHON', 'test/interop/clients.txt')
  await runProgram(python, [SCRIPT, client], JSON.stringify(task))
})

it.each(['JSON', 'binary'])('mlserver infer, %s', async (form) => {
  const folder = await temporaryFolder()
  try {
    const [input, output] = [path.join(folder, 'requests'), path.join(folder, 'responses')]
    const size = pixels.length / COUNT
    const requests = Array.from({ length: COUNT }, (_, index) => ({
      inputs: [
        {
          ...{ name: 'images', shape: [1, ...SHAPE], datatype: 'UINT8' },
          data: [...pixels.subarray(index * size, (index + 1) * size)],
        },
      ],
    }))
    await writeFile(input, requests.map((request) => `${JSON.stringify(request)}\n`).join(''))
    const url = running.client.url.replace('http://', '')
    const args = [
      'infer',
      '-u',
      url,
      '-m',
      'net',
      '-i',
      input,
      '-o',
      output,
      '-w',
      '2',
      ...(form === 'binary' ? ['--binary-data'] : []),
    ]
    await runProgram(programOf('RESINIT_MLSERVER', 'test/interop/mlserver.txt'), args)
    const lines = (await readFile(output, 'utf8')).trim().split('\n')
    const answers = lines
      .map((line) => JSON.parse(line) as MlserverAnswer)
      .toSorted((a, b) => a.parameters.batch_index - b.parameters.batch_index)
    expect(answers).toHaveLength(COUNT)
    for (const [index, { outputs }] of answers.entries()) {
      const values = outputs.find(({ name }) => name === 'logits')?.data ?? []
      expectLogits(values.flat(), logits[index] ?? [])
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})

it('perf_analyzer, with its statistics', async () => {
  const folder = await temporaryFolder()
  try {
    const input = path.join(folder, 'data.json')
    await writeFile(
      input,
      JSON.stringify({ data: [{ images: { content: [...pixels], shape: [COUNT, ...SHAPE] } }] }),
    )
    const args = [
      ...[
        '-m',
        'net',
        '-u',
        running.client.url.replace('http://', ''),
        '-i',
        'http',
        '--concurrency-range',
        '2',
      ],
      // Short windows of few requests.
      ...[
        '--measurement-mode',
        'count_windows',
        '--measurement-request-count',
        '20',
        '-p',
        '500',
        '-s',
        '999',
      ],
      ...['--input-data', input, '--shape', `images:${[COUNT, ...SHAPE].join()}`, '--shape', 'image_bytes:1'],
    ]
    const said = await runProgram(programOf('RESINIT_PERF_ANALYZER', 'tritonclient 2.41.1'), args)
    expect(said).toMatch(/Successful request count: [1-9]\d*/)
    expect(said).toMatch(/queue \d+ usec \+ compute input \d+ usec \+ compute infer [1-9]\d* usec/)
    expect(said).not.toMatch(/Failed Request Count/i)
  } finally {
    await rm(folder, { recursive: true })
  }
})

interface MlserverAnswer {
  readonly parameters: { readonly batch_index: number }
  readonly outputs: readonly { readonly name: string; readonly data: number[] | number[][] }[]
}
