type Child = Node | string | number | undefined
type Value = string | number | boolean | undefined | ((event: never) => void)

/**
 * Creates an element with attributes (`true` sets one, `false` omits it, functions become listeners of
 * `on...`) and children.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, Value>> = {},
  ...children: readonly (Child | readonly Child[])[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name.slice(2), value as EventListener)
    else if (value === true) made.setAttribute(name, '')
    else if (value !== undefined && value !== false) made.setAttribute(name, String(value))
  }
  made.append(...present(children.flat()))
  return made
}

/** Replaces all children. */
export function fill(parent: Element, ...children: readonly (Child | readonly Child[])[]): void {
  parent.replaceChildren(...present(children.flat()))
}

/** A select of options; a value that is not among them is added as an option. */
export function select(
  name: string,
  options: readonly (readonly [value: string, label: string])[],
  value: string,
  onchange: (value: string) => void,
): HTMLSelectElement {
  const known = options.some(([option]) => option === value)
  const made = element(
    'select',
    {
      name,
      onchange: () => {
        onchange(made.value)
      },
    },
    (known ? options : [[value, value] as const, ...options]).map(([option, label]) =>
      element('option', { value: option, selected: option === value }, label),
    ),
  )
  return made
}

/** A control with its label and an optional hint. */
export function labelled(label: string, control: HTMLElement, hint?: string): HTMLElement {
  return element(
    'label',
    { class: 'field' },
    element('span', { class: 'label' }, label),
    control,
    hint === undefined ? undefined : element('small', {}, hint),
  )
}

/** A button with a text. */
export function button(label: string, onclick: () => void, kind = ''): HTMLButtonElement {
  return element('button', { type: 'button', class: kind, onclick }, label)
}

/** A table in a scrollable region with an accessible name. */
export function table(
  label: string,
  heads: readonly string[],
  rows: readonly HTMLTableRowElement[],
  kind = 'scroll',
): HTMLElement {
  const head = heads.map((text) => element('th', { scope: 'col' }, text))
  return element(
    'div',
    { class: kind, tabindex: 0, role: 'region', 'aria-label': label },
    element('table', {}, element('thead', {}, element('tr', {}, head)), element('tbody', {}, rows)),
  )
}

/** Announces a change to screen readers. */
export function say(text: string): void {
  const announcer = document.querySelector('#announcer')
  if (announcer !== null) announcer.textContent = text
}

function present(children: readonly (Child | readonly Child[])[]): (Node | string)[] {
  return children
    .flat()
    .filter((child) => child !== undefined)
    .map((child) => (typeof child === 'number' ? String(child) : child))
}
