import { button, element, fill } from './dom.ts'
import type { Entry } from '../state/models.ts'
import type { Page } from '../views/view.ts'

export interface ReadyModel {
  readonly entry: Entry
  readonly id: string
  /** Aborted when another model is chosen. */
  readonly signal: AbortSignal
}

/**
 * Draws the chosen model once it is ready, and again when another is chosen or one of the fields in `also`
 * changes. Until then it shows the state of the model.
 */
export function forChosen(
  root: HTMLElement,
  { models, session }: Page,
  draw: (model: ReadyModel) => void,
  ...also: readonly string[]
): void {
  let shown: string | undefined
  let current = new AbortController()
  const follow = (): void => {
    const entry = models.chosen
    const state = JSON.stringify([
      entry?.id,
      entry?.status === 'ready' ? 'ready' : [entry?.status, entry?.reason],
      also.map((name) => session.field(name)),
    ])
    if (state === shown) return
    shown = state
    current.abort()
    current = new AbortController()
    if (entry?.status === 'ready' && entry.id !== undefined)
      draw({ entry, id: entry.id, signal: current.signal })
    else fill(root, entry === undefined ? nothingYet(session) : missing(entry))
  }
  function missing(entry: Entry): HTMLElement {
    if (entry.status === 'looking') return element('p', { class: 'notice' }, 'Looking up the model.')
    if (entry.status === 'building') return waiting('The service is building the model.')
    return element(
      'div',
      { class: 'notice' },
      element(
        'p',
        {},
        entry.reason ?? 'This service has not built the model yet. The link contains its specification.',
      ),
      'spec' in entry.source ? button('Build it', () => void models.build(entry), 'primary') : undefined,
    )
  }
  models.onChange(follow)
  session.onChange(follow)
  follow()
}

/** A notice for a page without models. */
export function nothingYet(session: Page['session']): HTMLElement {
  return element(
    'div',
    { class: 'notice' },
    element('p', {}, 'There is no model on this page yet.'),
    button(
      'Write a specification',
      () => {
        session.set({ view: 'specification' })
      },
      'primary',
    ),
  )
}

/** Progress of unknown duration. */
export function waiting(text: string): HTMLElement {
  return element(
    'div',
    { class: 'notice' },
    element('p', {}, text),
    element('progress', { 'aria-label': text }),
  )
}
