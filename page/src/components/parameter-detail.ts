import type { ModelStatistics, ParameterRecord } from '../../api/types.gen.ts'
import { copyAs, copyButton, saveJson } from './actions.ts'
import type { Call } from '../api/call.ts'
import { waiting } from './chosen-model.ts'
import { Refusal } from '../api/client.ts'
import { button, element, fill } from './dom.ts'
import { count, number, shape } from './format.ts'
import { wordsOf } from './labels.ts'
import { colourOf, figure, histogram, spectrum } from './plots.ts'
import type { Page } from '../views/view.ts'

interface Shown {
  readonly id: string
  readonly colour: number
  readonly record: ParameterRecord
  readonly signal: AbortSignal
}

/** One parameter: its histogram over the density of its law, its singular values, its numbers, its digest. */
export function parameterDetail(
  root: HTMLElement,
  { client }: Page,
  { id, colour, record, signal }: Shown,
): void {
  const { name, initializer, theory, sample, tests } = record
  const charts = element('div', { class: 'charts' }, waiting('Drawing the parameter again.'))
  const calling = (include: string): Call => ({
    method: 'GET',
    path: `/v1/models/${id}/statistics`,
    query: { parameters: name, include },
  })
  const matrix = record.shape.length > 1
  let call = calling(matrix ? 'histogram,quantiles,spectrum' : 'histogram,quantiles')
  const rows: readonly (readonly [string, string, string])[] = [
    ['mean', number(sample.mean), number(theory?.mean ?? null)],
    ['standard deviation', number(sample.std), number(theory?.std ?? null)],
    ['skewness', number(sample.skewness), number(theory?.skewness ?? null)],
    ['excess kurtosis', number(sample.kurtosis), number(theory?.kurtosis ?? null)],
    ['smallest', number(sample.min), number(theory?.min ?? null)],
    ['largest', number(sample.max), number(theory?.max ?? null)],
  ]
  fill(
    root,
    element('h2', {}, element('code', {}, name)),
    element(
      'p',
      { class: 'muted' },
      `${shape(record.shape)}, ${count(record.size)} values, `,
      initializer === null ? 'from a file' : `drawn from ${wordsOf(initializer)}`,
      `; fan in ${count(record.fan_in)}, fan out ${count(record.fan_out)}.`,
    ),
    charts,
    element(
      'table',
      { class: 'numbers' },
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          ['', 'drawn', 'in theory'].map((head) => element('th', { scope: 'col' }, head)),
        ),
      ),
      element(
        'tbody',
        {},
        rows.map(([label, drawn, expected]) =>
          element(
            'tr',
            {},
            element('th', { scope: 'row' }, label),
            element('td', { class: 'number' }, drawn),
            element('td', { class: 'number' }, expected),
          ),
        ),
      ),
    ),
    element('p', {}, verdict(record)),
    tests === null
      ? undefined
      : element(
          'p',
          { class: 'muted' },
          `Kolmogorov-Smirnov D ${number(tests.ks.statistic)}, p ${number(tests.ks.p_value)} on ${count(tests.ks.sample_size)} values; z of the mean ${number(tests.mean_z)}, of the variance ${number(tests.variance_z)}.`,
        ),
    element(
      'p',
      { class: 'muted' },
      'SHA-256 ',
      element('code', { class: 'digest', title: sample.sha256 }, sample.sha256.slice(0, 16)),
      ' ',
      copyButton('Copy', () => sample.sha256, 'link'),
    ),
    copyAs(client, 'the statistics of this parameter', () => call),
  )
  void draw()

  async function draw(): Promise<void> {
    const notes: HTMLElement[] = []
    try {
      let measured: ParameterRecord | undefined
      try {
        measured = await first(call)
      } catch (error) {
        // The spectrum of a large matrix is rejected with its cost; the rest of the record is available.
        if (!(error instanceof Refusal) || error.problem.status !== 422) throw error
        notes.push(element('p', { class: 'muted' }, `No singular values: ${error.message}`))
        call = calling('histogram,quantiles')
        measured = await first(call)
      }
      if (measured === undefined || !charts.isConnected) return
      const { histogram: counted, spectrum: values } = measured
      fill(
        charts,
        counted === undefined || Number(sample.std) === 0
          ? element('p', {}, `Every value is ${number(sample.mean)}.`)
          : figure(
              counted.expected === null
                ? 'Histogram of the values'
                : 'Histogram of the values and theoretical density',
              (width) => histogram(counted, colourOf(colour), width),
            ),
        values === undefined
          ? undefined
          : figure(
              values.marchenko_pastur === null
                ? 'Singular values'
                : 'Singular values and the edges of the Marchenko-Pastur law',
              (width) => spectrum(values.singular_values, values.marchenko_pastur, colourOf(colour), width),
            ),
        values === undefined
          ? undefined
          : element(
              'p',
              { class: 'muted' },
              `Spectral norm ${number(values.spectral_norm)}, condition number ${number(values.condition_number)}, stable rank ${number(values.stable_rank)}, effective rank ${number(values.effective_rank)}.`,
            ),
        notes,
        button('Download this record', () => {
          saveJson(`${name.replaceAll('/', '.')}.json`, measured)
        }),
      )
    } catch (error) {
      if (!signal.aborted) fill(charts, element('p', { class: 'notice' }, (error as Error).message))
    }
  }

  async function first(request: Call): Promise<ParameterRecord | undefined> {
    return (await client.json<ModelStatistics>(request, signal)).parameters[0]
  }
}

/** The results of the tests as a sentence. */
function verdict({ initializer, tests, exact, orthogonality_error }: ParameterRecord): string {
  if (initializer === null) return 'Loaded weights: there is no law to test them against.'
  if (exact !== null)
    return exact ? 'Every value equals the expected one.' : 'Some values differ from the expected ones.'
  if (orthogonality_error !== undefined)
    return `Orthogonality error ${number(orthogonality_error)}; float32 rounding alone causes about 1e-6.`
  if (tests === null) return 'No test applies.'
  return tests.ks.p_value < 0.001
    ? 'A deviation of this size has a probability below 0.001. The verdict above corrects for the number of tests.'
    : 'The values are consistent with the law of their initializer.'
}
