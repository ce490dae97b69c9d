'use strict'

/*
 * FlashStoreSync: a Map in memory that stays.
 *
 * It is loaded when it is made, in the background; a call that needs what is stored loads the rest of it. From then on
 * everything is answered from memory, and written behind (lib/flash-sync/). Below it is one object store of a database
 * with a document for each entry, under a number that grows with each new one: so the order of insertion comes back.
 *
 * Invariant: what was set before the end of loading is applied at its end, as if it had been set only then.
 */

const { inspect } = require('node:util')
const { Connection } = require('./connection.js')
const { FlowDBError, isOwn, reasonOf } = require('./errors.js')
const { EarlyChanges } = require('./flash-sync/early.js')
const { checkKey, encodeEntry } = require('./flash-sync/entry.js')
const { Loading } = require('./flash-sync/loading.js')
const { Reads } = require('./flash-sync/reads.js')
const { HEAD, WAITING_BYTES_MAX, WriteBehind } = require('./flash-sync/write-behind.js')
const { version } = require('../package.json')
const moment = require('./moment.js')
const { invalid, kindOf, nameBytes } = require('./names.js')
const { readOptions } = require('./options.js')
const { Session } = require('./session.js')

/** The object store that holds the entries. */
const STORE = 'flash-sync'
const DEFINITION = JSON.stringify({ name: STORE, keyPath: null, autoIncrement: false })

/** What was set before the end of loading is applied for so long before the event loop gets a turn. */
const SLICE_MS_MAX = 5

const ignore = () => {}

/** @typedef {import('./values.js').Encoded} Encoded */

class FlashStoreSync extends Reads {
  #options
  #session
  #loading
  #behind
  #isReadOnly
  #isLoaded = false
  #isClosed = false
  /** Why it could not be loaded. @type {{ error: unknown } | undefined} */
  #failure
  #values = new Map()
  /** The number under which each entry is stored. @type {Map<unknown, number>} */
  #numbers = new Map()
  #lastNumber = 0
  /** How many batches had been stored when it was loaded. */
  #position = 0
  #early = new EarlyChanges()
  /** @type {Promise<void> | undefined} */
  #closing
  /**
   * Called with the error when something that was set could not be stored.
   *
   * @type {((error: Error) => void) | undefined}
   */
  onerror

  /** @param {string | Record<string, unknown>} options a directory, or options with a `dataDir` */
  constructor (options) {
    super(() => this.#loaded())
    this.#options = readOptions('FlashStoreSync', typeof options === 'string' ? { dataDir: options } : options)
    this.#isReadOnly = this.#options.settings.some(({ name, value }) => name === 'read_only' && value === 'true')
    this.#session = Session.owning(new Connection(this.#options, DEFINITION))
    const store = nameBytes('store', STORE)
    this.#behind = new WriteBehind(this.#session, store, (error) => this.#tell(error))
    this.#loading = new Loading(this.#session, store, (page) => this.#take(page))
    /** @type {Promise<void>} */
    this.ready = this.#load()
    // Who does not ask for it learns of a failure from the first call.
    this.ready.catch(ignore)
  }

  /**
   * Opens a store, and resolves to it when it is loaded.
   *
   * @param {string | Record<string, unknown>} options a directory, or options with a `dataDir`
   * @returns {Promise<FlashStoreSync>}
   */
  static async open (options) {
    const store = new FlashStoreSync(options)
    try {
      await store.ready
    } catch (error) {
      await store.close()
      throw error
    }
    return store
  }

  /**
   * Opens a store and loads it in the call.
   *
   * @param {string | Record<string, unknown>} options a directory, or options with a `dataDir`
   * @returns {FlashStoreSync}
   */
  static openSync (options) {
    const store = new FlashStoreSync(options)
    try {
      store.#loaded()
    } catch (error) {
      store.close().catch(ignore)
      throw error
    }
    return store
  }

  /**
   * Where it is; `'failed'` when it could not be loaded.
   *
   * @returns {'loading' | 'open' | 'closed' | 'failed'}
   */
  get state () {
    if (this.#isClosed) return 'closed'
    if (this.#failure !== undefined) return 'failed'
    return this.#isLoaded ? 'open' : 'loading'
  }

  /** How many bytes wait to be stored. */
  get pendingBytes () {
    return this.#behind.bytes + this.#early.bytes
  }

  async #load () {
    try {
      await this.#loading.inBackground()
      if (!this.#isLoaded && this.#failure === undefined) await this.#openInSlices()
    } catch (error) {
      // What it fails for may have been got over by a call meanwhile.
      if (!this.#isLoaded) this.#failure ??= { error }
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** @param {import('./packing.js').Page} page */
  #take ({ keys, documents }) {
    for (let place = 0; place < keys.length; place++) {
      const number = keys[place]
      if (number === HEAD) {
        this.#position = /** @type {number} */ (documents[place])
        continue
      }
      const [key, value] = /** @type {[unknown, unknown]} */ (documents[place])
      this.#values.set(key, value)
      this.#numbers.set(key, this.#lastNumber = /** @type {number} */ (number))
    }
    this.#behind.begin(this.#position, this.#lastNumber)
  }

  /** Applies what was set before everything was read. More may be set meanwhile, or the rest applied by a call. */
  async #openInSlices () {
    if (this.#isClosed && this.#early.isEmpty) throw closed()
    while (!this.#isLoaded && !this.#applyEarly(moment.now() + SLICE_MS_MAX)) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /**
   * @param {number} deadline
   * @returns {boolean} whether all of it has been applied, so that the store is open
   */
  #applyEarly (deadline) {
    this.#early.apply(deadline, () => this.#clear(), ({ key, value, encoded }) => this.#put(key, value, encoded))
    this.#isLoaded = this.#early.isEmpty
    return this.#isLoaded
  }

  /** The entries, loaded if they are not yet. */
  #loaded () {
    if (this.#isLoaded && !this.#isClosed) return this.#values
    this.#checkUsable()
    try {
      if (!this.#loading.isDone) this.#loading.inCall()
    } catch (error) {
      this.#failure = { error }
      this.#loading.stop()
      throw error
    }
    this.#applyEarly(Infinity)
    return this.#values
  }

  /** Throws where nothing can be asked for. */
  #checkUsable () {
    if (this.#isClosed) throw closed()
    if (this.#failure !== undefined) throw notLoaded(this.#failure.error)
  }

  /** Throws where nothing can be changed. */
  #checkWritable () {
    this.#checkUsable()
    if (this.#isReadOnly) {
      throw new FlowDBError('FLOWDB_READ_ONLY', 'the store was opened read-only: open it without that to write')
    }
    this.#behind.check()
  }

  /** @param {Error} error */
  #tell (error) {
    // Later, so that what it throws is not in the way of other answers.
    queueMicrotask(() => this.onerror?.(error))
  }

  /**
   * Sets an entry. One that is there keeps its place.
   *
   * @param {unknown} key a primitive
   * @param {unknown} value stored as it is now
   * @returns {this}
   */
  set (key, value) {
    this.#checkWritable()
    checkKey(key)
    // As a Map has it: there is one zero.
    const plain = key === 0 ? 0 : key
    if (this.#isLoaded && this.#holds(plain, value)) return this
    const encoded = encodeEntry(plain, value)
    // Looked at again, because getters of the value may have done anything.
    this.#checkWritable()
    if (this.#isLoaded) this.#put(plain, value, encoded)
    else this.#early.put(plain, value, encoded)
    if (this.#early.bytes > WAITING_BYTES_MAX) this.#loaded()
    return this
  }

  /**
   * Whether an entry has this value, which can't have changed inside.
   *
   * @param {unknown} key
   * @param {unknown} value
   */
  #holds (key, value) {
    if ((typeof value === 'object' && value !== null) || !this.#values.has(key)) return false
    return Object.is(this.#values.get(key), value)
  }

  /**
   * @param {unknown} key
   * @param {unknown} value
   * @param {Encoded} encoded
   */
  #put (key, value, encoded) {
    let number = this.#numbers.get(key)
    if (number === undefined) this.#numbers.set(key, number = ++this.#lastNumber)
    this.#values.set(key, value)
    this.#behind.put(number, encoded)
  }

  /**
   * @param {unknown} key
   * @returns {boolean} whether it was there
   */
  delete (key) {
    this.#checkWritable()
    const values = this.#loaded()
    const number = this.#numbers.get(key)
    if (number === undefined) return false
    values.delete(key)
    this.#numbers.delete(key)
    this.#behind.delete(number)
    return true
  }

  /** Removes every entry. */
  clear () {
    this.#checkWritable()
    if (this.#isLoaded) this.#clear()
    else this.#early.clear()
  }

  #clear () {
    if (this.#values.size === 0) return
    this.#values.clear()
    this.#numbers.clear()
    this.#behind.clear()
  }

  /**
   * The value of an entry, which is set where there is none.
   *
   * @param {unknown} key
   * @param {unknown} value
   * @returns {any}
   */
  getOrInsert (key, value) {
    if (!this.has(key)) this.set(key, value)
    return this.get(key)
  }

  /**
   * The value of an entry, which is computed and set where there is none.
   *
   * @param {unknown} key
   * @param {(key: any) => unknown} compute
   * @returns {any}
   */
  getOrInsertComputed (key, compute) {
    if (typeof compute !== 'function') throw invalid(`getOrInsertComputed takes a function, not ${kindOf(compute)}`)
    if (!this.has(key)) this.set(key, compute(key === 0 ? 0 : key))
    return this.get(key)
  }

  /**
   * Resolves when everything that was set is durable. What could not be stored before is tried again.
   *
   * @returns {Promise<void>}
   */
  async flush () {
    this.#checkUsable()
    if (this.#isReadOnly) return
    if (!this.#isLoaded) await this.ready
    await this.#behind.flush()
  }

  /** Makes everything that was set durable, and returns then. */
  flushSync () {
    this.#checkUsable()
    if (this.#isReadOnly) return
    this.#loaded()
    this.#behind.flushSync()
  }

  /**
   * Resolves when there is room again for many writes, without one that has to wait.
   *
   * @returns {Promise<void>}
   */
  async drain () {
    this.#checkUsable()
    if (!this.#isLoaded) await this.ready
    await this.#behind.drain()
  }

  /**
   * Stores what was set, and closes. It is closed whatever it rejects with.
   *
   * @returns {Promise<void>}
   */
  close () {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close () {
    this.#isClosed = true
    try {
      if (this.#isLoaded || !this.#early.isEmpty) await this.#finish()
      else this.#loading.stop()
    } finally {
      await this.#session.connection.close()
    }
  }

  async #finish () {
    if (this.#failure !== undefined) throw notLoaded(this.#failure.error)
    if (!this.#isLoaded) await this.ready
    if (!this.#isReadOnly) await this.#behind.flush()
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
   * Closes, and removes the files of the database, and the directory where nothing else is in it.
   *
   * @returns {Promise<void>}
   */
  async destroy () {
    await this.close()
    await Connection.destroy(this.#options)
  }

  /** Makes everything that was set durable, and begins to close. */
  [Symbol.dispose] () {
    if (this.#isClosed) return
    try {
      if (this.#isLoaded || !this.#early.isEmpty) this.flushSync()
    } finally {
      this.close().catch(ignore)
    }
  }

  async [Symbol.asyncDispose] () {
    await this.close()
  }

  /**
   * @param {number} _depth
   * @param {import('node:util').InspectOptions} options
   */
  [inspect.custom] (_depth, options) {
    return this.#isLoaded ? `FlashStoreSync ${inspect(this.#values, options)}` : `FlashStoreSync <${this.state}>`
  }
}

Object.defineProperty(FlashStoreSync.prototype, Symbol.toStringTag, { value: 'FlashStoreSync', configurable: true })

const closed = () => new FlowDBError('FLOWDB_CLOSED', 'the store is closed')

/** @param {unknown} error */
function notLoaded (error) {
  const code = isOwn(error) ? error.code : 'FLOWDB_INTERNAL'
  return new FlowDBError(code, `the store could not be loaded: ${reasonOf(error)}`, { cause: error })
}

exports.FlashStoreSync = FlashStoreSync
