'use strict'

/*
 * Keyspaces: ordered maps from bytes to bytes, several of them in one database. It is what adapters to the interfaces
 * of others are made of: nothing stands between it and the engine.
 *
 * Keys and values are bytes; text in the place of bytes stands for its UTF-8. A read sees what was there when it was
 * called for, and every write that was called for before it.
 *
 * Invariant: all that can run a user's code has run before an operation is packed.
 */

const { Connection } = require('./connection.js')
const { WANTS } = require('./keyspace-answers.js')
const { checkChanges, checkKeys, packChanges, packKeys } = require('./keyspace-changes.js')
const { KeyspaceIterator } = require('./keyspace-iterator.js')
const { checkBytesKey, copied, toByteRange } = require('./keyspace-range.js')
const { KeyspaceReader } = require('./keyspace-reader.js')
const { KeyspaceSnapshot } = require('./keyspace-snapshot.js')
const { checkCount, entriesOf, nameBytes } = require('./names.js')
const { NOT_AT_HAND } = require('./native.js')
const { readOptions } = require('./options.js')
const { VERB } = require('./packing.js')
const { Session } = require('./session.js')
const { toDurability } = require('./write-options.js')

const ignore = () => {}

/** The keyspace that a database opens with has no name. */
const NO_NAME = Buffer.alloc(0)

/**
 * @typedef {import('./keyspace-range.js').Bytes} Bytes
 * @typedef {import('./keyspace-range.js').ByteRange} ByteRange
 * @typedef {{ snapshot?: KeyspaceSnapshot, text?: boolean }} ReadOptions `text` gives values as text
 */

class Keyspace {
  #session
  #name
  #reader

  /**
   * @param {Session} session
   * @param {Uint8Array} name
   */
  constructor (session, name) {
    this.#session = session
    this.#name = name
    this.#reader = new KeyspaceReader(session.connection, name)
  }

  /**
   * Opens a database, in the background: what is asked of it meanwhile waits. Gives its keyspace without a name.
   *
   * @param {Record<string, unknown>} options `path`, or `inMemory: true`; `durability`, and what else a database is
   *   opened with
   * @returns {Keyspace}
   */
  static open (options) {
    return new Keyspace(Session.owning(new Connection(Keyspace.#options('Keyspace.open', options))), NO_NAME)
  }

  /**
   * Removes the files of a database that nobody has open.
   *
   * @param {Record<string, unknown>} options
   * @returns {Promise<void>}
   */
  static async destroy (options) {
    await Connection.destroy(Keyspace.#options('Keyspace.destroy', options))
  }

  /**
   * Makes a damaged database, which nobody has open, one that can be opened.
   *
   * @param {Record<string, unknown>} options
   * @returns {Promise<any>} what was saved and what was lost
   */
  static async repair (options) {
    return await Connection.repair(Keyspace.#options('Keyspace.repair', options))
  }

  /**
   * @param {string} where
   * @param {unknown} options
   */
  static #options (where, options) {
    const named = entriesOf(where, options).map(([name, value]) => [name === 'path' ? 'dataDir' : name, value])
    return readOptions(where, Object.fromEntries(named))
  }

  /**
   * Another keyspace of the same database.
   *
   * @param {string} name the empty one is that of the keyspace which a database opens with
   * @returns {Keyspace}
   */
  keyspace (name) {
    return new Keyspace(this.#session, name === '' ? NO_NAME : nameBytes('keyspace', name))
  }

  /**
   * Resolves when the database is open, and rejects when it can't be opened.
   *
   * @returns {Promise<void>}
   */
  get ready () {
    return this.#session.connection.ready
  }

  /**
   * Resolves when nothing that was asked of the database waits for its answer any more.
   *
   * @returns {Promise<void>}
   */
  idle () {
    return this.#session.connection.idle()
  }

  /**
   * Closes the database, with all of its keyspaces.
   *
   * @returns {Promise<void>}
   */
  close () {
    return this.#session.connection.close()
  }

  /**
   * @param {Bytes} key
   * @param {ReadOptions} [options]
   * @returns {Promise<any>} a Buffer, or `undefined` where there is none
   */
  get (key, { snapshot, text = false } = {}) {
    return this.#attempt(() => {
      const own = checkBytesKey(key)
      if (snapshot === undefined) {
        const found = this.#reader.get(own, text)
        if (found !== NOT_AT_HAND) return this.#session.connection.resolved(found)
      }
      return this.#read(VERB.KEYSPACE_GET, snapshot, text ? WANTS.TEXT_VALUES : 0, (run) => run.bytesOf(own))
    })
  }

  /**
   * As `get`, in the call, which waits for the disk if it must.
   *
   * @param {Bytes} key
   * @param {ReadOptions} [options]
   * @returns {any}
   */
  getSync (key, { snapshot, text = false } = {}) {
    this.#session.checkOpen()
    const own = checkBytesKey(key)
    const found = snapshot === undefined ? this.#reader.get(own, text) : NOT_AT_HAND
    if (found !== NOT_AT_HAND) return found
    return this.#readSync(VERB.KEYSPACE_GET, snapshot, text ? WANTS.TEXT_VALUES : 0, (run) => run.bytesOf(own))
  }

  /**
   * @param {readonly Bytes[]} keys
   * @param {ReadOptions} [options]
   * @returns {Promise<any[]>} for each as `get`, all as of one moment
   */
  getMany (keys, { snapshot, text = false } = {}) {
    return this.#attempt(() => {
      const own = checkKeys(keys)
      const values = snapshot === undefined ? this.#reader.getMany(own, text) : undefined
      if (values !== undefined) return this.#session.connection.resolved(values, values.length)
      return this.#read(VERB.KEYSPACE_GET_MANY, snapshot, text ? WANTS.TEXT_VALUES : 0, (run) => packKeys(run, own))
    })
  }

  /**
   * @param {Bytes} key
   * @param {ReadOptions} [options]
   * @returns {Promise<boolean>}
   */
  has (key, { snapshot } = {}) {
    return this.#attempt(() => {
      const own = checkBytesKey(key)
      const found = snapshot === undefined ? this.#reader.has(own) : NOT_AT_HAND
      if (found !== NOT_AT_HAND) return this.#session.connection.resolved(found)
      return this.#read(VERB.KEYSPACE_HAS_MANY, snapshot, 0, (run) => packKeys(run, [own])).then(first)
    })
  }

  /**
   * As `has`, in the call.
   *
   * @param {Bytes} key
   * @param {ReadOptions} [options]
   * @returns {boolean}
   */
  hasSync (key, { snapshot } = {}) {
    this.#session.checkOpen()
    const own = checkBytesKey(key)
    const found = snapshot === undefined ? this.#reader.has(own) : NOT_AT_HAND
    if (found !== NOT_AT_HAND) return found
    return this.#readSync(VERB.KEYSPACE_HAS_MANY, snapshot, 0, (run) => packKeys(run, [own]))[0]
  }

  /**
   * @param {readonly Bytes[]} keys
   * @param {ReadOptions} [options]
   * @returns {Promise<boolean[]>}
   */
  hasMany (keys, { snapshot } = {}) {
    return this.#attempt(() => {
      const own = checkKeys(keys)
      return this.#read(VERB.KEYSPACE_HAS_MANY, snapshot, 0, (run) => packKeys(run, own))
    })
  }

  /**
   * When a key expires.
   *
   * @param {Bytes} key
   * @param {ReadOptions} [options]
   * @returns {Promise<number | undefined>} in milliseconds since 1970, `Infinity` for never; `undefined` where it is
   *   not there
   */
  expiry (key, { snapshot } = {}) {
    return this.#attempt(async () => {
      const own = checkBytesKey(key)
      const ms = await this.#read(VERB.KEYSPACE_EXPIRY, snapshot, 0, (run) => run.bytesOf(own))
      return ms === 0 ? Infinity : ms
    })
  }

  /**
   * @param {Bytes} key
   * @param {Bytes} value
   * @param {{ expiresAt?: number, durability?: any }} [options] `expiresAt` in milliseconds since 1970
   * @returns {Promise<void>}
   */
  put (key, value, { expiresAt, durability } = {}) {
    return this.batch([{ type: 'put', key, value, expiresAt }], { durability })
  }

  /**
   * @param {Bytes} key
   * @param {{ durability?: any }} [options]
   * @returns {Promise<void>}
   */
  del (key, options) {
    return this.batch([{ type: 'del', key }], options)
  }

  /**
   * Makes changes, all or none, in their order.
   *
   * @param {readonly any[]} changes each `{ type: 'put', key, value, expiresAt? }`, `{ type: 'del', key }`, or
   *   `{ type: 'clear', gt?, gte?, lt?, lte? }`; `expiresAt` in milliseconds since 1970
   * @param {{ durability?: 'strict' | 'relaxed' | 'none' }} [options]
   * @returns {Promise<void>}
   */
  batch (changes, { durability } = {}) {
    return this.#attempt(() => {
      const level = toDurability('batch', durability)
      const own = checkChanges(changes)
      return this.#session.issue(VERB.KEYSPACE_BATCH, { isWrite: true }, (run) => {
        packChanges(run.bytes32(this.#name).u8(level), own)
      })
    })
  }

  /**
   * Removes the keys of a range, however many, by one small write. With a `limit` or a snapshot it reads which they
   * are, and removes each by itself: up to 10,000 of them all or none.
   *
   * @param {ByteRange & { limit?: number, reverse?: boolean, snapshot?: KeyspaceSnapshot, durability?: any }} [options]
   * @returns {Promise<void>}
   */
  clear (options = {}) {
    const { limit = Infinity, snapshot, durability } = options
    if (limit !== Infinity || snapshot !== undefined) return this.#clearSome(options)
    const { gt, gte, lt, lte } = options
    return this.batch([{ type: 'clear', gt, gte, lt, lte }], { durability })
  }

  /** @param {any} options */
  #clearSome ({ gt, gte, lt, lte, limit = Infinity, reverse = false, snapshot, durability }) {
    return this.#attempt(() => {
      const level = toDurability('clear', durability)
      const most = Math.min(checkCount('clear', 'limit', limit), Number.MAX_SAFE_INTEGER)
      const range = toByteRange({ gt, gte, lt, lte })
      snapshot?.checkUsable(this.#session)
      const pack = this.#packing(snapshot, (run) => run.u8(level).byteRange(range).u8(reverse ? 1 : 0).i64(most))
      const issue = (/** @type {(() => void) | undefined} */ settled) => {
        return this.#session.issue(VERB.KEYSPACE_CLEAR, { isWrite: true, settled }, pack)
      }
      return snapshot === undefined ? issue(undefined) : snapshot.heldFor(issue)
    })
  }

  /**
   * Reads rows in order, as they are now or as of a snapshot.
   *
   * @param {object} [options] a range `gt`, `gte`, `lt`, `lte`; `reverse`; `limit`; `keys` and `values`, wanted unless
   *   false; `expiries`; `textKeys` and `textValues`, which give text; `snapshot`; `pageBytes`, which bounds
   *   what is read at once
   * @returns {KeyspaceIterator}
   */
  iterator (options = {}) {
    const given = /** @type {any} */ (options)
    const { reverse = false, limit = Infinity, snapshot, pageBytes } = given
    checkCount('iterator', 'limit', limit)
    if (pageBytes !== undefined) checkCount('iterator', 'pageBytes', pageBytes)
    this.#session.checkOpen()
    snapshot?.checkUsable(this.#session)
    const range = copyOf(toByteRange(given))
    const scan = { range, reverse, limit, wants: wantsOf(given), pageBytes }
    const isOwn = snapshot === undefined
    return new KeyspaceIterator(this.#session, this.#name, scan, isOwn ? this.snapshot() : snapshot, isOwn)
  }

  /**
   * The database as it is now, for reads that are given it.
   *
   * @returns {KeyspaceSnapshot}
   */
  snapshot () {
    this.#session.checkOpen()
    return new KeyspaceSnapshot(this.#session)
  }

  /**
   * Gives back what disk space the keys of a range take beyond what they hold.
   *
   * @param {Bytes} [start] inclusive
   * @param {Bytes} [end] inclusive
   * @returns {Promise<void>}
   */
  async compactRange (start, end) {
    const range = toByteRange({ gte: start, lte: end })
    await this.#session.connection.lookAfter(VERB.KEYSPACE_COMPACT, (run) => run.bytes32(this.#name).byteRange(range))
  }

  /**
   * About how many bytes the keys of a range take on disk.
   *
   * @param {Bytes} [start] inclusive
   * @param {Bytes} [end] exclusive
   * @returns {Promise<number>}
   */
  async approximateSize (start, end) {
    const range = toByteRange({ gte: start, lt: end })
    const { connection } = this.#session
    return await connection.lookAfter(VERB.KEYSPACE_SIZE, (run) => run.bytes32(this.#name).byteRange(range))
  }

  /**
   * What the engine counts about itself, in the call. It waits for no write, but for the database to be open.
   *
   * @returns {any}
   */
  statsSync () {
    this.#session.checkOpen()
    const stats = this.#session.connection.tryInCall(VERB.ENGINE_STATS, 0, ignore)
    return stats === NOT_AT_HAND ? this.#session.issueSync(VERB.ENGINE_STATS, {}, ignore) : stats
  }

  /**
   * @param {() => any} work may throw
   * @returns {Promise<any>}
   */
  #attempt (work) {
    try {
      this.#session.checkOpen()
      return work()
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Reads in the call where that is soon done, else later.
   *
   * @param {number} verb
   * @param {KeyspaceSnapshot | undefined} snapshot
   * @param {number} wants
   * @param {import('./connection.js').Pack} packFields
   * @returns {Promise<any>}
   */
  #read (verb, snapshot, wants, packFields) {
    const { connection } = this.#session
    snapshot?.checkUsable(this.#session)
    const pack = this.#packing(snapshot, packFields)
    const found = connection.answerInCall(verb, wants, pack)
    if (found !== NOT_AT_HAND) return connection.resolved(found)
    if (snapshot === undefined) return this.#session.issue(verb, { wants, isTried: true }, pack)
    return snapshot.heldFor((settled) => {
      return this.#session.issue(verb, { wants, isTried: true, isFree: snapshot.isTaken, settled }, pack)
    })
  }

  /**
   * @param {number} verb
   * @param {KeyspaceSnapshot | undefined} snapshot
   * @param {number} wants
   * @param {import('./connection.js').Pack} packFields
   * @returns {any}
   */
  #readSync (verb, snapshot, wants, packFields) {
    const { connection } = this.#session
    snapshot?.checkUsable(this.#session)
    const pack = this.#packing(snapshot, packFields)
    if (snapshot === undefined) return this.#session.issueSync(verb, { wants }, pack)
    snapshot.waitUntilTaken()
    const found = connection.tryInCall(verb, wants, pack)
    return found === NOT_AT_HAND ? this.#session.issueSync(verb, { wants, isFree: true }, pack) : found
  }

  /**
   * @param {KeyspaceSnapshot | undefined} snapshot
   * @param {import('./connection.js').Pack} packFields
   * @returns {import('./connection.js').Pack}
   */
  #packing (snapshot, packFields) {
    return (run) => packFields(run.bytes32(this.#name).u32(snapshot === undefined ? 0 : snapshot.number))
  }
}

/** @param {boolean[]} flags */
const first = (flags) => flags[0]

/** @param {any} options */
function wantsOf ({ keys = true, values = true, expiries = false, textKeys = false, textValues = false }) {
  return (keys ? WANTS.KEYS : 0) | (values ? WANTS.VALUES : 0) | (expiries ? WANTS.EXPIRIES : 0) |
    (textKeys ? WANTS.TEXT_KEYS : 0) | (textValues ? WANTS.TEXT_VALUES : 0)
}

/**
 * The same bounds, which nobody else can change.
 *
 * @param {ByteRange} range
 * @returns {ByteRange}
 */
function copyOf ({ gt, gte, lt, lte }) {
  const own = (/** @type {Bytes | undefined} */ bound) => bound === undefined ? undefined : copied(bound)
  return { gt: own(gt), gte: own(gte), lt: own(lt), lte: own(lte) }
}

exports.Keyspace = Keyspace
