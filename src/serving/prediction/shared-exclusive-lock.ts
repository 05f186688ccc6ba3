interface Waiting {
  readonly alone: boolean
  readonly start: () => void
}

/** Lets calls run side by side, or one of them alone; first come, first served, so that neither kind starves. */
export class Isolation {
  readonly #waiting: Waiting[] = []
  #running = 0
  #alone = false

  async run<R>(alone: boolean, call: () => Promise<R>): Promise<R> {
    await new Promise<void>((start) => {
      this.#waiting.push({ alone, start })
      this.#admit()
    })
    try {
      return await call()
    } finally {
      this.#running -= 1
      this.#alone = false
      this.#admit()
    }
  }

  #admit(): void {
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      if (this.#alone || (first.alone && this.#running > 0)) return
      this.#waiting.shift()
      this.#running += 1
      this.#alone = first.alone
      first.start()
    }
  }
}
