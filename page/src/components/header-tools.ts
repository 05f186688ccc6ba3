import { copyButton } from './actions.ts'
import { button, element, fill } from './dom.ts'
import type { KeyDialog } from './key-dialog.ts'
import type { Page } from '../views/view.ts'

/** Tools in the page's header: copy link, API key, API description. */
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
