/** Runs jobs one at a time, in order of asking; one that fails holds nobody up. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  run<R>(job: () => Promise<R>): Promise<R> {
    const result = this.#last.then(job)
    this.#last = result.catch(() => undefined)
    return result
  }
}
