import type { SpecificationRequest } from '../../api/types.gen.ts'

/** Maximum number of models on a page, and the number of colours. */
export const MOST_MODELS = 8

/** Identifies a model: by its specification if that determines it, otherwise by its id on this service. */
export type ModelSource = { readonly spec: SpecificationRequest } | { readonly id: string }

/** The state of the page, as its address stores it: `#view?model=...&field=...`. */
export interface State {
  readonly view: string
  readonly models: readonly ModelSource[]
  /** State of the views by field name. */
  readonly fields: Readonly<Record<string, string>>
}

/** Parses a state from an address; invalid parts are dropped. */
export function readLink(fragment: string): State {
  const [view = '', query = ''] = fragment.replace(/^#/, '').split(/\?(.*)/s)
  const parameters = new URLSearchParams(query)
  const models = parameters
    .getAll('model')
    .flatMap((text) => sourceOf(text) ?? [])
    .slice(0, MOST_MODELS)
  const fields = Object.fromEntries([...parameters].filter(([name]) => name !== 'model'))
  return { view, models, fields }
}

export function writeLink({ view, models, fields }: State): string {
  const parameters = new URLSearchParams()
  for (const model of models)
    parameters.append('model', 'spec' in model ? JSON.stringify(model.spec) : model.id)
  for (const [name, value] of Object.entries(fields)) parameters.append(name, value)
  const query = parameters.toString()
  return query === '' ? `#${view}` : `#${view}?${query}`
}

function sourceOf(text: string): ModelSource | undefined {
  if (/^[0-9a-f]{12,64}$/.test(text)) return { id: text }
  try {
    const spec: unknown = JSON.parse(text)
    return typeof spec === 'object' && spec !== null ? { spec: spec as SpecificationRequest } : undefined
  } catch {
    return undefined
  }
}
