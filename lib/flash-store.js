'use strict'

/*
 * FlashStore: a Map that stays.
 *
 * Keys keep their type, and are in the order of the key codec; values are whatever structured clone knows. It is
 * opened by its first operation. Below it is a database with an object store for its own entries and one for those of
 * each namespace, with keys outside the documents. What can be done with entries is in lib/flash/; here is what only
 * the whole has.
 */

const { Connection } = require('./connection.js')
const { FlowDBError } = require('./errors.js')
const { ROOT } = require('./flash/names.js')
const { Calls } = require('./flash/namespace.js')
const { version } = require('../package.json')
const { DEFAULTS, Place } = require('./flash/place.js')
const { DELETE } = require('./modify.js')
const { entriesOf } = require('./names.js')
const { readOptions } = require('./options.js')
const { VERB } = require('./packing.js')
const { Session } = require('./session.js')

/** The store of the entries, and those of namespaces, come into being with their first write. */
const DEFINITION = JSON.stringify({ name: ROOT, isDeclared: true })

const ignore = () => {}

class FlashStore extends Calls {
  /** What the function of `update` returns to delete the entry. */
  static get DELETE () {
    return DELETE
  }

  #options
  /** @type {{ connection: Connection, session: Session } | undefined} */
  #opened
  #isClosed = false

  /** @param {string | Record<string, unknown>} options a directory, or options with a `dataDir` */
  constructor (options) {
    const { defaults, others } = split(typeof options === 'string' ? { dataDir: options } : options)
    super(Place.of(() => this.#session(), ROOT, defaults))
    this.#options = readOptions('FlashStore', others)
  }

  /**
   * Opens a store, and resolves to it when it is open.
   *
   * @param {string | Record<string, unknown>} options a directory, or options with a `dataDir`
   * @returns {Promise<FlashStore>}
   */
  static async open (options) {
    const store = new FlashStore(options)
    await store.#session().connection.ready
    return store
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
   * Makes everything durable that was written before it, whatever the store's durability is.
   *
   * @returns {Promise<void>}
   */
  async flush () {
    await this.#session().attempt(VERB.SYNC, { isWrite: true }, () => ignore)
  }

  /**
   * The version of this package.
   *
   * @returns {string}
   */
  version () {
    return version
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

/**
 * The options that belong to the entries, and those that belong to the database.
 *
 * @param {unknown} options
 */
function split (options) {
  const given = entriesOf('FlashStore', options)
  const isDefault = (/** @type {[string, unknown]} */ [name]) => Object.hasOwn(DEFAULTS, name)
  return {
    defaults: Object.fromEntries(given.filter(isDefault)),
    others: Object.fromEntries(given.filter((option) => !isDefault(option)))
  }
}

exports.FlashStore = FlashStore
