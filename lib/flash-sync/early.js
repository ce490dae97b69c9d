'use strict'

/*
 * What is set before a store is loaded, until it can be applied.
 *
 * Invariant: it is applied in its order, and an entry that was set twice is applied twice. If only its last value were
 * kept, in its first place, a crash could leave that value without what was set before it.
 */

const moment = require('../moment.js')
const { sizeOf } = require('./write-behind.js')

/** So many changes are applied before it is looked at the time. */
const CHANGES_BETWEEN_LOOKS = 32

/** @typedef {{ key: unknown, value: unknown, encoded: import('../values.js').Encoded }} Early */

class EarlyChanges {
  /** @type {Early[]} */
  #puts = []
  #bytes = 0
  /** Whether everything that is stored is to be removed before those. */
  #isCleared = false

  get isEmpty () {
    return this.#puts.length === 0 && !this.#isCleared
  }

  /** How many bytes wait here. */
  get bytes () {
    return this.#bytes
  }

  /**
   * @param {unknown} key
   * @param {unknown} value
   * @param {import('../values.js').Encoded} encoded
   */
  put (key, value, encoded) {
    this.#puts.push({ key, value, encoded })
    this.#bytes += sizeOf(encoded)
  }

  clear () {
    this.#isCleared = true
    this.#puts = []
    this.#bytes = 0
  }

  /**
   * Applies changes until there are none left, or until a moment has come.
   *
   * @param {number} deadline
   * @param {() => void} clear
   * @param {(early: Early) => void} put
   */
  apply (deadline, clear, put) {
    if (this.#isCleared) clear()
    this.#isCleared = false
    let count = 0
    while (count < this.#puts.length) {
      const early = this.#puts[count++]
      this.#bytes -= sizeOf(early.encoded)
      put(early)
      if (count % CHANGES_BETWEEN_LOOKS === 0 && moment.now() > deadline) break
    }
    this.#puts.splice(0, count)
  }
}

exports.EarlyChanges = EarlyChanges
