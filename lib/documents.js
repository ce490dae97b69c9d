'use strict'

/* The calls on documents that a FlowDB database and its transactions have in common. */

const bulk = require('./bulk.js')
const { openCursor } = require('./document-cursor.js')
const { KeyRange, toBounds, toBoundsOf, toKeyOrBounds } = require('./key-range.js')
const { compareKeys, plainKey } = require('./key.js')
const { modify, patch } = require('./modify.js')
const { checkCount, checkName, checkOptions, invalid } = require('./names.js')
const { NOT_AT_HAND } = require('./native.js')
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
   * @param {unknown} [key] for a store without key path, or the options
   * @param {unknown} [options]
   * @returns {Promise<any>} the primary key
   */
  put (store, document, key, options) {
    if (options !== undefined || (typeof key === 'object' && key !== null)) {
      return this.#session.putWith('put', store, () => encodeDocument(document), key, options)
    }
    return this.#session.put(true, store, encodeDocument, document, key)
  }

  /**
   * Stores a document, unless one has its key already.
   *
   * @param {string} store
   * @param {unknown} document
   * @param {unknown} [key] for a store without key path, or the options
   * @param {unknown} [options]
   * @returns {Promise<any>} the primary key
   */
  add (store, document, key, options) {
    if (options !== undefined || (typeof key === 'object' && key !== null)) {
      return this.#session.putWith('add', store, () => encodeDocument(document), key, options)
    }
    return this.#session.put(false, store, encodeDocument, document, key)
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
   * The document with this key, its version, when it was written and when it expires.
   *
   * @param {string} store
   * @param {unknown} key
   * @returns {Promise<any>} `undefined` where there is none
   */
  getEntry (store, key) {
    return this.#session.getEntry(store, key)
  }

  /**
   * Changes when a document expires.
   *
   * @param {string} store
   * @param {unknown} key
   * @param {{ ttl?: number, expiresAt?: Date | number | null }} options
   * @returns {Promise<boolean>} whether it was there
   */
  touch (store, key, options) {
    return this.#session.touch(store, key, options)
  }

  /**
   * @param {string} store
   * @param {Iterable<unknown>} keys
   * @returns {Promise<any[]>} in the order of the keys, `undefined` for each that is not there
   */
  getMany (store, keys) {
    return bulk.getMany(this.#session, store, keys)
  }

  /**
   * The first key that there is in a range.
   *
   * @param {string} store
   * @param {unknown} range a key or a range
   * @returns {Promise<any>} `undefined` where there is none
   */
  getKey (store, range) {
    return bulk.getKey(this.#session, store, undefined, range)
  }

  /**
   * @param {string} store
   * @param {unknown} key
   * @returns {Promise<boolean>}
   */
  has (store, key) {
    return this.#session.has(store, key)
  }

  /**
   * Stores documents, all or none, each in place of the one that has its key.
   *
   * @param {string} store
   * @param {Iterable<unknown>} documents
   * @param {Iterable<unknown>} [keys] as many, for a store without key path
   * @returns {Promise<any[]>} the primary keys
   */
  putMany (store, documents, keys) {
    return bulk.putMany(this.#session, 'putMany', store, documents, keys)
  }

  /**
   * Stores documents, or none when one of them has a key that is there already.
   *
   * @param {string} store
   * @param {Iterable<unknown>} documents
   * @param {Iterable<unknown>} [keys] as many, for a store without key path
   * @returns {Promise<any[]>} the primary keys
   */
  addMany (store, documents, keys) {
    return bulk.putMany(this.#session, 'addMany', store, documents, keys)
  }

  /**
   * @param {string} store
   * @param {unknown} key a key or a range
   * @returns {Promise<any>} whether it was there, or for a range, how many there were
   */
  delete (store, key) {
    return bulk.deleteKeyOrRange(this.#session, store, key)
  }

  /**
   * @param {string} store
   * @param {Iterable<unknown>} keys
   * @returns {Promise<number>} how many were there
   */
  deleteMany (store, keys) {
    return bulk.deleteMany(this.#session, store, keys)
  }

  /**
   * Changes a document by a function of what it is, as if nobody else could change it meanwhile.
   *
   * @param {string} store
   * @param {unknown} key
   * @param {(document: any) => unknown} change returns the new one, `undefined` to leave it, or `FlowDB.DELETE`; may be
   *   called again
   * @returns {Promise<any>} the document as it is then
   */
  modify (store, key, change) {
    return modify(this.#session, store, key, change)
  }

  /**
   * Merges a change into a document as JSON merge patch says (RFC 7396).
   *
   * @param {string} store
   * @param {unknown} key
   * @param {unknown} change
   * @returns {Promise<boolean>} whether there was a document
   */
  patch (store, key, change) {
    return patch(this.#session, store, key, change)
  }

  /**
   * Iterates over documents or the entries of an index, with their keys, to change them on the way.
   *
   * @param {string} store
   * @param {{ index?: string, range?: unknown, direction?: string, limit?: number }} [options]
   * @returns {AsyncIterableIterator<any>}
   */
  cursor (store, options) {
    return openCursor(this.#session, store, options)
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
    return this.#session.rows(toScan('scan', { store, index: undefined, range, options }, WANTS.DOCUMENTS), documentsOf)
  }

  /**
   * @param {string} store
   * @param {unknown} [range] a KeyRange or a key
   * @param {number | { reverse?: boolean, limit?: number }} [options] a number is the limit
   * @returns {Promise<any[]>} documents in key order
   */
  getAll (store, range, options) {
    return this.#gather(() => toScan('getAll', { store, index: undefined, range, options }, WANTS.DOCUMENTS), documentsOf)
  }

  /**
   * @param {string} store
   * @param {unknown} [range] a KeyRange or a key
   * @param {number | { reverse?: boolean, limit?: number }} [options] a number is the limit
   * @returns {Promise<any[]>} primary keys in order
   */
  getAllKeys (store, range, options) {
    return this.#gather(() => toScan('getAllKeys', { store, index: undefined, range, options }, WANTS.KEYS), keysOf)
  }

  /**
   * The documents that have `key` in an index.
   *
   * @param {string} store
   * @param {string} index
   * @param {unknown} key a key or a KeyRange
   * @returns {Promise<any[]>}
   */
  getByIndex (store, index, key) {
    // No array and nothing that may be a range.
    if (typeof key === 'string' || typeof key === 'number') {
      const found = this.#find(store, index, key)
      if (found !== undefined) return found
    }
    return this.#gather(() => {
      // Here `null` is a key like any other, and `undefined` is a mistake and not everything.
      return { store, index, bounds: toBoundsOf(key), reverse: false, limit: Infinity, wants: WANTS.DOCUMENTS }
    }, documentsOf)
  }

  /**
   * The documents whose key in an index is from `start` to before `end`, in the order of the index.
   *
   * @param {string} store
   * @param {string} index
   * @param {unknown} [start] `undefined` for the beginning; or a range, instead of both
   * @param {unknown} [end] `undefined` for the end; left out itself
   * @returns {Promise<any[]>}
   */
  rangeByIndex (store, index, start, end) {
    return this.#gather(() => {
      const bounds = startOrRange(start, end)
      const scan = toScan('rangeByIndex', { store, index }, WANTS.DOCUMENTS)
      return bounds === 'empty' ? { ...scan, limit: 0 } : { ...scan, bounds }
    }, documentsOf)
  }

  /**
   * @param {string} store
   * @param {string} index
   * @param {unknown} [range] a range or a key
   * @param {number | { reverse?: boolean, limit?: number }} [options] a number is the limit
   * @returns {Promise<any[]>} documents in the order of the index
   */
  getAllByIndex (store, index, range, options) {
    return this.#gather(() => {
      return toScan('getAllByIndex', { store, index: checkName('index', index), range, options }, WANTS.DOCUMENTS)
    }, documentsOf)
  }

  /**
   * @param {string} store
   * @param {string} index
   * @param {unknown} [range] a range or a key
   * @returns {Promise<number>} how many entries there are
   */
  countByIndex (store, index, range) {
    return bulk.countByIndex(this.#session, store, index, range)
  }

  /**
   * The primary key of the first entry that there is.
   *
   * @param {string} store
   * @param {string} index
   * @param {unknown} range a key or a range
   * @returns {Promise<any>} `undefined` where there is none
   */
  async getKeyByIndex (store, index, range) {
    return await bulk.getKey(this.#session, store, checkName('index', index), range)
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
   * @param {string} store
   * @param {string} index
   * @param {string | number} key
   * @returns {Promise<any[]> | undefined} `undefined` where it can't be told in the call
   */
  #find (store, index, key) {
    const session = this.#session
    try {
      const found = session.findInCall(store, index, key)
      if (found === NOT_AT_HAND) return undefined
      return session.connection.resolved(found === undefined ? [] : [found])
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @template T
   * @param {() => import('./session.js').NamedScan} prepare checks the arguments
   * @param {(page: import('./packing.js').Page) => T[]} select
   * @returns {Promise<T[]>}
   */
  #gather (prepare, select) {
    try {
      return this.#session.gather(prepare(), select)
    } catch (error) {
      return Promise.reject(error)
    }
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
 * @param {unknown} start a key, or a range where there is no end
 * @param {unknown} end
 * @returns {import('./packing.js').Bounds | undefined | 'empty'}
 */
function startOrRange (start, end) {
  const { key, bounds } = toKeyOrBounds(start)
  if (bounds === undefined) return halfOpen(key, plainKey(end))
  if (end === undefined) return bounds
  throw invalid('rangeByIndex takes a range, or a start and an end')
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
