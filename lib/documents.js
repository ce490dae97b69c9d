'use strict'

/* The calls on documents that a FlowDB database and its transactions have in common. */

const { KeyRange, toBounds, toBoundsOf } = require('./key-range.js')
const { compareKeys, plainKey } = require('./key.js')
const { checkCount, checkOptions } = require('./names.js')
const { WANTS } = require('./packing.js')
const { queryOf } = require('./query.js')
const { encodeDocument } = require('./values.js')

/** @param {import('./packing.js').Page} page */
const documentsOf = (page) => page.documents
/** @param {import('./packing.js').Page} page */
const keysOf = (page) => page.keys

class Documents {
  #session

  /** @param {import('./session.js').Session} session */
  constructor (session) {
    this.#session = session
  }

  /**
   * Stores a document, in place of the one that has its key.
   *
   * @param {string} store
   * @param {unknown} document
   * @param {unknown} [key] for a store without key path
   * @returns {Promise<any>} the primary key
   */
  put (store, document, key) {
    return this.#session.put(true, store, () => encodeDocument(document), key)
  }

  /**
   * Stores a document, unless one has its key already.
   *
   * @param {string} store
   * @param {unknown} document
   * @param {unknown} [key] for a store without key path
   * @returns {Promise<any>} the primary key
   */
  add (store, document, key) {
    return this.#session.put(false, store, () => encodeDocument(document), key)
  }

  /**
   * @param {string} store
   * @param {unknown} key
   * @returns {Promise<any>} `undefined` where there is none
   */
  get (store, key) {
    return this.#session.get(store, key)
  }

  /**
   * @param {string} store
   * @param {unknown} key
   * @returns {Promise<boolean>} whether it was there
   */
  delete (store, key) {
    return this.#session.delete(store, key)
  }

  /**
   * Removes every document of a store.
   *
   * @param {string} store
   * @returns {Promise<void>}
   */
  clear (store) {
    return this.#session.clear(store)
  }

  /**
   * @param {string} store
   * @param {unknown} [range] a KeyRange or a key
   * @returns {Promise<number>}
   */
  count (store, range) {
    return this.#session.count(store, range)
  }

  /**
   * Iterates over documents in key order, as they are now.
   *
   * @param {string} store
   * @param {unknown} [range] a KeyRange or a key
   * @param {{ reverse?: boolean, limit?: number }} [options]
   * @returns {AsyncIterableIterator<any>}
   */
  scan (store, range, options) {
    return this.#session.rows(toScan('scan', { store, range, options }, WANTS.DOCUMENTS), documentsOf)
  }

  /**
   * @param {string} store
   * @param {unknown} [range] a KeyRange or a key
   * @param {number | { reverse?: boolean, limit?: number }} [options] a number is the limit
   * @returns {Promise<any[]>} documents in key order
   */
  async getAll (store, range, options) {
    return await this.#gather(toScan('getAll', { store, range, options }, WANTS.DOCUMENTS), documentsOf)
  }

  /**
   * @param {string} store
   * @param {unknown} [range] a KeyRange or a key
   * @param {number | { reverse?: boolean, limit?: number }} [options] a number is the limit
   * @returns {Promise<any[]>} primary keys in order
   */
  async getAllKeys (store, range, options) {
    return await this.#gather(toScan('getAllKeys', { store, range, options }, WANTS.KEYS), keysOf)
  }

  /**
   * The documents that have `key` in an index.
   *
   * @param {string} store
   * @param {string} index
   * @param {unknown} key a key or a KeyRange
   * @returns {Promise<any[]>}
   */
  async getByIndex (store, index, key) {
    // Here `null` is a key like any other, and `undefined` is a mistake and not everything.
    const scan = { ...toScan('getByIndex', { store, index }, WANTS.DOCUMENTS), bounds: toBoundsOf(key) }
    return await this.#gather(scan, documentsOf)
  }

  /**
   * The documents whose key in an index is from `start` to before `end`, in the order of the index.
   *
   * @param {string} store
   * @param {string} index
   * @param {unknown} [start] `undefined` for the beginning
   * @param {unknown} [end] `undefined` for the end; left out itself
   * @returns {Promise<any[]>}
   */
  async rangeByIndex (store, index, start, end) {
    const range = halfOpen(plainKey(start), plainKey(end))
    const options = range === 'empty' ? { limit: 0 } : undefined
    const bounds = range === 'empty' ? undefined : range
    const scan = toScan('rangeByIndex', { store, index, range: bounds, options }, WANTS.DOCUMENTS)
    return await this.#gather(scan, documentsOf)
  }

  /**
   * Asks for documents by conditions.
   *
   * @param {string} store
   */
  query (store) {
    return queryOf(this.#session, store)
  }

  /**
   * @template T
   * @param {ReturnType<typeof toScan>} scan
   * @param {(page: import('./packing.js').Page) => readonly T[]} select
   * @returns {Promise<T[]>}
   */
  #gather (scan, select) {
    return this.#session.rows({ ...scan, isGathered: true }, select).gather()
  }
}

/**
 * What a user asks for.
 *
 * @typedef {object} Ask
 * @property {unknown} store
 * @property {unknown} [index]
 * @property {unknown} [range]
 * @property {unknown} [options]
 */

/**
 * @param {string} where
 * @param {Ask} ask
 * @param {number} wants
 */
function toScan (where, { store, index, range, options }, wants) {
  const asked = typeof options === 'number' ? { limit: checkCount(where, 'the limit', options) } : options
  const { reverse = false, limit = Infinity } = checkOptions(where, asked, { reverse: 'boolean', limit: 'count' })
  return { store, index, bounds: toBounds(range), reverse, limit, wants }
}

/**
 * @param {unknown} start from `plainKey`
 * @param {unknown} end from `plainKey`
 * @returns {KeyRange | undefined | 'empty'}
 */
function halfOpen (start, end) {
  if (start === undefined && end === undefined) return undefined
  if (end === undefined) return KeyRange.lowerBound(start)
  if (start === undefined) return KeyRange.upperBound(end, true)
  return compareKeys(start, end) < 0 ? KeyRange.bound(start, end, false, true) : 'empty'
}

exports.Documents = Documents
