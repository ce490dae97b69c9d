'use strict'

/* What all asynchronous iterators here have in common: how they are iterated over, and how they are ended early. */

/** @template T */
class Iteration {
  #end

  /** @param {() => void} end lets go of everything; may be called again */
  constructor (end) {
    this.#end = end
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  async return () {
    this.#end()
    return { value: undefined, done: true }
  }

  /**
   * @param {unknown} error
   * @returns {Promise<IteratorResult<T, undefined>>}
   */
  async throw (error) {
    this.#end()
    throw error
  }

  [Symbol.asyncIterator] () {
    return this
  }
}

exports.Iteration = Iteration
