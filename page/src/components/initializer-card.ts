import type { InitializerEntry, Plan, TensorRecord } from '../../api/types.gen.ts'
import type { Call } from '../api/call.ts'
import { copyAs } from './actions.ts'
import { button, element, fill } from './dom.ts'
import { number, shape } from './format.ts'
import { wordsOf } from './labels.ts'
import { figure, histogram } from './plots.ts'
import { entryOf } from './specification-form.ts'
import type { Page } from '../views/view.ts'

interface Card {
  /** Sets the catalogue. */
  setCatalogue(initializers: readonly InitializerEntry[]): void
  /**
   * Shows the initializer of the plan's kernels. Draws a kernel immediately if `edited`, otherwise on
   * request.
   */
  show(plan: Plan, edited: boolean): void
}

/** An initializer: its formula, its reference, and the histogram of one drawn kernel with its density. */
export function initializerCard(root: HTMLElement, { client }: Page): Card {
  let catalogue: readonly InitializerEntry[] = []
  let latest: { readonly plan: Plan; readonly edited: boolean } | undefined
  let drawing = new AbortController()

  function draw({ plan, edited }: NonNullable<typeof latest>): void {
    const kernels = plan.layers
      .flatMap(({ parameters }) => parameters)
      .filter(({ name }) => name.endsWith('/kernel'))
    const kernel = kernels.find(({ name }) => name.startsWith('stage1/')) ?? kernels[0]
    const entry = entryOf(plan.spec.initializers.kernel, catalogue)
    root.classList.remove('stale')
    if (!kernel?.initializer || entry === undefined) return
    const { class_name, config } = kernel.initializer
    const title = `${kernel.name}, ${shape(kernel.shape)}: sample and density`
    const call: Call = {
      method: 'POST',
      path: `/v1/initializers/${class_name}/statistics`,
      json: { shape: kernel.shape, config, seed: plan.spec.seed, bins: 48, include: ['histogram'] },
    }
    drawing.abort()
    drawing = new AbortController()
    const { signal } = drawing
    const drawn = element('div', { class: 'drawn' })
    fill(
      root,
      element('h2', {}, wordsOf(entry.name)),
      element('p', { class: 'formula' }, entry.formula),
      element('p', { class: 'muted' }, entry.reference),
      drawn,
      element('p', {}, entry.notes),
      element('p', { class: 'muted' }, `Also known as ${entry.aliases.join(', ')}.`),
      copyAs(client, 'this drawing', () => call),
    )
    if (edited) void measure()
    else
      fill(
        drawn,
        button('Draw a kernel', () => void measure()),
      )

    async function measure(): Promise<void> {
      try {
        const record = await client.json<TensorRecord>(call, signal)
        const { theory, sample, histogram: counted } = record
        if (counted === undefined) return
        fill(
          drawn,
          figure(title, (width) => histogram(counted, 'var(--accent)', width, 200)),
          element(
            'p',
            { class: 'muted' },
            `Standard deviation ${number(sample.std)} drawn`,
            theory === null ? '.' : `, ${number(theory.std)} in theory.`,
          ),
        )
      } catch (error) {
        if (!signal.aborted) fill(drawn, element('p', { class: 'notice' }, (error as Error).message))
      }
    }
  }

  return {
    setCatalogue: (initializers) => {
      catalogue = initializers
      if (latest !== undefined) draw(latest)
    },
    show: (plan, edited) => {
      latest = { plan, edited }
      if (catalogue.length > 0) draw(latest)
    },
  }
}
