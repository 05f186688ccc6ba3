interface Waiter {
  readonly exclusive: boolean
  readonly start: () => void
}

/** Lets calls run side by side, or one of them alone; first come, first served, so that neither kind starves. */
export class SharedExclusiveLock {
  readonly #waiting: Waiter[] = []
  #running = 0
  #exclusive = false

  async run<R>(exclusive: boolean, call: () => Promise<R>): Promise<R> {
    await new Promise<void>((start) => {
      this.#waiting.push({ exclusive: exclusive, start })
      this.#admit()
    })
    try {
      return await call()
    } finally {
      this.#running -= 1
      this.#exclusive = false
      this.#admit()
    }
  }

  #admit(): void {
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      if (this.#exclusive || (first.exclusive && this.#running > 0)) return
      this.#waiting.shift()
      this.#running += 1
      this.#exclusive = first.exclusive
      first.start()
    }
  }
}
