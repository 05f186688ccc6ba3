import type { Predictions } from '../../api/types.gen.ts'
import { copyAs, saveJson } from '../components/actions.ts'
import type { Call } from '../api/call.ts'
import { forChosen, type ReadyModel } from '../components/chosen-model.ts'
import { button, element, fill, labelled, say, select } from '../components/dom.ts'
import { finite, milliseconds, number } from '../components/format.ts'
import type { Page } from './view.ts'

const TYPES = ['image/jpeg', 'image/png', 'image/webp']
const FITS = [
  ['cover', 'cover: crop to fit'],
  ['contain', 'contain: pad to fit'],
  ['fill', 'fill: stretched'],
] as const

/** Predictions for images: five classes, and their meaning for an untrained network. */
export function predictView(root: HTMLElement, page: Page): void {
  const { client, session } = page
  /** Kept when the model changes, so that the images can be sent to another model. */
  let images: readonly File[] = []
  let show: ((taken: readonly File[]) => void) | undefined

  addEventListener('paste', ({ clipboardData }) => {
    if (!root.hidden && clipboardData !== null) take(clipboardData.files)
  })
  forChosen(root, page, draw, 'fit')

  function take(files: Iterable<File>): void {
    const taken = [...files].filter(({ type }) => TYPES.includes(type))
    if (taken.length === 0) say('Only JPEG, PNG and WebP images can be classified')
    else show?.(taken)
  }

  function draw({ entry, id, signal }: ReadyModel): void {
    const results = element('div', { class: 'stack' })
    const fit = session.field('fit') ?? 'cover'
    const call = (): Call => ({
      method: 'POST',
      path: `/v1/models/${id}/predict`,
      query: { top_k: '5', ...(fit === 'cover' ? {} : { fit }) },
      images: images.length > 0 ? images : [new File([], 'photograph.jpg', { type: 'image/jpeg' })],
    })
    const input = element('input', {
      ...{ type: 'file', name: 'images', accept: TYPES.join(','), multiple: true },
      onchange: () => {
        take(input.files ?? [])
        // Allows choosing the same file again.
        input.value = ''
      },
    })
    const zone = element(
      'label',
      { class: 'drop' },
      element('strong', {}, 'Drop, paste or choose images'),
      element('span', { class: 'muted' }, 'JPEG, PNG or WebP. They are sent to this service only.'),
      input,
    )
    for (const type of ['dragenter', 'dragover', 'dragleave', 'drop'])
      zone.addEventListener(type, (event) => {
        event.preventDefault()
        zone.classList.toggle('over', type === 'dragenter' || type === 'dragover')
        if (type === 'drop') take((event as DragEvent).dataTransfer?.files ?? [])
      })
    fill(
      root,
      element(
        'div',
        { class: 'columns' },
        element(
          'div',
          { class: 'card' },
          element('h2', {}, 'Predict'),
          zone,
          labelled(
            'Other sizes',
            select('fit', FITS, fit, (value) => {
              session.set({ fields: { fit: value === 'cover' ? undefined : value } })
              if (images.length > 0) show?.(images)
            }),
          ),
          copyAs(client, 'the prediction', call),
        ),
        results,
      ),
    )
    show = (taken) => {
      images = taken
      void predict()
    }
    // A link may have changed the model.
    if (images.length > 0)
      fill(
        results,
        element(
          'div',
          { class: 'notice' },
          element('p', {}, images.map(({ name }) => name).join(', ')),
          button('Classify them', () => void predict(), 'primary'),
        ),
      )
    else fill(results, element('p', { class: 'notice' }, 'Five classes and their probabilities appear here.'))

    async function predict(): Promise<void> {
      fill(results, element('progress', { 'aria-label': 'Predicting' }))
      try {
        const shown = images
        const answer = await client.json<Predictions>(call(), signal)
        const { decode, queue, compute, total } = answer.timing_ms
        fill(
          results,
          element('p', { class: 'meaning' }, meaningOf(answer, entry.model?.spec.classes)),
          answer.predictions.map((prediction, index) =>
            predictionCard(prediction, shown[index], entry.colour),
          ),
          element(
            'p',
            { class: 'muted' },
            `${milliseconds(total)} in the service: ${milliseconds(decode)} decoding, ${milliseconds(queue)} queued, ${milliseconds(compute)} computing a batch of ${String(answer.batch_size)}.`,
          ),
          element(
            'div',
            { class: 'row' },
            button('Download the result', () => {
              saveJson('predictions.json', answer)
            }),
          ),
        )
        say(`${String(answer.predictions.length)} images classified`)
      } catch (error) {
        if (signal.aborted) return
        fill(results, element('p', { class: 'refusal', role: 'alert' }, (error as Error).message))
      }
    }
  }
}

function predictionCard(
  { classes, entropy, image }: Predictions['predictions'][number],
  file: File | undefined,
  colour: number,
): HTMLElement {
  const largest = Math.max(...classes.map(({ probability }) => finite(probability) ?? 0))
  return element(
    'article',
    { class: 'card prediction' },
    file === undefined ? undefined : thumbnail(file),
    element(
      'div',
      {},
      element('h3', {}, file?.name ?? 'image'),
      element(
        'ol',
        { class: 'classes' },
        classes.map(({ index, label, probability }) => {
          const bar = element('span', { class: `bar colour-${String(colour)}`, 'aria-hidden': 'true' })
          bar.style.setProperty('--share', String((finite(probability) ?? 0) / (largest || 1)))
          return element(
            'li',
            {},
            element('span', { class: 'name' }, label ?? `class ${String(index)}`),
            bar,
            element('span', { class: 'number' }, percent(probability)),
          )
        }),
      ),
      element(
        'p',
        { class: 'muted' },
        `${String(image.width)}×${String(image.height)} ${image.format}, entropy ${number(entropy)}`,
      ),
    ),
  )
}

function thumbnail(file: File): HTMLElement {
  const address = URL.createObjectURL(file)
  const free = (): void => {
    URL.revokeObjectURL(address)
  }
  return element('img', { src: address, alt: '', width: 112, height: 112, onload: free, onerror: free })
}

function percent(probability: number | string): string {
  if (typeof probability !== 'number') return probability
  const percentage = probability * 100
  return percentage < 0.001 ? '< 0.001 %' : `${String(Number(percentage.toPrecision(3)))} %`
}

/** One sentence about the meaning of the result. */
function meaningOf({ weights, predictions }: Predictions, classes = 0): string {
  if (weights === 'loaded')
    return 'These weights were loaded from a file; the meaning of the classes depends on their training.'
  const entropies = predictions.map(({ entropy }) => finite(entropy) ?? 0)
  const mean = entropies.reduce((sum, entropy) => sum + entropy, 0) / (entropies.length || 1)
  return `This network is untrained: the order of its classes depends on the seed. The entropy of ${number(mean)}, at most ${number(Math.log(classes))}, shows how evenly the initialization distributes the classes.`
}
