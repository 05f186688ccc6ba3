/** Tasks that no request awaits. Each reports its own failure. */
export class BackgroundTasks {
  readonly #tasks = new Set<Promise<void>>()

  add(task: Promise<void>): void {
    const tracked = task.catch(() => undefined).finally(() => this.#tasks.delete(tracked))
    this.#tasks.add(tracked)
  }

  /** Resolves when all present tasks have ended. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#tasks])
  }
}
