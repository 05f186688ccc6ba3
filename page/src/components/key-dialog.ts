import { button, element, fill, labelled } from './dom.ts'

/** The dialog for the API key. */
export class KeyDialog {
  readonly #dialog: HTMLDialogElement

  constructor(dialog: HTMLDialogElement) {
    this.#dialog = dialog
  }

  /** Prompts until a key was typed. `refused` is true after a rejected key. */
  ask(refused: boolean): Promise<string> {
    return new Promise((resolve) => {
      const input = element('input', {
        ...{ type: 'password', name: 'key', required: true, autocomplete: 'off', spellcheck: 'false' },
        'aria-describedby': 'key-why',
      })
      const close = (): void => {
        if (input.value === '') return
        this.#dialog.close()
        resolve(input.value)
      }
      fill(
        this.#dialog,
        element(
          'form',
          {
            onsubmit: (event: SubmitEvent) => {
              event.preventDefault()
              close()
            },
          },
          element('h2', { id: 'key-title' }, 'API key'),
          element(
            'p',
            { id: 'key-why' },
            refused
              ? 'The service rejected this key. '
              : 'This service requires a key. It logs one when it starts. ',
            'The key is stored in this tab until it is closed.',
          ),
          labelled('Key', input),
          element('div', { class: 'row end' }, button('Use this key', close, 'primary')),
        ),
      )
      // Escape would leave requests waiting without a dialog.
      this.#dialog.addEventListener('cancel', (event) => {
        event.preventDefault()
      })
      if (!this.#dialog.open) this.#dialog.showModal()
      input.focus()
    })
  }
}
