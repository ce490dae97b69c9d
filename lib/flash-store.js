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
const { Calls } = require('./flash/namespace.js')
const { Place } = require('./flash/place.js')
const { version } = require('../package.json')
const { readOptions } = require('./options.js')
const { Session } = require('./session.js')
const { encodeValue } = require('./values.js')

/** The object store that holds the entries. */
const STORE = 'flash'
const DEFINITION = JSON.stringify({ name: STORE, keyPath: null, autoIncrement: false })

class FlashStore extends Calls {
  #options
  /** @type {{ connection: Connection, session: Session } | undefined} */
  #opened
  #isClosed = false

  /** @param {string | Record<string, unknown>} options a directory, or options with a `dataDir` */
  constructor (options) {
    super(new Place(() => this.#session(), STORE, encodeValue))
    this.#options = readOptions('FlashStore', typeof options === 'string' ? { dataDir: options } : options)
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

exports.FlashStore = FlashStore
