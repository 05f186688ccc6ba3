import { copyButton } from './actions.ts'
import { button, element, fill } from './dom.ts'
import type { KeyDialog } from './key.ts'
import type { Page } from './view.ts'

/** At the page's head: its link, the key, the description of the service for programs. */
export function tools(root: HTMLElement, { client }: Page, dialog: KeyDialog): void {
  fill(
    root,
    copyButton('Copy link', () => location.href),
    button('API key', () => {
      void dialog.ask(false).then((key) => {
        client.key = key
        location.reload()
      })
    }),
    element('a', { href: '/docs' }, 'API docs'),
  )
}
