import { fieldError } from '../common/errors.ts'
import { ARTICLE_PRESET, presets } from './architectures.ts'
import type { ArchitectureRequest, ShortcutRule } from './specification.ts'

const ARTICLE_FIELDS = ['filters', 'strides', 'projection_shortcut'] as const
const { stages: ARTICLE_STAGES = [] } = presets[ARTICLE_PRESET]?.architecture ?? {}

/**
 * Translates the parameters of the article's `residual_network(filters, strides, projection_shortcut)` to a full
 * description. Only the preset of the article accepts them; `stages` and `shortcut` have the same meaning for all
 * presets.
 */
export function translateArticle(given: ArchitectureRequest): ArchitectureRequest {
  const used = ARTICLE_FIELDS.find((field) => given[field] !== undefined)
  if (used !== undefined && given.preset !== ARTICLE_PRESET) {
    const instead = used === 'projection_shortcut' ? 'shortcut' : 'stages'
    throw fieldError(
      `#/architecture/${used}`,
      `is valid with the preset "${ARTICLE_PRESET}" only; use "${instead}"`,
    )
  }
  const { filters, strides, projection_shortcut: projection, ...described } = given
  if (filters !== undefined || strides !== undefined) {
    if (given.stages !== undefined)
      throw fieldError('#/architecture/stages', 'contradicts filters and strides; give one of them')
    described.stages = resolveStages(filters, strides)
  }
  if (projection !== undefined) {
    if (given.shortcut !== undefined)
      throw fieldError('#/architecture/shortcut', 'contradicts projection_shortcut; give one of them')
    const stages = described.stages?.length ?? ARTICLE_STAGES.length
    if (Array.isArray(projection) && projection.length !== stages) {
      throw fieldError(
        '#/architecture/projection_shortcut',
        `must have one rule per stage (${String(stages)}), got ${String(projection.length)}`,
      )
    }
    described.shortcut = Array.isArray(projection) ? projection.map(resolveRule) : resolveRule(projection)
  }
  return described
}

function resolveStages(
  filters = ARTICLE_STAGES.map((stage) => stage.filters),
  strides = ARTICLE_STAGES.map((stage) => stage.strides ?? 1),
) {
  if (filters.length !== strides.length) {
    throw fieldError(
      '#/architecture/strides',
      `must be as many as filters (${String(filters.length)}), got ${String(strides.length)}`,
    )
  }
  return filters.map((count, stage) => ({ blocks: 1, filters: count, strides: strides[stage] ?? 1 }))
}

function resolveRule(projection: 'auto' | boolean): ShortcutRule {
  if (projection === 'auto') return 'projection'
  return projection ? 'always' : 'never'
}
