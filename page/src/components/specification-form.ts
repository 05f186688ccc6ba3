import type {
  InitializerEntry,
  InitializerReference,
  ListArchitecturesResponse,
  SpecificationRequest,
} from '../../api/types.gen.ts'
import { element, fill, labelled, select } from './dom.ts'
import { wordsOf } from './labels.ts'

type Architectures = ListArchitecturesResponse['architectures']
/** A field of an initializer's config, from its JSON Schema. */
interface ConfigField {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly default?: unknown
  readonly description?: string
}

/** The article's own call, an example of a shape error. */
const ARTICLE: SpecificationRequest = {
  architecture: { preset: 'residual_network', projection_shortcut: false },
}

const SCHEMES = ['none', 'zero_gamma', 'fixup', 'skipinit', 'rezero', 'lsuv']

/**
 * Controls for the most used fields. The JSON beside them is the specification; each control changes its
 * field of it. Listens to the event `specification` on its root.
 */
export function specificationForm(
  root: HTMLElement,
  architectures: Architectures,
  initializers: readonly InitializerEntry[],
  first: SpecificationRequest | undefined,
  write: (spec: SpecificationRequest) => void,
): void {
  const draw = (spec: SpecificationRequest): void => {
    const { architecture, seed = 0, residual_scheme = 'none', precision = 'float32' } = spec
    const kernel = spec.initializers?.kernel ?? 'glorot_uniform'
    const preset = typeof architecture === 'string' ? architecture : (architecture.preset ?? 'custom')
    const name = document.activeElement?.getAttribute('name')
    fill(
      root,
      labelled(
        'Network',
        select(
          'architecture',
          [
            ...architectures.map(({ name }) => [name, name] as const),
            ['article', 'the article without projections'] as const,
          ],
          preset,
          (value) => {
            write(value === 'article' ? { ...spec, ...ARTICLE } : { ...spec, architecture: value })
          },
        ),
      ),
      labelled(
        'Kernel initializer',
        select(
          'kernel',
          initializers.map((entry) => [wordsOf(entry.name), wordsOf(entry.name)] as const),
          wordsOf(entryOf(kernel, initializers)?.name ?? nameOf(kernel)),
          (value) => {
            write({ ...spec, initializers: { ...spec.initializers, kernel: value } })
          },
        ),
      ),
      ...configFields(spec, kernel),
      labelled(
        'Seed',
        numberInput('seed', seed, true, (value) => {
          write({ ...spec, seed: value })
        }),
      ),
      labelled(
        'Residual scheme',
        select('residual_scheme', SCHEMES.map(plain), residual_scheme, (value) => {
          write({ ...spec, residual_scheme: value as NonNullable<SpecificationRequest['residual_scheme']> })
        }),
      ),
      labelled(
        'Precision',
        select('precision', ['float32', 'bfloat16'].map(plain), precision, (value) => {
          write({ ...spec, precision: value as 'float32' | 'bfloat16' })
        }),
      ),
    )
    // Restores keyboard focus.
    if (name !== null && name !== undefined)
      root.querySelector<HTMLElement>(`[name="${CSS.escape(name)}"]`)?.focus()
  }

  function configFields(spec: SpecificationRequest, kernel: InitializerReference): HTMLElement[] {
    const { properties = {} } = (entryOf(kernel, initializers)?.parameters ?? {}) as {
      properties?: Readonly<Record<string, ConfigField>>
    }
    const config: Readonly<Record<string, unknown>> = typeof kernel === 'string' ? {} : (kernel.config ?? {})
    const change = (field: string, value: unknown): void => {
      const changed = { class_name: nameOf(kernel), config: { ...config, [field]: value } }
      write({ ...spec, initializers: { ...spec.initializers, kernel: changed } })
    }
    return Object.entries(properties).flatMap(
      ([field, { type, enum: values, default: initial, description }]) => {
        const value = config[field] ?? initial
        const control =
          values !== undefined
            ? select(`config.${field}`, values.map(plain), String(value), (chosen) => {
                change(field, chosen)
              })
            : type === 'number' || type === 'integer'
              ? numberInput(`config.${field}`, Number(value), type === 'integer', (typed) => {
                  change(field, typed)
                })
              : undefined
        return control === undefined ? [] : [labelled(field, control, description)]
      },
    )
  }

  root.addEventListener('specification', (event) => {
    draw((event as CustomEvent<SpecificationRequest>).detail)
  })
  if (first !== undefined) draw(first)
}

/** The catalogue entry of an initializer, by any of its names. */
export function entryOf(
  initializer: InitializerReference,
  initializers: readonly InitializerEntry[],
): InitializerEntry | undefined {
  const name = nameOf(initializer)
  return initializers.find((entry) => entry.name === name || entry.aliases.includes(name))
}

const nameOf = (initializer: InitializerReference): string =>
  typeof initializer === 'string' ? initializer : initializer.class_name

const plain = (value: string): readonly [string, string] => [value, value]

function numberInput(
  name: string,
  value: number,
  whole: boolean,
  change: (value: number) => void,
): HTMLInputElement {
  const made = element('input', {
    ...{ type: 'number', name, value, step: whole ? 1 : 'any' },
    onchange: () => {
      if (Number.isFinite(made.valueAsNumber)) change(made.valueAsNumber)
    },
  })
  return made
}
