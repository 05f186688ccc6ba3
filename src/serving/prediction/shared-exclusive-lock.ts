interface Waiter {
  readonly exclusive: boolean
  readonly start: () => void
}

/** Runs shared calls concurrently and exclusive calls alone; first come, first served, so neither kind starves. */
export class SharedExclusiveLock {
  readonly #waiters: Waiter[] = []
  #running = 0
  #exclusive = false

  async run<R>(exclusive: boolean, call: () => Promise<R>): Promise<R> {
    await new Promise<void>((start) => {
      this.#waiters.push({ exclusive, start })
      this.#startWaiters()
    })
    try {
      return await call()
    } finally {
      this.#running -= 1
      this.#exclusive = false
      this.#startWaiters()
    }
  }

  #startWaiters(): void {
    for (let [first] = this.#waiters; first !== undefined; [first] = this.#waiters) {
      if (this.#exclusive || (first.exclusive && this.#running > 0)) return
      this.#waiters.shift()
      this.#running += 1
      this.#exclusive = first.exclusive
      first.start()
    }
  }
}
