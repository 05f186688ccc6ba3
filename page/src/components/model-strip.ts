import { button, element, fill, say } from './dom.ts'
import { milliseconds } from './format.ts'
import type { Entry } from '../state/models.ts'
import type { Page } from '../views/view.ts'

/** The models of this page, each in its colour in every chart; one of them is selected. */
export function modelStrip(root: HTMLElement, { models }: Page): void {
  const last = new Map<Entry, string>()
  const draw = (): void => {
    const focused = root.contains(document.activeElement) ? document.activeElement?.id : undefined
    root.hidden = models.entries.length === 0
    fill(
      root,
      models.entries.map((entry, index) => chip(entry, index)),
    )
    if (focused !== undefined && focused !== '') document.getElementById(focused)?.focus()
    for (const entry of models.entries) {
      if (last.get(entry) !== entry.status && last.has(entry)) say(`${entry.label}: ${statusOf(entry)}`)
      last.set(entry, entry.status)
    }
  }

  function chip(entry: Entry, index: number): HTMLElement {
    const chosen = models.chosen === entry
    const choose = button('', () => {
      models.choose(entry)
    })
    choose.id = `choose-${String(index)}`
    choose.setAttribute('aria-pressed', String(chosen))
    choose.append(
      element('span', { class: `dot colour-${String(entry.colour)}` }),
      element('span', { class: 'name' }, entry.label),
      element('span', { class: `status ${entry.status}`, title: entry.reason }, statusOf(entry)),
    )
    const build =
      (entry.status === 'absent' || entry.status === 'failed') && 'spec' in entry.source
        ? button('Build', () => void models.build(entry), 'small')
        : undefined
    const remove = button('×', () => {
      models.remove(entry)
    })
    remove.setAttribute('aria-label', `Remove ${entry.label} from this page`)
    return element('div', { class: chosen ? 'chip chosen' : 'chip' }, choose, build, remove)
  }

  models.onChange(draw)
  // A build reports no progress, only that it continues.
  setInterval(() => {
    if (models.entries.some(({ status }) => status === 'building')) draw()
  }, 500)
  draw()
}

function statusOf({ status, since, model, reason }: Entry): string {
  if (status === 'looking') return 'looking up'
  if (status === 'absent') return 'not built on this service'
  if (status === 'failed') return `failed: ${reason ?? ''}`
  if (status === 'building')
    return since === undefined ? 'building' : `building, ${milliseconds(performance.now() - since)}`
  return typeof model?.build_ms !== 'number' ? 'ready' : `ready, built in ${milliseconds(model.build_ms)}`
}
