'use strict'

/*
 * The calls of a Map that only read.
 *
 * Iterators are those of the Map in memory: they live, and go on through what is set while they do.
 */

const { invalid, kindOf } = require('../names.js')

class Reads {
  #loaded

  /** @param {() => Map<any, any>} loaded gives the entries, loaded if they were not */
  constructor (loaded) {
    this.#loaded = loaded
  }

  /**
   * @param {unknown} key
   * @returns {any} `undefined` where there is no entry
   */
  get (key) {
    return this.#loaded().get(key)
  }

  /** @param {unknown} key */
  has (key) {
    return this.#loaded().has(key)
  }

  /** How many entries there are. */
  get size () {
    return this.#loaded().size
  }

  keys () {
    return this.#loaded().keys()
  }

  values () {
    return this.#loaded().values()
  }

  entries () {
    return this.#loaded().entries()
  }

  [Symbol.iterator] () {
    return this.entries()
  }

  /**
   * @param {(value: any, key: any, store: this) => void} callback
   * @param {unknown} [thisArg]
   */
  forEach (callback, thisArg) {
    if (typeof callback !== 'function') throw invalid(`forEach takes a function, not ${kindOf(callback)}`)
    this.#loaded().forEach((value, key) => Reflect.apply(callback, thisArg, [value, key, this]))
  }
}

exports.Reads = Reads
