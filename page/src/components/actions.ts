import type { Call } from '../api/call.ts'
import type { Client } from '../api/client.ts'
import { button, element, say } from './dom.ts'
import { languages, snippet } from '../api/snippets.ts'

const CONFIRMATION_MS = 1500

/** A button that copies a text, which is created on the click, and confirms it. */
export function copyButton(label: string, text: () => string, kind = ''): HTMLButtonElement {
  const made = button(
    label,
    () => {
      const copied = text()
      // Browsers offer the clipboard to pages over TLS or from this machine; elsewhere the text is shown for
      // manual copying.
      const written = isSecureContext ? navigator.clipboard.writeText(copied) : Promise.reject(new Error())
      void written.then(
        () => {
          made.textContent = 'Copied'
          say('Copied')
          setTimeout(() => (made.textContent = label), CONFIRMATION_MS)
        },
        () => {
          showToCopy(copied)
        },
      )
    },
    kind,
  )
  return made
}

function showToCopy(text: string): void {
  const area = element('textarea', { readonly: true, rows: 12, 'aria-label': 'Text to copy' })
  area.value = text
  const dialog = element(
    'dialog',
    {
      'aria-label': 'Copy manually',
      onclose: () => {
        dialog.remove()
      },
    },
    element(
      'form',
      { method: 'dialog' },
      element('p', {}, 'The browser denies clipboard access to pages without TLS. Copy the text here.'),
      area,
      element('div', { class: 'row end' }, element('button', { class: 'primary' }, 'Close')),
    ),
  )
  document.body.append(dialog)
  dialog.showModal()
  area.select()
}

/** Copies a request as a program. `call` returns undefined while there is no request. */
export function copyAs(client: Client, what: string, call: () => Call | undefined): HTMLElement {
  return element(
    'div',
    { class: 'copy-as', role: 'group', 'aria-label': `Copy ${what} as a program` },
    element('span', { 'aria-hidden': 'true' }, 'Copy as'),
    languages.map((language) =>
      copyButton(
        language,
        () => {
          const made = call()
          if (made === undefined) return ''
          return snippet(language, made, { origin: location.origin, withKey: client.key !== undefined })
        },
        'link',
      ),
    ),
  )
}

/** Saves a file through the browser. */
function save(name: string, contents: Blob): void {
  const address = URL.createObjectURL(contents)
  element('a', { href: address, download: name }).click()
  // By then the browser has started to read it.
  setTimeout(() => {
    URL.revokeObjectURL(address)
  }, 60_000)
}

export const saveJson = (name: string, value: unknown): void => {
  save(name, new Blob([JSON.stringify(value, null, 2)], { type: 'application/json' }))
}

/**
 * Downloads the result of a GET request: by a link without a key, so that the browser streams it to disk;
 * otherwise by a request with the key.
 */
export function download(
  client: Client,
  label: string,
  path: string,
  name: string,
  failed: (error: Error) => void,
): HTMLElement {
  if (client.key === undefined) return element('a', { href: path, download: name, class: 'button' }, label)
  const made = button(label, () => {
    made.disabled = true
    client
      .blob({ method: 'GET', path, headers: { accept: '*/*' } })
      .then((blob) => {
        save(name, blob)
      }, failed)
      .finally(() => (made.disabled = false))
  })
  return made
}
