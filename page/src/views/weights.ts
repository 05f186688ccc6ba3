import type { ModelStatistics } from '../../api/types.gen.ts'
import { copyAs, copyButton, download, saveJson } from '../components/actions.ts'
import type { Call } from '../api/call.ts'
import { forChosen, waiting, type ReadyModel } from '../components/chosen-model.ts'
import { button, element, fill } from '../components/dom.ts'
import { count, number } from '../components/format.ts'
import { parameterDetail } from '../components/parameter-detail.ts'
import { parameterTable } from '../components/parameter-table.ts'
import type { Page } from './view.ts'

/** A model's parameters, each compared with its initializer's law. */
export function weightsView(root: HTMLElement, page: Page): void {
  const { client, session } = page
  forChosen(root, page, (model) => void draw(model))

  async function draw({ entry, id, signal }: ReadyModel): Promise<void> {
    const call: Call = { method: 'GET', path: `/v1/models/${id}/statistics` }
    fill(root, waiting(`Measuring the parameters of ${entry.label}. Other views remain usable.`))
    let statistics: ModelStatistics
    try {
      statistics = await client.json<ModelStatistics>(call, signal)
    } catch (error) {
      if (!signal.aborted) fill(root, element('p', { class: 'notice' }, (error as Error).message))
      return
    }
    const { parameters } = statistics
    const detail = element('div', { class: 'card detail' })
    const [table, mark] = parameterTable(parameters, statistics.totals.flagged, (name) => {
      session.set({ fields: { parameter: name } })
    })
    const failed = element('p', { class: 'refusal', role: 'alert', hidden: true })
    const refuse = (error: Error): void => {
      failed.textContent = error.message
      failed.hidden = false
    }
    const file = id.slice(0, 12)
    fill(
      root,
      element(
        'div',
        { class: 'columns wide' },
        element(
          'div',
          { class: 'card' },
          element('h2', {}, 'Parameters'),
          summary(statistics),
          table,
          element(
            'div',
            { class: 'row' },
            download(
              client,
              'Weights (safetensors)',
              `/v1/models/${id}/weights`,
              `${file}.safetensors`,
              refuse,
            ),
            download(client, 'SavedModel (tar)', `/v1/models/${id}/savedmodel`, `${file}.tar`, refuse),
            button('Specification (JSON)', () => {
              saveJson(`${file}.specification.json`, entry.model?.spec)
            }),
            button('Statistics (JSON)', () => {
              saveJson(`${file}.statistics.json`, statistics)
            }),
          ),
          failed,
          copyAs(client, 'the statistics', () => call),
        ),
        detail,
      ),
    )
    const first = parameters.find(({ shape }) => shape.length > 1) ?? parameters[0]
    const showDetail = (): void => {
      if (signal.aborted) return
      const name = session.field('parameter')
      const record = parameters.find((parameter) => parameter.name === name) ?? first
      if (record === undefined) return
      mark(record.name)
      parameterDetail(detail, page, { id, colour: entry.colour, record, signal })
    }
    let shown = session.field('parameter')
    session.onChange(() => {
      if (shown === session.field('parameter')) return
      shown = session.field('parameter')
      showDetail()
    })
    showDetail()
  }
}

/** The verdict over all parameters as a sentence, with their digest. */
function summary({ totals, weights }: ModelStatistics): HTMLElement {
  const { flagged, smallest_p_holm, sha256 } = totals
  const verdict =
    flagged.length > 0
      ? `${count(flagged.length)} of ${count(totals.count)} parameters deviate from the law of their initializer: ${flagged.join(', ')}.`
      : weights === 'loaded'
        ? `${count(totals.count)} loaded parameters; there is no law to test them against.`
        : `All ${count(totals.count)} parameters are consistent with their initializers.`
  return element(
    'div',
    {},
    element('p', { class: flagged.length > 0 ? 'verdict bad' : 'verdict good' }, verdict),
    element(
      'p',
      { class: 'muted' },
      smallest_p_holm === null
        ? ''
        : `Smallest p after Holm's correction ${number(smallest_p_holm)}; flagged below 0.001. `,
      'SHA-256 of the weights ',
      element('code', { class: 'digest', title: sha256 }, sha256.slice(0, 16)),
      ' ',
      copyButton('Copy', () => sha256, 'link'),
    ),
  )
}
