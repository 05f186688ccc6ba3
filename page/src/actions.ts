import type { Call } from './call.ts'
import type { Client } from './client.ts'
import { button, element, say } from './dom.ts'
import { languages, snippet } from './snippets.ts'

const SAID_MS = 1500

/** Copies a text that is made when it is asked for, and says so on itself. */
export function copyButton(label: string, text: () => string, kind = ''): HTMLButtonElement {
  const made = button(
    label,
    () => {
      void navigator.clipboard.writeText(text()).then(
        () => {
          tell('Copied')
        },
        () => {
          tell('The browser refused to copy')
        },
      )
    },
    kind,
  )
  const tell = (words: string): void => {
    made.textContent = words
    say(words)
    setTimeout(() => (made.textContent = label), SAID_MS)
  }
  return made
}

/** A request, to copy as a program; `call` says undefined while there is none. */
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

/** Hands a file to the browser. */
export function save(name: string, contents: Blob): void {
  const address = URL.createObjectURL(contents)
  element('a', { href: address, download: name }).click()
  // The browser has begun to read it by then.
  setTimeout(() => {
    URL.revokeObjectURL(address)
  }, 60_000)
}

export const saveJson = (name: string, value: unknown): void => {
  save(name, new Blob([JSON.stringify(value, null, 2)], { type: 'application/json' }))
}

/**
 * Downloads what a GET answers: as any link where nobody asks for a key, for then the browser streams it to its disk,
 * and by a request with the key elsewhere.
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
