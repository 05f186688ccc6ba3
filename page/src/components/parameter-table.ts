import type { ParameterRecord } from '../../api/types.gen.ts'
import { button, element, labelled, table } from './dom.ts'
import { number, shape } from './format.ts'
import { wordsOf } from './labels.ts'

const COLUMNS = ['parameter', 'shape', 'drawn from', 'std', 'in theory', 'p'] as const

/** All parameters in a searchable table; the selected one is marked. */
export function parameterTable(
  parameters: readonly ParameterRecord[],
  flagged: readonly string[],
  choose: (name: string) => void,
): [HTMLElement, (name: string) => void] {
  const rows = new Map(
    parameters.map((record) => {
      const { name, initializer, sample, theory, tests, exact } = record
      const open = button(
        '',
        () => {
          choose(name)
        },
        'link',
      )
      open.setAttribute('aria-label', name)
      // Long names may break at their separators.
      open.append(
        ...name.split(/(?<=\/)/).flatMap((part, index) => (index === 0 ? [part] : [element('wbr'), part])),
      )
      const row = element(
        'tr',
        { class: flagged.includes(name) ? 'flagged' : '' },
        element('th', { scope: 'row' }, open),
        element('td', { class: 'nowrap' }, shape(record.shape)),
        element('td', {}, initializer === null ? 'a file' : wordsOf(initializer)),
        element('td', { class: 'number' }, number(sample.std)),
        element('td', { class: 'number' }, theory === null ? '-' : number(theory.std)),
        element(
          'td',
          { class: 'number' },
          tests !== null ? number(tests.ks.p_value) : exact === true ? 'exact' : '-',
        ),
      )
      return [name, { row, open }] as const
    }),
  )
  const search = element('input', {
    ...{
      type: 'search',
      name: 'search',
      placeholder: 'stage2, kernel',
      autocomplete: 'off',
      spellcheck: 'false',
    },
    oninput: () => {
      const words = search.value.toLowerCase().split(/[\s,]+/)
      for (const [name, { row }] of rows)
        row.hidden = !words.every((word) => name.toLowerCase().includes(word))
    },
  })
  const found = element(
    'div',
    {},
    labelled('Find', search),
    table(
      'Parameters',
      COLUMNS,
      [...rows.values()].map(({ row }) => row),
      'scroll tall',
    ),
  )
  const mark = (chosen: string): void => {
    for (const [name, { row, open }] of rows) {
      row.classList.toggle('chosen', name === chosen)
      if (name === chosen) open.setAttribute('aria-current', 'true')
      else open.removeAttribute('aria-current')
    }
  }
  return [found, mark]
}
