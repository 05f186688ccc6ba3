/** A mutex: runs jobs one at a time, in order of calling. A job that fails does not block the next one. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve()

  runExclusive<R>(job: () => Promise<R>): Promise<R> {
    const result = this.#last.then(job)
    this.#last = result.catch(() => undefined)
    return result
  }
}
