import { Client } from './api/client.ts'
import { element, fill } from './components/dom.ts'
import { experimentView } from './views/experiment.ts'
import { KeyDialog } from './components/key-dialog.ts'
import { Models } from './state/models.ts'
import { modelStrip } from './components/model-strip.ts'
import { predictView } from './views/predict.ts'
import { Session } from './state/session.ts'
import { signalsView } from './views/signals.ts'
import { specificationView } from './views/specification.ts'
import { tools } from './components/header-tools.ts'
import type { View } from './views/view.ts'
import { weightsView } from './views/weights.ts'

/** One line per view: its name in the link, its title, its renderer. */
const views: readonly (readonly [name: string, title: string, view: View])[] = [
  ['specification', 'Specification', specificationView],
  ['weights', 'Weights', weightsView],
  ['signals', 'Signals', signalsView],
  ['predict', 'Predict', predictView],
  ['experiment', 'Experiment', experimentView],
]

const findElement = (id: string): HTMLElement => {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`index.html has no #${id}`)
  return found
}

const dialog = new KeyDialog(findElement('key') as HTMLDialogElement)
const client = new Client((refused) => dialog.ask(refused))
const session = new Session(views.map(([name]) => name))
const models = new Models(client, session)
const page = { client, session, models }

tools(findElement('tools'), page, dialog)
modelStrip(findElement('models'), page)

const sections = new Map(
  views.map(([name, title, view]) => {
    const section = element('section', { class: `view ${name}`, 'aria-label': title, hidden: true })
    findElement('view').append(section)
    // A view that was never shown sends no request.
    let drawn = false
    const show = (): void => {
      section.hidden = session.view !== name
      if (section.hidden || drawn) return
      drawn = true
      view(section, page)
    }
    return [name, show]
  }),
)

const navigation = findElement('views')
function showView(): void {
  fill(
    navigation,
    views.map(([name, title]) =>
      element(
        'a',
        {
          href: `#${name}`,
          'aria-current': session.view === name ? 'page' : undefined,
          onclick: (event: MouseEvent) => {
            event.preventDefault()
            session.set({ view: name })
            navigation.querySelector<HTMLElement>('[aria-current]')?.focus()
          },
        },
        title,
      ),
    ),
  )
  document.title = `${views.find(([name]) => name === session.view)?.[1] ?? ''} · resinit`
  for (const show of sections.values()) show()
}
session.onChange((before) => {
  if (before.view !== session.view) showView()
})
showView()

// The skip link points into this page and must not replace the page's address.
document.querySelector('[data-skip]')?.addEventListener('click', (event) => {
  event.preventDefault()
  findElement('view').focus()
})
