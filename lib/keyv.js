'use strict'

/*
 * An adapter for keyv, versions 5 and 6.
 *
 * A row is a namespace and a key, each of which tells where it ends, so that no namespace has a part of another.
 *
 * The two versions ask for different things of the same methods. Keys of version 6 come as the user gave them, with the
 * moment at which they expire. Version 5 writes the namespace before each key, and gives milliseconds to live. What
 * both have written is the same. Which of them asks, and for which namespace, lib/keyv-users.js knows.
 */

const { EventEmitter } = require('node:events')
const { eachIn, nameOf, pages, rowKey, rowsOf, toBytes, toValue } = require('./adapter-rows.js')
const { FlowDBError } = require('./errors.js')
const { encodeKey } = require('./key.js')
const { Keyspace } = require('./keyspace.js')
const { KeyvUsers, checkNamespace } = require('./keyv-users.js')
const { entriesOf, invalid, kindOf } = require('./names.js')

/** The rows of every adapter are in this keyspace of a database. */
const KEYSPACE = 'keyv'

const ASYNC = Object.freeze({ exists: true, methodType: 'async' })

/** What version 6 wants to know of an adapter that it uses as it is. */
const CAPABILITIES = Object.freeze({
  compatible: true,
  store: 'keyvStorage',
  expires: true,
  methods: Object.freeze({
    get: ASYNC,
    getMany: ASYNC,
    has: ASYNC,
    hasMany: ASYNC,
    set: ASYNC,
    setMany: ASYNC,
    delete: ASYNC,
    deleteMany: ASYNC,
    clear: ASYNC,
    disconnect: ASYNC,
    iterator: Object.freeze({ exists: true, methodType: 'sync' })
  })
})

/** An open database and the number of adapters that use it; the last one closes it. */
class Shared {
  /** @param {Record<string, unknown>} options */
  constructor (options) {
    this.keyspace = Keyspace.open(options)
    this.rows = this.keyspace.keyspace(KEYSPACE)
    this.users = 0
  }
}

class KeyvFlowDB extends EventEmitter {
  /** @type {Shared} */
  #shared
  #users
  // Version 5 iterates over what has a dialect that it knows, and this one is no less iterable.
  #opts = { dialect: 'sqlite' }
  /** @type {Promise<void> | undefined} */
  #disconnected

  /**
   * @param {string | Record<string, unknown> | KeyvFlowDB} options a directory, options with a `dataDir`, or an adapter
   *   whose database this one uses as well
   */
  constructor (options) {
    super()
    if (typeof options === 'object' && options !== null && #shared in options) {
      options.#checkConnected()
      this.#users = new KeyvUsers(undefined)
      this.#shared = options.#shared
    } else {
      const { namespace, ...others } = toOptions(options)
      this.#users = new KeyvUsers(namespace)
      this.#shared = new Shared(others)
    }
    this.#shared.users++
    // Each Keyv adds one listener.
    this.setMaxListeners(0)
  }

  get capabilities () {
    this.#users.asked()
    return CAPABILITIES
  }

  get opts () {
    this.#users.looked()
    return this.#opts
  }

  get namespace () {
    return this.#users.namespace
  }

  set namespace (namespace) {
    this.#users.named(namespace)
  }

  /**
   * Every Keyv listens for errors when it is made.
   *
   * @param {string | symbol} event
   * @param {(...args: any[]) => void} listener
   */
  on (event, listener) {
    if (event === 'error') this.#users.listened()
    return super.on(event, listener)
  }

  /** @param {string} key */
  async get (key) {
    const bytes = await this.#rows.get(this.#rowOf(key))
    return bytes === undefined ? undefined : toValue(bytes)
  }

  /** @param {string[]} keys */
  async getMany (keys) {
    const all = await this.#rows.getMany(this.#rowsOf('getMany', keys))
    return all.map((bytes) => bytes === undefined ? undefined : toValue(bytes))
  }

  /** @param {string} key */
  async has (key) {
    return await this.#rows.has(this.#rowOf(key))
  }

  /** @param {string[]} keys */
  async hasMany (keys) {
    return await this.#rows.hasMany(this.#rowsOf('hasMany', keys))
  }

  /**
   * @param {string} key
   * @param {unknown} value
   * @param {number} [expiry] milliseconds to live, or for version 6 the moment
   */
  async set (key, value, expiry) {
    await this.#rows.batch([this.#toWrite(key, value, expiry)])
    return true
  }

  /**
   * All of them, or none.
   *
   * @param {{ key: string, value: unknown, ttl?: number, expires?: number }[]} entries
   */
  async setMany (entries) {
    const writes = eachIn('setMany', entries, (entry) => {
      return this.#toWrite(entry.key, entry.value, this.#users.isSix ? entry.expires : entry.ttl)
    })
    await this.#rows.batch(writes)
    return writes.map(() => true)
  }

  /**
   * @param {string} key
   * @returns {Promise<boolean>} whether it was there
   */
  async delete (key) {
    return (await this.#delete('delete', [key]))[0]
  }

  /**
   * @param {string[]} keys
   * @returns {Promise<boolean | boolean[]>} whether they were there: each for version 6, all for version 5
   */
  async deleteMany (keys) {
    const were = await this.#delete('deleteMany', keys)
    return this.#users.isSix ? were : were.every(Boolean)
  }

  /** Deletes the namespace, by one entry however large it is. */
  async clear () {
    this.#users.checkClear()
    await this.#rows.clear(rowsOf(this.namespace ?? null))
  }

  /**
   * Gives the entries of the namespace as they are at the first step, in the order of their keys. Version 5 takes this
   * function when a Keyv is made, and later gives it the namespace that was set last.
   *
   * @returns {(namespace?: string) => AsyncGenerator<[string, unknown], void>}
   */
  get iterator () {
    this.#users.taken()
    const own = this.namespace
    return (namespace = this.namespace) => this.#entries(own, checkNamespace(namespace))
  }

  /**
   * @param {string | undefined} own
   * @param {string | undefined} namespace
   * @returns {AsyncGenerator<[string, unknown], void>}
   */
  async * #entries (own, namespace) {
    this.#users.checkIterator(own)
    const group = namespace ?? null
    const groupLength = encodeKey(group).length
    for await (const page of pages(this.#rows, { ...rowsOf(group), expiries: true })) {
      for (const [key, bytes, expiry] of page) {
        // Keyv would delete what has expired since the page was read, and with it what has come in its place.
        if (/** @type {number} */ (expiry) <= Date.now()) continue
        const given = this.#keyOf(namespace, nameOf(key, groupLength))
        if (given !== undefined) yield [given, toValue(bytes)]
      }
    }
  }

  /** Closes the database, unless another adapter uses it. */
  async disconnect () {
    this.#disconnected ??= this.#disconnect()
    await this.#disconnected
  }

  async #disconnect () {
    if (--this.#shared.users === 0) await this.#shared.keyspace.close()
  }

  #checkConnected () {
    if (this.#disconnected !== undefined) throw new FlowDBError('FLOWDB_CLOSED', 'the adapter has been disconnected')
  }

  get #rows () {
    this.#checkConnected()
    return this.#shared.rows
  }

  /**
   * @param {string} where
   * @param {string[]} keys
   * @returns {Promise<boolean[]>}
   */
  async #delete (where, keys) {
    const rows = this.#rowsOf(where, keys)
    // In one turn, so that nothing that this thread writes comes in between.
    const were = this.#rows.hasMany(rows)
    const deleted = this.#rows.batch(rows.map((key) => ({ type: 'del', key })))
    return (await Promise.all([were, deleted]))[0]
  }

  /**
   * @param {string} key
   * @param {unknown} value
   * @param {number | undefined} expiry
   */
  #toWrite (key, value, expiry) {
    const row = this.#rowOf(key)
    const bytes = toBytes(value)
    const expiresAt = this.#users.isSix ? expiry : momentIn(expiry)
    if (!isMoment(expiresAt)) return { type: 'put', key: row, value: bytes }
    if (expiresAt <= Date.now()) return { type: 'del', key: row }
    return { type: 'put', key: row, value: bytes, expiresAt: Math.ceil(expiresAt) }
  }

  /**
   * @param {string} where
   * @param {string[]} keys
   */
  #rowsOf (where, keys) {
    return eachIn(where, keys, (key) => this.#rowOf(key))
  }

  /** @param {string} key */
  #rowOf (key) {
    if (typeof key !== 'string') throw new FlowDBError('FLOWDB_INVALID_KEY', `a key is a string, not ${kindOf(key)}`)
    const { namespace, rest, isBare } = this.#users.read(key)
    // In an array it is no key that would have come with a namespace.
    return rowKey(namespace ?? null, isBare ? [rest] : rest)
  }

  /**
   * The key that the version at hand gave for a row.
   *
   * @param {string | undefined} namespace
   * @param {any} name
   * @returns {string | undefined} none where it can't have given one
   */
  #keyOf (namespace, name) {
    if (Array.isArray(name)) return this.#users.isSix ? undefined : name[0]
    return this.#users.write(namespace, name)
  }
}

/**
 * @param {unknown} options
 * @returns {Record<string, unknown>}
 */
function toOptions (options) {
  if (typeof options === 'string') return { dataDir: options }
  if (typeof options !== 'object' || options === null) {
    throw invalid(`KeyvFlowDB takes a directory, options or another KeyvFlowDB, not ${kindOf(options)}`)
  }
  // Read once, whatever code that runs.
  const given = Object.fromEntries(entriesOf('KeyvFlowDB', options))
  if ('path' in given) throw invalid('KeyvFlowDB has no option "path"; did you mean dataDir?')
  if ('defaultTtlSecs' in given) {
    throw invalid('KeyvFlowDB has no option "defaultTtlSecs": without a time to live an entry stays. Give Keyv a ttl')
  }
  return given
}

/** @param {number | undefined} ttl milliseconds; as in Keyv, 0 is for ever */
const momentIn = (ttl) => typeof ttl === 'number' && ttl !== 0 ? Date.now() + ttl : undefined

/**
 * Whether something is a moment to expire at, and not so late that it never comes.
 *
 * @param {number | undefined} at
 * @returns {at is number}
 */
const isMoment = (at) => typeof at === 'number' && at <= Number.MAX_SAFE_INTEGER

exports.KeyvFlowDB = KeyvFlowDB
