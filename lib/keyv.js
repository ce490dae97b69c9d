'use strict'

/*
 * An adapter for keyv, versions 5 and 6.
 *
 * A row is a namespace and a key, each of which tells where it ends, so that no namespace has a part of another.
 *
 * The two versions ask for different things of the same methods. Version 6 reads `capabilities` just before it listens
 * for errors: keys come as the user gave them then, and with the moment at which they expire. Version 5 only listens,
 * writes the namespace before each key, and gives milliseconds to live. What both have written is the same.
 */

const { EventEmitter } = require('node:events')
const { eachIn, nameOf, pages, rowKey, rowsOf, toBytes, toValue } = require('./adapter-rows.js')
const { FlowDBError } = require('./errors.js')
const { encodeKey } = require('./key.js')
const { Keyspace } = require('./keyspace.js')
const { entriesOf, invalid, kindOf } = require('./names.js')

/** The rows of every adapter are in this keyspace of a database. */
const KEYSPACE = 'keyv'

/** Between a namespace and a key, as version 5 writes them. */
const SEPARATOR = ':'

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
  #isDisconnected = false
  /** @type {string | undefined} */
  #namespace
  /** The namespaces of the Keyv that have been made with this adapter. */
  #inUse = new Set()
  /** Whether a Keyv is being made with this adapter: the namespace it sets next is one more, and not a new name. */
  #isAttaching = false
  /** Whether it is version 6 that asks. */
  #isSix = false
  /** Whether somebody has asked in this turn what this adapter can do. */
  #isAsked = false

  /**
   * @param {string | Record<string, unknown> | KeyvFlowDB} options a directory, options with a `dataDir`, or an adapter
   *   whose database this one uses as well
   */
  constructor (options) {
    super()
    if (typeof options === 'object' && options !== null && #shared in options) {
      this.#shared = options.#shared
    } else {
      const { namespace, ...others } = toOptions(options)
      if (namespace !== undefined && typeof namespace !== 'string') {
        throw invalid(`namespace is a string, not ${kindOf(namespace)}`)
      }
      this.#namespace = namespace
      this.#shared = new Shared(others)
    }
    this.#shared.users++
    // Version 5 iterates over what has a dialect that it knows, and this one is no less iterable.
    this.opts = { dialect: 'sqlite' }
    // Each Keyv adds one listener.
    this.setMaxListeners(0)
  }

  get capabilities () {
    this.#isAsked = true
    queueMicrotask(() => { this.#isAsked = false })
    return CAPABILITIES
  }

  get namespace () {
    return this.#namespace
  }

  set namespace (namespace) {
    const isAttaching = this.#isAttaching
    this.#isAttaching = false
    const isAnother = isAttaching && this.#inUse.size > 0 && !this.#inUse.has(namespace)
    if (isAnother && this.#isSix) throw shared(`it can't be used for the namespace ${name(namespace)} too`, this.#inUse)
    if (!isAttaching && this.#inUse.size <= 1) this.#inUse.clear()
    this.#inUse.add(namespace)
    this.#namespace = namespace
  }

  /**
   * Every Keyv listens for errors just before it sets its namespace; version 6 sets none where it has none.
   *
   * @param {string | symbol} event
   * @param {(...args: any[]) => void} listener
   */
  on (event, listener) {
    if (event === 'error') this.#attach()
    return super.on(event, listener)
  }

  #attach () {
    this.#attached()
    if (this.#inUse.size > 0 && this.#isAsked !== this.#isSix) {
      throw shared('the versions 5 and 6 of keyv can\'t use one adapter', this.#inUse)
    }
    this.#isSix = this.#isAsked
    this.#isAsked = false
    this.#isAttaching = true
    queueMicrotask(() => this.#attached())
  }

  /** Whoever was attaching has set no namespace: it uses that which is there. */
  #attached () {
    if (this.#isAttaching && this.#isSix) this.#inUse.add(this.#namespace)
    this.#isAttaching = false
  }

  /** @param {string} key */
  async get (key) {
    const bytes = await this.#shared.rows.get(this.#rowOf(key))
    return bytes === undefined ? undefined : toValue(bytes)
  }

  /** @param {string[]} keys */
  async getMany (keys) {
    const all = await this.#shared.rows.getMany(this.#rowsOf('getMany', keys))
    return all.map((bytes) => bytes === undefined ? undefined : toValue(bytes))
  }

  /** @param {string} key */
  async has (key) {
    return await this.#shared.rows.has(this.#rowOf(key))
  }

  /** @param {string[]} keys */
  async hasMany (keys) {
    return await this.#shared.rows.hasMany(this.#rowsOf('hasMany', keys))
  }

  /**
   * @param {string} key
   * @param {unknown} value
   * @param {number} [expiry] milliseconds to live, or for version 6 the moment
   */
  async set (key, value, expiry) {
    await this.#shared.rows.batch([this.#toWrite(key, value, expiry)])
    return true
  }

  /**
   * All of them, or none.
   *
   * @param {{ key: string, value: unknown, ttl?: number, expires?: number }[]} entries
   */
  async setMany (entries) {
    const writes = eachIn('setMany', entries, (entry) => {
      return this.#toWrite(entry.key, entry.value, this.#isSix ? entry.expires : entry.ttl)
    })
    await this.#shared.rows.batch(writes)
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
    return this.#isSix ? were : were.every(Boolean)
  }

  /** Deletes the namespace, by one entry however large it is. */
  async clear () {
    if (this.#inUse.size > 1) throw shared('it can\'t tell which of them is to be cleared', this.#inUse)
    await this.#shared.rows.clear(rowsOf(this.#namespace ?? null))
  }

  /**
   * The entries of the namespace as they are at the first step, in the order of their keys.
   *
   * @param {string} [namespace] given by version 5
   */
  async * iterator (namespace = this.#namespace) {
    const group = namespace ?? null
    const groupLength = encodeKey(group).length
    for await (const page of pages(this.#shared.rows, { ...rowsOf(group), expiries: true })) {
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
    if (this.#isDisconnected) return
    this.#isDisconnected = true
    if (--this.#shared.users === 0) await this.#shared.keyspace.close()
  }

  /**
   * @param {string} where
   * @param {string[]} keys
   * @returns {Promise<boolean[]>}
   */
  async #delete (where, keys) {
    const rows = this.#rowsOf(where, keys)
    // In one turn, so that nothing that this thread writes comes in between.
    const were = this.#shared.rows.hasMany(rows)
    const deleted = this.#shared.rows.batch(rows.map((key) => ({ type: 'del', key })))
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
    const expiresAt = this.#isSix ? expiry : momentIn(expiry)
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
    if (this.#isSix || typeof key !== 'string') return rowKey(this.#namespace ?? null, key)
    const namespace = this.#namespaceOf(key)
    if (namespace === undefined) return rowKey(null, key)
    const beginning = namespace + SEPARATOR
    // With `useKeyPrefix: false` a key comes as it is. In an array it is no key that would have come with a namespace.
    return rowKey(namespace, key.startsWith(beginning) ? key.slice(beginning.length) : [key])
  }

  /**
   * The namespace that version 5 has written before a key. Where several Keyv share the adapter, only the key says it.
   *
   * @param {string} key
   */
  #namespaceOf (key) {
    let longest
    if (this.#inUse.size > 1) {
      for (const namespace of this.#inUse) {
        if (namespace === undefined || !key.startsWith(namespace + SEPARATOR)) continue
        if (longest === undefined || namespace.length > longest.length) longest = namespace
      }
    }
    return longest ?? this.#namespace
  }

  /**
   * The key that the version at hand gave for a row.
   *
   * @param {string | undefined} namespace
   * @param {unknown} name
   * @returns {unknown} `undefined` where it can't have given one
   */
  #keyOf (namespace, name) {
    if (Array.isArray(name)) return this.#isSix ? undefined : name[0]
    return this.#isSix || namespace === undefined ? name : namespace + SEPARATOR + name
  }
}

/**
 * @param {unknown} options
 * @returns {Record<string, unknown>}
 */
function toOptions (options) {
  if (typeof options === 'string') return { dataDir: options }
  // Read once, whatever code that runs.
  if (typeof options === 'object' && options !== null) return Object.fromEntries(entriesOf('KeyvFlowDB', options))
  throw invalid(`KeyvFlowDB takes a directory, options or another KeyvFlowDB, not ${kindOf(options)}`)
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

/** @param {string | undefined} namespace */
const name = (namespace) => namespace === undefined ? '(none)' : JSON.stringify(namespace)

/**
 * @param {string} trouble
 * @param {Set<string | undefined>} namespaces
 */
function shared (trouble, namespaces) {
  const names = [...namespaces].map(name).join(', ')
  const advice = 'make each its own with new KeyvFlowDB(adapter), which uses the same database'
  return new FlowDBError('FLOWDB_UNSUPPORTED', `this adapter is used for the namespace ${names}, and ${trouble}: ${advice}`)
}

exports.KeyvFlowDB = KeyvFlowDB
