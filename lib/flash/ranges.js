'use strict'

/* Calls on entries in the order of their keys: iteration, over all of them or over a range. */

const { toBounds } = require('../key-range.js')
const { checkOptions, invalid } = require('../names.js')
const { WANTS } = require('../packing.js')
const { PLACE } = require('./place.js')
const { Sync } = require('./sync.js')

/** @param {import('../packing.js').Page} page */
const keysOf = (page) => page.keys
/** @param {import('../packing.js').Page} page */
const valuesOf = (page) => page.documents
/**
 * @param {import('../packing.js').Page} page
 * @returns {[any, any][]}
 */
const entriesOf = (page) => page.keys.map((key, index) => [key, page.documents[index]])

class Ranges extends Sync {
  /** @param {unknown} [options] */
  keys (options) {
    return this.#rows('keys', options, WANTS.KEYS, keysOf)
  }

  /** @param {unknown} [options] */
  values (options) {
    return this.#rows('values', options, WANTS.DOCUMENTS, valuesOf)
  }

  /** @param {unknown} [options] */
  entries (options) {
    return this.#rows('entries', options, WANTS.KEYS | WANTS.DOCUMENTS, entriesOf)
  }

  [Symbol.asyncIterator] () {
    return this.entries()
  }

  /**
   * @template T
   * @param {string} where
   * @param {unknown} options
   * @param {number} wants
   * @param {(page: import('../packing.js').Page) => readonly T[]} select
   */
  #rows (where, options, wants, select) {
    const { range, reverse = false, limit = Infinity } = checkOptions(where, options, {
      range: 'any',
      reverse: 'boolean',
      limit: 'count'
    })
    const { session, store } = this[PLACE]
    return session.rows({ store, bounds: toBounds(range), reverse, limit, wants }, select)
  }

  /**
   * Calls `callback` for every entry, one after the other, and waits for what it returns.
   *
   * @param {(value: any, key: any, store: this) => unknown} callback
   * @param {unknown} [thisArg]
   * @returns {Promise<void>}
   */
  async forEach (callback, thisArg) {
    if (typeof callback !== 'function') throw invalid('forEach takes a function')
    for await (const [key, value] of this.entries()) await callback.call(thisArg, value, key, this)
  }
}

exports.Ranges = Ranges
