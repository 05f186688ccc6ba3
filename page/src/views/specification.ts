import type {
  ListArchitecturesResponse,
  ListInitializersResponse,
  Model,
  Plan,
  SpecificationRequest,
} from '../../api/types.gen.ts'
import { copyAs, saveJson } from '../components/actions.ts'
import { Refusal } from '../api/client.ts'
import { button, element, fill, say } from '../components/dom.ts'
import { initializerCard } from '../components/initializer-card.ts'
import { MOST_MODELS, type ModelSource } from '../state/link.ts'
import { planCard } from '../components/plan-card.ts'
import { specificationForm } from '../components/specification-form.ts'
import type { Page } from './view.ts'

const PAUSE_MS = 200
const FIRST: SpecificationRequest = {
  architecture: 'resnet20',
  initializers: { kernel: 'he_normal' },
  seed: 7,
}

/** Plans a network during editing and creates it on request. */
export function specificationView(root: HTMLElement, page: Page): void {
  const { client, session, models } = page
  let spec: SpecificationRequest | undefined
  let planning = new AbortController()
  let timer: number | undefined

  const editor = element('textarea', {
    ...{ name: 'specification', rows: 10, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off' },
    ...{ 'aria-label': 'Specification as JSON', 'aria-describedby': 'refusal' },
    oninput: () => {
      read(true)
    },
  })
  const refusal = element('div', { id: 'refusal', class: 'refusal', role: 'alert', hidden: true })
  const form = element('div', { class: 'form' })
  const create = button('Create this model', () => void build(), 'primary')
  const plan = element('div', { class: 'card plan', 'aria-live': 'off' })
  const initializer = element('div', { class: 'card initializer' })
  const shelf = element('div', { class: 'card shelf', hidden: true })
  const card = initializerCard(initializer, page)

  fill(
    root,
    element(
      'div',
      { class: 'columns' },
      element(
        'div',
        { class: 'card editor' },
        element('h2', {}, 'Specification'),
        form,
        editor,
        refusal,
        element(
          'div',
          { class: 'row' },
          create,
          button('Download', () => {
            saveJson('specification.json', spec)
          }),
        ),
        copyAs(client, 'the creation', () => call('/v1/models')),
      ),
      element('div', { class: 'stack' }, plan, initializer),
    ),
    shelf,
  )

  const draft = session.field('draft')
  write(draft ?? FIRST, false)
  void catalogue()
  void shelve()
  session.onChange((before) => {
    const now = session.field('draft')
    // The address changed, by editing or by the browser's history.
    if (now !== undefined && now !== before.fields['draft'] && now !== editor.value && now !== compact())
      write(now, false)
  })

  function call(path: string): { method: 'POST'; path: string; json: unknown } | undefined {
    return spec === undefined ? undefined : { method: 'POST', path, json: spec }
  }

  function compact(): string {
    return spec === undefined ? editor.value : JSON.stringify(spec)
  }

  /**
   * Writes a specification or a text into the editor. `edited` is true for user edits and false for the
   * page's address.
   */
  function write(value: SpecificationRequest | string, edited: boolean): void {
    let parsed: unknown = value
    if (typeof value === 'string') {
      try {
        parsed = JSON.parse(value)
      } catch {
        editor.value = value
        read(edited)
        return
      }
    }
    editor.value = JSON.stringify(parsed, null, 2)
    read(edited)
  }

  function read(edited: boolean): void {
    try {
      spec = JSON.parse(editor.value) as SpecificationRequest
    } catch (error) {
      spec = undefined
      refuse('This is not valid JSON', [(error as Error).message])
    }
    session.set({ fields: { draft: compact() } })
    create.disabled = true
    planning.abort()
    clearTimeout(timer)
    if (spec === undefined) return
    form.dispatchEvent(new CustomEvent('specification', { detail: spec }))
    const current = spec
    timer = setTimeout(() => void showPlan(current, edited), PAUSE_MS)
  }

  async function showPlan(current: SpecificationRequest, edited: boolean): Promise<void> {
    planning = new AbortController()
    const { signal } = planning
    try {
      const planned = await client.json<Plan>({ method: 'POST', path: '/v1/plans', json: current }, signal)
      refusal.hidden = true
      create.disabled = false
      editor.removeAttribute('aria-invalid')
      planCard(plan, planned, page, current)
      card.show(planned, edited)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof Refusal)) {
        refuse((error as Error).message, [])
        return
      }
      const { title, detail, errors = [] } = error.problem
      refuse(
        title,
        errors.length === 0 ? [detail] : errors.map(({ pointer, detail: why }) => [pointer, why] as const),
      )
    }
  }

  function refuse(
    title: string,
    reasons: readonly (string | readonly [pointer: string, why: string])[],
  ): void {
    fill(
      refusal,
      element('strong', {}, title),
      reasons.map((reason) =>
        typeof reason === 'string'
          ? element('p', {}, reason)
          : element('p', {}, element('code', {}, reason[0]), ' ', reason[1]),
      ),
    )
    refusal.hidden = false
    editor.setAttribute('aria-invalid', 'true')
    plan.classList.add('stale')
    initializer.classList.add('stale')
  }

  async function build(): Promise<void> {
    if (spec === undefined) return
    const entry = models.add({ spec })
    if (entry === undefined) {
      say(`A page shows at most ${String(MOST_MODELS)} models; remove one first`)
      refuse(`A page shows at most ${String(MOST_MODELS)} models`, ['Remove one first.'])
      return
    }
    await models.build(entry)
    await shelve()
  }

  async function catalogue(): Promise<void> {
    try {
      const [{ architectures }, { initializers }] = await Promise.all([
        client.json<ListArchitecturesResponse>({ method: 'GET', path: '/v1/architectures' }),
        client.json<ListInitializersResponse>({ method: 'GET', path: '/v1/initializers' }),
      ])
      card.setCatalogue(initializers)
      specificationForm(form, architectures, initializers, spec, (edited) => {
        write(edited, true)
      })
    } catch (error) {
      fill(form, element('p', { class: 'notice' }, (error as Error).message))
    }
  }

  /** Shows the models that exist on the service. */
  async function shelve(): Promise<void> {
    const { models: there } = await client.json<{ models: Model[] }>({
      method: 'GET',
      path: '/v1/models',
      query: { limit: '50' },
    })
    shelf.hidden = there.length === 0
    fill(
      shelf,
      element('h2', {}, 'On this service'),
      element(
        'ul',
        { class: 'plain' },
        there.map((model) =>
          element(
            'li',
            {},
            element('code', {}, model.id.slice(0, 12)),
            element('span', {}, model.names.join(', ')),
            element('span', { class: 'muted' }, model.state),
            button('Show', () => models.add(sourceOf(model)), 'small'),
          ),
        ),
      ),
    )
  }
}

/** A link to a recipe works on every service; loaded or measured weights exist only on this one. */
function sourceOf({ id, spec, weights, scheme }: Model): ModelSource {
  return weights === 'initialized' && !scheme?.measured ? { spec } : { id }
}
