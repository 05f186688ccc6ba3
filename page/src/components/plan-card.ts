import type { Plan, SpecificationRequest } from '../../api/types.gen.ts'
import { copyAs, saveJson } from './actions.ts'
import { button, element, fill, table } from './dom.ts'
import { bytes, count, shape, short } from './format.ts'
import type { Page } from '../views/view.ts'

/** The plan of a specification: size and cost, layers, advice. */
export function planCard(root: HTMLElement, plan: Plan, { client }: Page, spec: SpecificationRequest): void {
  const { totals, layers, advice, id } = plan
  const parametersOf = ({ parameters }: Plan['layers'][number]): number =>
    parameters.reduce((sum, parameter) => sum + parameter.shape.reduce((size, side) => size * side, 1), 0)
  root.classList.remove('stale')
  fill(
    root,
    element('h2', {}, 'Plan'),
    element(
      'dl',
      { class: 'figures' },
      figure('parameters', short(totals.parameters), count(totals.parameters)),
      figure('multiply-adds per image', short(totals.multiply_adds), count(totals.multiply_adds)),
      figure('in memory', bytes(totals.bytes), `${count(totals.bytes)} bytes`),
      figure('id', id.slice(0, 12), id),
    ),
    advice.map((text) => element('p', { class: 'advice' }, text)),
    element(
      'details',
      {},
      element('summary', {}, `${count(layers.length)} layers`),
      table(
        'Layers',
        ['layer', 'operation', 'output', 'parameters', 'share'],
        layers.map((layer) =>
          element(
            'tr',
            {},
            element('th', { scope: 'row' }, element('code', {}, layer.name)),
            element('td', {}, layer.op),
            element('td', {}, shape(layer.output_shape)),
            element('td', { class: 'number' }, count(parametersOf(layer))),
            element('td', {}, share(parametersOf(layer) / totals.parameters)),
          ),
        ),
      ),
    ),
    element(
      'div',
      { class: 'row' },
      button('Download plan', () => {
        saveJson('plan.json', plan)
      }),
      copyAs(client, 'the plan', () => ({ method: 'POST', path: '/v1/plans', json: spec })),
    ),
  )
}

function figure(label: string, value: string, exact: string): HTMLElement {
  return element('div', {}, element('dt', {}, label), element('dd', { title: exact }, value))
}

/** A part of a whole, as a bar. */
function share(part: number): HTMLElement {
  const bar = element('span', { class: 'bar', title: `${(part * 100).toFixed(2)} %` })
  bar.style.setProperty('--share', String(part))
  return bar
}
