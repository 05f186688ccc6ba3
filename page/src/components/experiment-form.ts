import type { ExperimentRequest, InitializerReference } from '../../api/types.gen.ts'
import { element, labelled, select } from './dom.ts'
import { wordsOf } from './labels.ts'

interface ExperimentForm {
  readonly root: HTMLElement
  /** The experiment in the fields. */
  readonly body: ExperimentRequest
  show(experiment: ExperimentRequest): void
}

type List = 'initializers' | 'learning_rates' | 'seeds'

/**
 * The fields of an experiment; empty fields use the service's defaults. `changed` is called on user edits.
 */
export function experimentForm(changed: (body: ExperimentRequest) => void): ExperimentForm {
  let body: ExperimentRequest = {}
  const root = element('div', { class: 'form' })

  const set = (change: Partial<Record<keyof ExperimentRequest, unknown>>): void => {
    const fields = Object.entries({ ...body, ...change }).filter(([, value]) => value !== undefined)
    body = Object.fromEntries(fields)
    changed(body)
  }
  const list = (name: List, label: string, hint: string): HTMLElement => {
    const input = element('input', {
      ...{ type: 'text', name, spellcheck: 'false', value: shownList(body[name] ?? []) },
      onchange: () => {
        const words = input.value.split(',').map((word) => word.trim())
        const given = words.filter((word) => word !== '')
        const values = given.map((word) => valueOf(word, name, body.initializers ?? []))
        set({ [name]: given.length === 0 ? undefined : values })
      },
    })
    return labelled(label, input, hint)
  }
  const whole = (name: 'steps' | 'batch_size', label: string): HTMLElement => {
    const input = element('input', {
      ...{ type: 'number', name, min: 1, step: 1, value: body[name] },
      onchange: () => {
        set({ [name]: input.value === '' ? undefined : Number(input.value) })
      },
    })
    return labelled(label, input)
  }
  const draw = (): void => {
    root.replaceChildren(
      list('initializers', 'Initializers', 'Names from the catalogue'),
      list('learning_rates', 'Learning rates', 'Gradient descent with momentum'),
      list('seeds', 'Seeds', 'One run per seed'),
      whole('steps', 'Steps'),
      whole('batch_size', 'Batch size'),
      labelled(
        'Norms',
        select(
          'norm',
          [
            ['', 'default of the architecture'],
            ['batch', 'batch'],
            ['none', 'none'],
          ],
          body.norm ?? '',
          (norm) => {
            set({ norm: norm === '' ? undefined : norm })
          },
        ),
      ),
    )
  }
  draw()
  return {
    root,
    get body() {
      return body
    },
    show: (experiment) => {
      body = experiment
      draw()
    },
  }
}

function shownList(values: readonly (InitializerReference | number)[]): string {
  return values.map((value) => (typeof value === 'number' ? String(value) : wordsOf(value))).join(', ')
}

/** An item of a list: a number, or an initializer, optionally with its config. */
function valueOf(
  word: string,
  name: List,
  known: readonly InitializerReference[],
): InitializerReference | number {
  if (name !== 'initializers') return Number(word)
  return known.find((initializer) => wordsOf(initializer) === word) ?? word
}
