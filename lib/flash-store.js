'use strict'

/*
 * FlashStore: a Map that stays.
 *
 * Keys keep their type, and are in the order of the key codec; values are whatever structured clone knows. It is
 * opened by its first operation. Below it is one object store of a database, with keys outside the documents.
 */

const { Connection } = require('./connection.js')
const { FlowDBError } = require('./errors.js')
const { toBounds } = require('./key-range.js')
const { checkOptions, invalid } = require('./names.js')
const { readOptions } = require('./options.js')
const { WANTS } = require('./packing.js')
const { Session } = require('./session.js')
const { encodeValue } = require('./values.js')

/** The object store that holds the entries. */
const STORE = 'flash'
const DEFINITION = JSON.stringify({ name: STORE, keyPath: null, autoIncrement: false })

/** @param {import('./packing.js').Page} page */
const keysOf = (page) => page.keys
/** @param {import('./packing.js').Page} page */
const valuesOf = (page) => page.documents
/**
 * @param {import('./packing.js').Page} page
 * @returns {[any, any][]}
 */
const entriesOf = (page) => page.keys.map((key, index) => [key, page.documents[index]])

class FlashStore {
  #options
  /** @type {{ connection: Connection, session: Session } | undefined} */
  #opened
  #isClosed = false

  /** @param {string | Record<string, unknown>} options a directory, or options with a `dataDir` */
  constructor (options) {
    this.#options = readOptions('FlashStore', typeof options === 'string' ? { dataDir: options } : options)
  }

  /** The session, opened by the first call. */
  #session () {
    if (this.#isClosed) throw new FlowDBError('FLOWDB_CLOSED', 'the store is closed')
    if (this.#opened !== undefined) return this.#opened.session
    const connection = new Connection(this.#options, DEFINITION)
    const session = Session.owning(connection)
    this.#opened = { connection, session }
    return session
  }

  /**
   * @param {unknown} key
   * @param {unknown} value
   * @returns {Promise<this>}
   */
  async set (key, value) {
    checkKey(key)
    await this.#session().put(true, STORE, () => encodeValue(value), key)
    return this
  }

  /**
   * @param {unknown} key
   * @returns {Promise<any>} `undefined` where there is no entry
   */
  get (key) {
    try {
      return this.#session().get(STORE, key)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {unknown} key
   * @returns {Promise<boolean>}
   */
  async has (key) {
    return await this.#session().has(STORE, key)
  }

  /**
   * @param {unknown} key
   * @returns {Promise<boolean>} whether it was there
   */
  async delete (key) {
    return await this.#session().delete(STORE, key)
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

  /** @returns {Promise<void>} */
  async clear () {
    await this.#session().clear(STORE)
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
    return await this.#session().count(STORE, undefined)
  }

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
   * @param {(page: import('./packing.js').Page) => readonly T[]} select
   */
  #rows (where, options, wants, select) {
    const { range, reverse = false, limit = Infinity } = checkOptions(where, options, {
      range: 'any',
      reverse: 'boolean',
      limit: 'count'
    })
    const scan = { store: STORE, bounds: toBounds(range), reverse, limit, wants }
    return this.#session().rows(scan, select)
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

  /**
   * Waits for what was asked for, and closes.
   *
   * @returns {Promise<void>}
   */
  async close () {
    this.#isClosed = true
    await this.#opened?.connection.close()
  }

  /**
   * Closes, and removes the files of the database, and the directory where nothing else is in it.
   *
   * @returns {Promise<void>}
   */
  async destroy () {
    await this.close()
    await Connection.destroy(this.#options)
  }

  async [Symbol.asyncDispose] () {
    await this.close()
  }
}

/** @param {unknown} key */
function checkKey (key) {
  if (key === undefined) throw new FlowDBError('FLOWDB_INVALID_KEY', 'a key can\'t be undefined')
}

exports.FlashStore = FlashStore
