'use strict'

/*
 * Calls on single entries: those of a Map, each a promise.
 *
 * This is the first of the classes that the calls of a FlashStore, of its namespaces and of its transactions are made
 * of. Each has a file and adds one idea to the one before it; namespace.js has the last.
 */

const { FlowDBError } = require('../errors.js')
const { PLACE } = require('./place.js')

class Entries {
  #place

  /** @param {import('./place.js').Place} place */
  constructor (place) {
    this.#place = place
  }

  get [PLACE] () {
    return this.#place
  }

  /**
   * @param {unknown} key
   * @param {unknown} value
   * @param {unknown} [options]
   * @returns {Promise<this>}
   */
  set (key, value, options) {
    try {
      checkKey(key)
      const { session, store, encode } = this.#place
      const isPlain = options === undefined
      const done = isPlain
        ? session.put(true, store, encode, value, key, this)
        : session.putWith('set', store, () => encode(value), key, options)
      // Nothing is made anew for the most frequent write.
      return isPlain && session.commitsEach ? done : done.then(() => this)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {unknown} key
   * @returns {Promise<any>} `undefined` where there is no entry
   */
  get (key) {
    try {
      return this.#place.session.get(this.#place.store, key)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {unknown} key
   * @returns {Promise<boolean>}
   */
  has (key) {
    try {
      return this.#place.session.has(this.#place.store, key)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {unknown} key
   * @returns {Promise<boolean>} whether it was there
   */
  delete (key) {
    try {
      return this.#place.session.delete(this.#place.store, key)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * The same as `delete`.
   *
   * @param {unknown} key
   * @returns {Promise<boolean>} whether it was there
   */
  del (key) {
    return this.delete(key)
  }

  /**
   * Removes every entry, however many there are, by one small write. Those of namespaces within stay.
   *
   * @returns {Promise<void>}
   */
  async clear () {
    await this.#place.session.clear(this.#place.store)
  }

  /**
   * How many entries there are.
   *
   * @returns {Promise<number>}
   */
  get size () {
    return this.#count()
  }

  async #count () {
    return await this.#place.session.count(this.#place.store, undefined)
  }
}

/**
 * @param {unknown} key
 */
function checkKey (key) {
  if (key === undefined) throw new FlowDBError('FLOWDB_INVALID_KEY', 'a key can\'t be undefined')
}

exports.Entries = Entries
exports.checkKey = checkKey
