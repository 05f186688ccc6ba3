import type { Measure, Permit } from './permit.ts'

/** A claim that exceeds the free room. */
interface Claim {
  readonly permit: Permit
  readonly measure: Measure
  readonly amount: number
  /** The part of the amount that is not free. */
  readonly missing: number
  readonly max: number
  /** All other permits that use the measure, in order of arrival. */
  readonly others: readonly Permit[]
}

/**
 * Selects the permits to release for a claim; undefined if the claim has no right to more room. In this order:
 * 1. Bodies that make no progress.
 * 2. Permits of the client that uses most, if this client uses less than an equal share.
 * 3. Permits of the model that uses most, if this model uses less than an equal share and the permit's client uses no
 *    less than this client.
 * 4. For an arriving body: arriving bodies of the same client and model that are slower or came later.
 * Within a client or a model slow bodies come first, then the latest permits.
 */
export function selectVictims(claim: Claim): Permit[] | undefined {
  const { permit, measure } = claim
  const candidates = claim.others.filter(({ evictable }) => evictable)
  const clients = new Shares('client', claim)
  const models = new Shares('model', claim)
  const next = (): Permit | undefined =>
    candidates.find(({ arrival }) => arrival === 'stalled') ??
    clients.findVictim(candidates) ??
    models.findVictim(candidates, (other) => clients.shareOf(other) >= clients.shareOf(permit)) ??
    findLaterBody(permit, candidates)
  const victims: Permit[] = []
  for (let missing = claim.missing; missing > 0;) {
    const victim = next()
    if (victim === undefined) return undefined
    candidates.splice(candidates.indexOf(victim), 1)
    clients.remove(victim)
    models.remove(victim)
    missing -= victim[measure]
    victims.push(victim)
  }
  return victims
}

/** The amount that each client, or each model, uses, including the claim. */
class Shares {
  readonly #by: 'client' | 'model'
  readonly #measure: Measure
  readonly #permit: Permit
  readonly #amounts = new Map<string, number>()
  /** True if the claimant would use no more than an equal share. */
  readonly #entitled: boolean

  constructor(by: 'client' | 'model', { permit, measure, amount, max, others }: Claim) {
    this.#by = by
    this.#measure = measure
    this.#permit = permit
    this.#amounts.set(permit[by], permit[measure] + amount)
    for (const other of others) this.#amounts.set(other[by], this.shareOf(other) + other[measure])
    this.#entitled = this.shareOf(permit) <= max / this.#amounts.size
  }

  shareOf(permit: Permit): number {
    return this.#amounts.get(permit[this.#by]) ?? 0
  }

  remove(permit: Permit): void {
    this.#amounts.set(permit[this.#by], this.shareOf(permit) - permit[this.#measure])
  }

  /** A permit of the client or model with the largest share, if that is larger than the claimant's. */
  findVictim(
    candidates: readonly Permit[],
    allowed: (permit: Permit) => boolean = () => true,
  ): Permit | undefined {
    if (!this.#entitled) return undefined
    const own = this.shareOf(this.#permit)
    const larger = candidates.filter((other) => this.shareOf(other) > own && allowed(other))
    const largest = Math.max(...larger.map((other) => this.shareOf(other)))
    return findFirstVictim(larger.filter((other) => this.shareOf(other) === largest))
  }
}

/** The latest slow body, or else the latest permit. */
function findFirstVictim(permits: readonly Permit[]): Permit | undefined {
  return permits.findLast(isSlow) ?? permits.at(-1)
}

function findLaterBody(permit: Permit, candidates: readonly Permit[]): Permit | undefined {
  if (permit.arrival === undefined) return undefined
  const similar = candidates.filter(
    (other) => other.arrival !== undefined && other.client === permit.client && other.model === permit.model,
  )
  const slower = similar.filter((other) => isSlow(other) && !isSlow(permit))
  const later = similar.filter((other) => isSlow(other) === isSlow(permit) && other.order > permit.order)
  return slower.at(-1) ?? later.at(-1)
}

function isSlow({ arrival }: Permit): boolean {
  return arrival === 'slow' || arrival === 'stalled'
}
