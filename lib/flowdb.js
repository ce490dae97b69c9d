'use strict'

/*
 * FlowDB: documents in object stores, with indexes and transactions.
 *
 * `open` returns at once and the database opens in the background; what is asked of it meanwhile waits. Each call is
 * a transaction of its own.
 */

const { update, view } = require('./attempts.js')
const { Connection } = require('./connection.js')
const { Definitions, toDefaultTtl } = require('./definitions.js')
const { exportTo } = require('./export.js')
const { importFrom } = require('./import.js')
const { liveQuery } = require('./live.js')
const { DELETE } = require('./modify.js')
const { invalid, nameBytes } = require('./names.js')
const { readDirectory, readOptions } = require('./options.js')
const { VERB } = require('./packing.js')
const { toBounds } = require('./key-range.js')
const { Series } = require('./series.js')
const { Session } = require('./session.js')
const { beginTransaction } = require('./transaction.js')
const { readOpening } = require('./upgrade.js')
const { watch } = require('./watch.js')

const ignore = () => {}

class FlowDB extends Definitions {
  /** What the function of `modify` returns to delete the document. */
  static get DELETE () {
    return DELETE
  }

  #connection
  #session

  /** @param {Record<string, unknown>} options */
  constructor (options) {
    const { rest, upgrade } = readOpening('FlowDB.open', options)
    const connection = new Connection(readOptions('FlowDB.open', rest), undefined, upgrade)
    const session = Session.owning(connection)
    super(session)
    this.#connection = connection
    this.#session = session
  }

  /**
   * Opens a database.
   *
   * @param {Record<string, unknown>} options
   */
  static open (options) {
    return new FlowDB(options)
  }

  /**
   * Makes a damaged database, which nobody has open, one that can be opened: of everything in its files that is whole.
   *
   * @param {Record<string, unknown>} options
   * @returns {Promise<any>} what was saved and what was lost
   */
  static async repair (options) {
    return await Connection.repair(readOptions('FlowDB.repair', options))
  }

  /**
   * Removes the files of a database that nobody has open, and the directory where nothing else is in it.
   *
   * @param {Record<string, unknown>} options
   * @returns {Promise<void>}
   */
  static async destroy (options) {
    await Connection.destroy(readOptions('FlowDB.destroy', options))
  }

  /**
   * Resolves when the database is open, and rejects when it can't be opened.
   *
   * @returns {Promise<void>}
   */
  get ready () {
    return this.#connection.ready
  }

  /**
   * The version of the schema, once the database is open; 0 where none was ever given.
   *
   * @returns {number | undefined}
   */
  get version () {
    return this.#connection.version
  }

  /**
   * Begins a transaction.
   *
   * @param {string | string[]} stores the stores that it may use
   * @param {'readonly' | 'readwrite'} [mode]
   * @param {{ isolation?: 'serializable' | 'snapshot' }} [options]
   */
  transaction (stores, mode = 'readonly', options = undefined) {
    return beginTransaction(this.#session, stores, mode, options)
  }

  /**
   * Runs a function in a transaction and commits that, again and again while it ends in a conflict.
   *
   * @template T
   * @param {string | string[]} stores
   * @param {(tx: import('./transaction.js').Transaction) => T | Promise<T>} change
   * @param {{ retries?: number, signal?: AbortSignal, isolation?: 'serializable' | 'snapshot' }} [options]
   * @returns {Promise<T>} what the function gives
   */
  update (stores, change, options) {
    return update(this.#session, stores, change, options)
  }

  /**
   * Runs a function in a read-only transaction.
   *
   * @template T
   * @param {string | string[]} stores
   * @param {(tx: import('./transaction.js').Transaction) => T | Promise<T>} read
   * @returns {Promise<T>} what the function gives
   */
  view (stores, read) {
    return view(this.#session, stores, read)
  }

  /**
   * Iterates over committed changes, in the order of their commits.
   *
   * @param {Record<string, unknown>} [options] `{ store, range, values, oldValues, buffer, overflow, signal }`
   */
  watch (options) {
    return watch(this.#session, options)
  }

  /**
   * Iterates over the results of a query: as they are, and again whenever they change.
   *
   * @param {unknown} query a query, or an object that describes one
   * @param {{ signal?: AbortSignal }} [options]
   */
  liveQuery (query, options) {
    return liveQuery(this.#session, this, query, options)
  }

  /**
   * Changes after how long documents expire that are put without an expiry of their own from now on.
   *
   * @param {string} store
   * @param {number | null} seconds `null` for never
   * @returns {Promise<void>}
   */
  async setDefaultTtl (store, seconds) {
    const name = nameBytes('store', store)
    if (seconds === undefined) throw invalid('setDefaultTtl takes a number of seconds, or null for never')
    const ms = toDefaultTtl(seconds)
    await this.#session.issue(VERB.SET_DEFAULT_TTL, { isWrite: true }, (run) => run.bytes32(name).i64(ms))
  }

  /**
   * Forgets the documents that have expired, of a store or of all. Nobody sees them any more, but counting does.
   *
   * @param {string} [store]
   * @returns {Promise<number>} how many they were
   */
  async purgeExpired (store) {
    return await this.#session.purge(() => store)
  }

  /**
   * A series of records in time, created where it is missing.
   *
   * @param {string} name
   * @param {{ retention?: number }} [options]
   */
  series (name, options) {
    return new Series(this.#session, name, options)
  }

  /**
   * Removes a series with its records.
   *
   * @param {string} name
   * @returns {Promise<void>}
   */
  async deleteSeries (name) {
    const bytes = nameBytes('series', name)
    await this.#session.issue(VERB.DELETE_SERIES, { isWrite: true }, (run) => run.bytes32(bytes))
  }

  /**
   * The names of all series, sorted.
   *
   * @returns {Promise<string[]>}
   */
  async seriesNames () {
    return await this.#session.issue(VERB.SERIES_NAMES, {}, ignore)
  }

  /**
   * Makes a copy of the database as it is now in a directory that is missing or empty. Reads and writes go on
   * meanwhile.
   *
   * @param {string} directory
   * @returns {Promise<void>}
   */
  async checkpoint (directory) {
    const path = readDirectory('the directory of a checkpoint', directory)
    await this.#connection.lookAfter(VERB.CHECKPOINT, (run) => run.text(path))
  }

  /**
   * The same as `checkpoint`.
   *
   * @param {string} directory
   * @returns {Promise<void>}
   */
  async backup (directory) {
    const path = readDirectory('the directory of a backup', directory)
    await this.#connection.lookAfter(VERB.CHECKPOINT, (run) => run.text(path))
  }

  /**
   * Writes schema and documents, as they are now, as lines of JSON.
   *
   * @param {unknown} target a path, or a stream to write to
   * @param {unknown} [options]
   * @returns {Promise<import('./export.js').Exported>}
   */
  async export (target, options) {
    return await exportTo(this.#session, target, options)
  }

  /**
   * Reads what `export` has written, and puts it into this database.
   *
   * @param {unknown} source a path, or a stream to read from
   * @param {unknown} [options]
   * @returns {Promise<import('./import.js').Imported>}
   */
  async import (source, options) {
    return await importFrom(this.#session, source, options)
  }

  /**
   * Reads every table and checks all that it says.
   *
   * @returns {Promise<void>}
   */
  async verify () {
    await this.#connection.lookAfter(VERB.VERIFY, ignore)
  }

  /**
   * The state of the database, and what it has done since it was opened.
   *
   * @returns {Promise<any>}
   */
  async stats () {
    return await this.#connection.lookAfter(VERB.STATS, ignore)
  }

  /**
   * The statistics as text for Prometheus.
   *
   * @returns {Promise<string>}
   */
  async metrics () {
    return await this.#connection.lookAfter(VERB.METRICS, ignore)
  }

  /**
   * Rewrites what there is, without what was overwritten or deleted: the whole database, a store with its indexes, or
   * the documents of a store in a range of keys.
   *
   * @param {string} [store]
   * @param {unknown} [range]
   * @returns {Promise<void>}
   */
  async compact (store, range) {
    await this.#connection.lookAfter(VERB.COMPACT, packPart('compact', store, range))
  }

  /**
   * About how many bytes there are in the files: in all, of a store with its indexes, or of the documents of a store in
   * a range of keys.
   *
   * @param {string} [store]
   * @param {unknown} [range]
   * @returns {Promise<number>}
   */
  async approximateSize (store, range) {
    return await this.#connection.lookAfter(VERB.APPROXIMATE_SIZE, packPart('approximateSize', store, range))
  }

  /**
   * Waits for what was asked for, closes the database, and refuses everything from then on.
   *
   * @returns {Promise<void>}
   */
  async close () {
    await this.#connection.close()
  }

  async [Symbol.asyncDispose] () {
    await this.#connection.close()
  }
}

/**
 * @param {string} where
 * @param {unknown} store
 * @param {unknown} range
 * @returns {import('./connection.js').Pack}
 */
function packPart (where, store, range) {
  if (store === undefined) {
    const hasRange = range !== undefined && range !== null
    if (hasRange) throw invalid(`${where} takes a range of keys of a store: name the store`)
    return (run) => run.absent().range(undefined)
  }
  const name = nameBytes('store', store)
  const bounds = toBounds(range)
  return (run) => run.bytes32(name).range(bounds)
}

exports.FlowDB = FlowDB
