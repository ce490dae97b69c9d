'use strict'

/*
 * Calls on entries in the order of their keys: all of them or those of a range, one after the other or in one array,
 * what is at either end, and taking it out there.
 */

const { BOUND_NAMES, toBoundsOf } = require('../key-range.js')
const { checkOptions, entriesOf, invalid, nameBytes } = require('../names.js')
const { VERB, WANTS } = require('../packing.js')
const { PLACE } = require('./place.js')
const { Sync } = require('./sync.js')

/** @param {import('../packing.js').Page} page */
const keysIn = (page) => page.keys
/** @param {import('../packing.js').Page} page */
const valuesIn = (page) => page.documents
/**
 * @param {import('../packing.js').Page} page
 * @returns {[any, any][]}
 */
function entriesIn ({ keys, documents }) {
  /** @type {[any, any][]} */
  const entries = new Array(keys.length)
  for (let place = 0; place < keys.length; place++) entries[place] = [keys[place], documents[place]]
  return entries
}

class Ranges extends Sync {
  /**
   * Iterates over keys in order, as they are now.
   *
   * @param {unknown} [options] `{ prefix, gt, gte, lt, lte, range, reverse, limit, offset }`
   */
  keys (options) {
    return this.#rows('keys', options, WANTS.KEYS, keysIn)
  }

  /**
   * Iterates over values in the order of their keys, as they are now.
   *
   * @param {unknown} [options] as for `keys`
   */
  values (options) {
    return this.#rows('values', options, WANTS.DOCUMENTS, valuesIn)
  }

  /**
   * Iterates over keys and values in the order of the keys, as they are now.
   *
   * @param {unknown} [options] as for `keys`
   */
  entries (options) {
    return this.#rows('entries', options, WANTS.KEYS | WANTS.DOCUMENTS, entriesIn)
  }

  [Symbol.asyncIterator] () {
    return this.entries()
  }

  /**
   * All keys of a range in order, in one array.
   *
   * @param {unknown} [options] as for `keys`
   * @returns {Promise<any[]>}
   */
  async getAllKeys (options) {
    return await this.#gather('getAllKeys', options, WANTS.KEYS, keysIn)
  }

  /**
   * All values of a range in the order of their keys, in one array.
   *
   * @param {unknown} [options] as for `keys`
   * @returns {Promise<any[]>}
   */
  async getAll (options) {
    return await this.#gather('getAll', options, WANTS.DOCUMENTS, valuesIn)
  }

  /**
   * All keys and values of a range in the order of the keys, in one array.
   *
   * @param {unknown} [options] as for `keys`
   * @returns {Promise<[any, any][]>}
   */
  async getAllEntries (options) {
    return await this.#gather('getAllEntries', options, WANTS.KEYS | WANTS.DOCUMENTS, entriesIn)
  }

  /**
   * @template T
   * @param {string} where
   * @param {unknown} options
   * @param {number} wants
   * @param {(page: import('../packing.js').Page) => readonly T[]} select
   */
  #rows (where, options, wants, select) {
    const asked = toScan(where, options)
    const { session, store } = this[PLACE]
    return session.rows({ store, ...asked, wants }, select)
  }

  /**
   * @template T
   * @param {string} where
   * @param {unknown} options
   * @param {number} wants
   * @param {(page: import('../packing.js').Page) => T[]} select
   * @returns {Promise<T[]>}
   */
  #gather (where, options, wants, select) {
    const asked = toScan(where, options)
    const { session, store } = this[PLACE]
    return session.gather({ store, ...asked, wants }, select)
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
    for await (const [key, value] of this.entries()) await Reflect.apply(callback, thisArg, [value, key, this])
  }

  /**
   * How many keys lie in a range.
   *
   * @param {unknown} [range] a range or a key; left out, everything
   * @returns {Promise<number>}
   */
  async count (range) {
    const { session, store } = this[PLACE]
    return await session.attempt(VERB.COUNT, { store }, () => {
      const [name, bounds] = [nameBytes('store', store), toRange(range)]
      return (run) => run.bytes32(name).absent().range(bounds)
    })
  }

  /**
   * The entry with the first key of a range.
   *
   * @param {unknown} [range] a range or a key
   * @returns {Promise<[any, any] | undefined>} `undefined` where there is none
   */
  async first (range) {
    return await this.#end(range, false)
  }

  /**
   * The entry with the last key of a range.
   *
   * @param {unknown} [range] a range or a key
   * @returns {Promise<[any, any] | undefined>} `undefined` where there is none
   */
  async last (range) {
    return await this.#end(range, true)
  }

  /**
   * @param {unknown} range
   * @param {boolean} reverse
   * @returns {Promise<[any, any] | undefined>}
   */
  async #end (range, reverse) {
    const { session, store } = this[PLACE]
    const scan = { store, bounds: toRange(range), reverse, limit: 1, wants: WANTS.KEYS | WANTS.DOCUMENTS }
    const [entry] = await session.gather(scan, entriesIn)
    return entry
  }

  /**
   * Takes out the entry with the first key of a range, and gives it: nobody else gets it.
   *
   * @param {unknown} [range] a range or a key
   * @returns {Promise<[any, any] | undefined>} `undefined` where there is none
   */
  async popFirst (range) {
    return await this.#pop(range, false)
  }

  /**
   * Takes out the entry with the last key of a range, and gives it: nobody else gets it.
   *
   * @param {unknown} [range] a range or a key
   * @returns {Promise<[any, any] | undefined>} `undefined` where there is none
   */
  async popLast (range) {
    return await this.#pop(range, true)
  }

  /**
   * @param {unknown} range
   * @param {boolean} reverse
   * @returns {Promise<[any, any] | undefined>}
   */
  async #pop (range, reverse) {
    const { session, store } = this[PLACE]
    const entry = await session.attempt(VERB.POP, { store, isWrite: true }, () => {
      const [name, bounds] = [nameBytes('store', store), toRange(range)]
      return (run) => { run.bytes32(name).range(bounds).u8(reverse ? 1 : 0) }
    })
    return entry === undefined ? undefined : [entry.key, entry.value]
  }
}

/**
 * The bounds that an argument means. Left out it means everything; `null` is a key like any other.
 *
 * @param {unknown} range a range or a key
 */
const toRange = (range) => range === undefined ? undefined : toBoundsOf(range)

/**
 * What an iteration is asked for: the names of a range stand among the other options.
 *
 * @param {string} where
 * @param {unknown} options
 */
function toScan (where, options = {}) {
  const given = entriesOf(where, options)
  const isBound = (/** @type {[string, unknown]} */ [name]) => BOUND_NAMES.includes(name)
  const bounds = given.filter(isBound)
  const others = Object.fromEntries(given.filter((option) => !isBound(option)))
  const { range, reverse = false, limit = Infinity, offset = 0 } = checkOptions(where, others, {
    range: 'any',
    reverse: 'boolean',
    limit: 'count',
    offset: 'count'
  })
  if (bounds.length > 0 && range !== undefined) throw invalid(`${where} takes a range or the names of its bounds, not both`)
  const asked = bounds.length > 0 ? Object.fromEntries(bounds) : range
  return { bounds: toRange(asked), reverse, limit, offset: Math.min(offset, Number.MAX_SAFE_INTEGER) }
}

exports.Ranges = Ranges
