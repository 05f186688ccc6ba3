import type { Measure, Permit } from './permit.ts'

/** Room that is wanted where there is none. */
interface Claim {
  readonly permit: Permit
  readonly measure: Measure
  readonly amount: number
  /** Of the amount, what is not free. */
  readonly missing: number
  readonly max: number
  /** All others who hold of the measure, in order of coming. */
  readonly others: readonly Permit[]
}

/**
 * Who has to leave for a claim, or undefined where the claim has to wait. In this order:
 * 1. Bodies that make no progress.
 * 2. Of the client that holds most, where this one holds less than an equal share.
 * 3. Of the model that holds most, where this one holds less than an equal share, if its client holds no less than this one.
 * 4. For a body that is on its way, others on their way of the same client and model that are slow or came later.
 * Of a client or a model slow bodies leave first, then those who came last.
 */
export function selectVictims(claim: Claim): Permit[] | undefined {
  const { permit: permit, measure } = claim
  const candidates = claim.others.filter(({ evictable }) => evictable)
  const clients = new Shares('client', claim)
  const models = new Shares('model', claim)
  const next = (): Permit | undefined =>
    candidates.find(({ arrival }) => arrival === 'stalled') ??
    clients.victim(candidates) ??
    models.victim(candidates, (other) => clients.of(other) >= clients.of(permit)) ??
    laterBody(permit, candidates)
  const victims: Permit[] = []
  for (let missing = claim.missing; missing > 0;) {
    const victim = next()
    if (victim === undefined) return undefined
    candidates.splice(candidates.indexOf(victim), 1)
    clients.leave(victim)
    models.leave(victim)
    missing -= victim[measure]
    victims.push(victim)
  }
  return victims
}

/** What each client, or each model, holds of a measure, with what is claimed. */
class Shares {
  readonly #by: 'client' | 'model'
  readonly #measure: Measure
  readonly #permit: Permit
  readonly #held = new Map<string, number>()
  /** Whether the one that claims would hold no more than an equal share. */
  readonly #entitled: boolean

  constructor(by: 'client' | 'model', { permit: permit, measure, amount, max, others }: Claim) {
    this.#by = by
    this.#measure = measure
    this.#permit = permit
    this.#held.set(permit[by], permit[measure] + amount)
    for (const other of others) this.#held.set(other[by], this.of(other) + other[measure])
    this.#entitled = this.of(permit) <= max / this.#held.size
  }

  of(permit: Permit): number {
    return this.#held.get(permit[this.#by]) ?? 0
  }

  leave(permit: Permit): void {
    this.#held.set(permit[this.#by], this.of(permit) - permit[this.#measure])
  }

  /** One of those of whom most is held, and more than of the one that claims. */
  victim(
    candidates: readonly Permit[],
    allowed: (permit: Permit) => boolean = () => true,
  ): Permit | undefined {
    if (!this.#entitled) return undefined
    const own = this.of(this.#permit)
    const heavier = candidates.filter((other) => this.of(other) > own && allowed(other))
    const most = Math.max(...heavier.map((other) => this.of(other)))
    return firstToLeave(heavier.filter((other) => this.of(other) === most))
  }
}

/** A slow body, else what came last. */
function firstToLeave(places: readonly Permit[]): Permit | undefined {
  return places.findLast(isSlow) ?? places.at(-1)
}

function laterBody(permit: Permit, candidates: readonly Permit[]): Permit | undefined {
  if (permit.arrival === undefined) return undefined
  const alike = candidates.filter(
    (other) => other.arrival !== undefined && other.client === permit.client && other.model === permit.model,
  )
  const slower = alike.filter((other) => isSlow(other) && !isSlow(permit))
  const later = alike.filter((other) => isSlow(other) === isSlow(permit) && other.order > permit.order)
  return slower.at(-1) ?? later.at(-1)
}

function isSlow({ arrival }: Permit): boolean {
  return arrival === 'slow' || arrival === 'stalled'
}
