import type { Engine } from '../contract.ts'

/** The common part of engines that consist of several engines, which they own. */
export abstract class CompositeEngine {
  protected abstract readonly members: readonly { readonly engine: Engine }[]

  async close(): Promise<void> {
    await Promise.all(this.members.map(({ engine }) => engine.close()))
  }

  get ready(): boolean {
    return this.members.some(({ engine }) => engine.ready)
  }

  get restarts(): number {
    return this.members.reduce((sum, { engine }) => sum + engine.restarts, 0)
  }
}
