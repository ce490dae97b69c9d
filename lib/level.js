'use strict'

/*
 * `flowdb/level`: an abstract-level database over a keyspace, for the packages that are written against that interface.
 *
 * What abstract-level leaves to a database is done by lib/keyspace.js; here are the names, options and errors of that
 * world. It is loaded only by who imports it: abstract-level is his.
 *
 * Invariant: what rejects does so with an error whose code abstract-level knows; its cause is ours.
 */

const { access } = require('node:fs/promises')
const { join } = require('node:path')
const { AbstractChainedBatch, AbstractLevel } = require('abstract-level')
const { FlowDBError } = require('./errors.js')
const { Keyspace } = require('./keyspace.js')
const { checkBytesKey, checkBytesValue, copied } = require('./keyspace-range.js')
const { LevelError, toLevelError, told, toldSync } = require('./level-errors.js')
const { LevelIterator } = require('./level-iterator.js')
const { readLevelOptions } = require('./level-options.js')
const { propertyOf } = require('./level-properties.js')
const { Snapshot } = require('./level-snapshot.js')
const { checkedKey, checkedRange, checkedValue } = require('./level-text.js')
const { givenIn } = require('./level-views.js')

const MANIFEST = {
  encodings: { buffer: true, utf8: true, view: true },
  has: true,
  getSync: true,
  createIfMissing: true,
  errorIfExists: true,
  explicitSnapshots: true,
  // Those that can be deferred until it is open.
  additionalMethods: { approximateSize: true, compactRange: true },
  signals: { iterators: true }
}

const ignore = () => {}

const STRICT = Object.freeze({ durability: 'strict' })
const USUAL = Object.freeze({})

/**
 * Whether a write waits until it is on the disk, beyond what all of them do.
 *
 * @param {any} options
 */
const durabilityOf = (options) => options?.sync === true ? STRICT : USUAL

/** @extends {AbstractLevel<string | Buffer | Uint8Array, any, any>} */
class FlowLevel extends AbstractLevel {
  #location
  #isInMemory
  /** @type {Keyspace | undefined} */
  #keyspace

  /**
   * @param {string | undefined} location the directory; of a database in memory any text, or none
   * @param {any} [options]
   */
  constructor (location, options) {
    const isObject = typeof options === 'object' && options !== null
    const { inMemory: isInMemory = false, ...rest } = isObject ? options : {}
    if (typeof isInMemory !== 'boolean') throw new TypeError("The option 'inMemory' must be true or false")
    if (!isInMemory && (typeof location !== 'string' || location === '')) {
      throw new TypeError("The first argument 'location' must be a non-empty string, unless inMemory is true")
    }
    super({ ...MANIFEST, permanence: !isInMemory }, isObject ? rest : options)
    this.#location = location ?? ''
    this.#isInMemory = isInMemory
  }

  /** The directory that it was made for; where there is none, the empty text. */
  get location () {
    return this.#location
  }

  /** What all operations go to: abstract-level calls for none while it is not open. */
  get #rows () {
    if (this.#keyspace === undefined) throw new LevelError('LEVEL_DATABASE_NOT_OPEN', 'Database is not open')
    return this.#keyspace
  }

  /** @param {any} options */
  async _open (options) {
    const { createIfMissing, errorIfExists } = options
    const exists = await this.#exists()
    if (exists && errorIfExists) throw this.#refused('FLOWDB_EXISTS', 'exists, and errorIfExists is true')
    if (!exists && !createIfMissing) {
      throw this.#refused('FLOWDB_NOT_FOUND', 'does not exist, and createIfMissing is false')
    }
    // One in memory lives as long as this object.
    if (this.#isInMemory && exists) return
    const location = this.#isInMemory ? undefined : this.#location
    const keyspace = toldSync(() => Keyspace.open(readLevelOptions(location, options)))
    try {
      await told(keyspace.ready)
    } catch (error) {
      await keyspace.close().catch(ignore)
      throw error
    }
    this.#keyspace = keyspace
  }

  async #exists () {
    if (this.#isInMemory) return this.#keyspace !== undefined
    try {
      await access(join(this.#location, 'CURRENT'))
      return true
    } catch {
      // What is wrong with the directory otherwise, opening tells.
      return false
    }
  }

  /**
   * @param {string} code
   * @param {string} why
   */
  #refused (code, why) {
    const which = this.#isInMemory ? 'in memory' : this.#location
    return toLevelError(new FlowDBError(code, `the database ${which} ${why}`))
  }

  async _close () {
    const rows = this.#keyspace
    if (this.#isInMemory) return await settled(rows)
    // However it ends, it is closed: another call finds nothing left to do.
    this.#keyspace = undefined
    if (rows !== undefined) await told(rows.close())
  }

  /** @param {any} key @param {any} options */
  _get (key, options) {
    const value = told(this.#rows.get(checkedKey(key), readOptionsOf(options)))
    return options.valueEncoding === 'view' ? value.then(givenIn('view')) : value
  }

  /** @param {any} key @param {any} options */
  _getSync (key, options) {
    const given = givenIn(options.valueEncoding)
    return given(toldSync(() => this.#rows.getSync(checkedKey(key), readOptionsOf(options))))
  }

  /** @param {any[]} keys @param {any} options */
  _getMany (keys, options) {
    const values = told(this.#rows.getMany(keys.map(checkedKey), readOptionsOf(options)))
    return options.valueEncoding === 'view' ? values.then((all) => all.map(givenIn('view'))) : values
  }

  /** @param {any} key @param {any} options */
  _has (key, options) {
    return told(this.#rows.has(checkedKey(key), readOptionsOf(options)))
  }

  /** @param {any[]} keys @param {any} options */
  _hasMany (keys, options) {
    return told(this.#rows.hasMany(keys.map(checkedKey), readOptionsOf(options)))
  }

  /**
   * As `has`, in the call.
   *
   * @param {any} key
   * @param {any} [options]
   * @returns {boolean}
   */
  hasSync (key, options) {
    this.#checkOpen('hasSync')
    if (key === null || key === undefined) throw new LevelError('LEVEL_INVALID_KEY', 'Key cannot be null or undefined')
    const encoding = this.keyEncoding(options?.keyEncoding)
    const snapshot = options?.snapshot
    snapshot?.ref()
    try {
      return toldSync(() => this.#rows.hasSync(checkedKey(encoding.encode(key)), readOptionsOf({ snapshot })))
    } finally {
      snapshot?.unref()
    }
  }

  /** @param {any} key @param {any} value @param {any} options */
  _put (key, value, options) {
    return told(this.#rows.put(checkedKey(key), checkedValue(value), durabilityOf(options)))
  }

  /** @param {any} key @param {any} options */
  _del (key, options) {
    return told(this.#rows.del(checkedKey(key), durabilityOf(options)))
  }

  /** @param {any[]} operations @param {any} options */
  _batch (operations, options) {
    return told(this.#rows.batch(operations.map(toChange), durabilityOf(options)))
  }

  _chainedBatch () {
    return new ChainedBatch(this, (changes, options) => told(this.#rows.batch(changes, durabilityOf(options))))
  }

  /** @param {any} options */
  async _clear ({ limit, reverse, snapshot, sync, ...bounds }) {
    const count = limit >= 0 && limit !== Infinity ? limit : undefined
    const range = { ...checkedRange(bounds), limit: count, reverse, snapshot: Snapshot.keptOf(snapshot) }
    await told(this.#rows.clear({ ...range, ...durabilityOf({ sync }) }))
  }

  /** @param {any} options */
  _iterator (options) {
    return new LevelIterator(this, this.#rows, options)
  }

  /** @param {any} options */
  _snapshot (options) {
    return new Snapshot(toldSync(() => this.#rows.snapshot()), options)
  }

  /**
   * About how many bytes the keys from `start` to `end`, which is not among them, take on disk.
   *
   * @param {any} start
   * @param {any} end
   * @param {any} [options]
   * @returns {Promise<number>}
   */
  async approximateSize (start, end, options) {
    checkBounds(arguments.length)
    /** @param {Keyspace} rows @param {any[]} bounds */
    const sizeOf = (rows, [first, last]) => rows.approximateSize(first, last)
    return await this.#withRange('approximateSize', [start, end], options, sizeOf)
  }

  /**
   * Gives back what disk space the keys from `start` to `end` take beyond what they hold.
   *
   * @param {any} start
   * @param {any} end
   * @param {any} [options]
   * @returns {Promise<void>}
   */
  async compactRange (start, end, options) {
    checkBounds(arguments.length)
    /** @param {Keyspace} rows @param {any[]} bounds */
    const compact = (rows, [first, last]) => rows.compactRange(first, last)
    await this.#withRange('compactRange', [start, end], options, compact)
  }

  /**
   * Calls for something with the encoded bounds of a range, once the database is open.
   *
   * @template T
   * @param {string} where
   * @param {[any, any]} bounds
   * @param {any} options
   * @param {(rows: Keyspace, bounds: any[]) => Promise<T>} work
   * @returns {Promise<T>}
   */
  async #withRange (where, bounds, options, work) {
    if (this.status === 'opening') return await this.deferAsync(() => this.#withRange(where, bounds, options, work))
    this.#checkOpen(where)
    const encoding = this.keyEncoding(options?.keyEncoding)
    return await told(work(this.#rows, bounds.map((bound) => checkedKey(encoding.encode(bound)))))
  }

  /**
   * What the database says of itself under a name of LevelDB's.
   *
   * @param {string} property
   * @returns {string} the empty one where there is no such property
   */
  getProperty (property) {
    if (typeof property !== 'string') throw new TypeError("The first argument 'property' must be a string")
    this.#checkOpen('getProperty')
    return toldSync(() => propertyOf(property, this.#rows.statsSync()))
  }

  /** @param {string} where */
  #checkOpen (where) {
    if (this.status === 'open') return
    throw new LevelError('LEVEL_DATABASE_NOT_OPEN', `Database is not open: cannot call ${where}()`)
  }

  /**
   * Removes the files of a database that nobody has open, and the directory where nothing else is in it.
   *
   * @param {string} location
   * @returns {Promise<void>}
   */
  static async destroy (location) {
    checkLocation(location)
    await told(Keyspace.destroy({ path: location }))
  }

  /**
   * Makes a damaged database, which nobody has open, one that can be opened: of everything in its files that is whole.
   *
   * @param {string} location
   * @returns {Promise<void>}
   */
  static async repair (location) {
    checkLocation(location)
    await told(Keyspace.repair({ path: location }))
  }
}

/**
 * Whether there are bounds; what they are is for their encoding to say.
 *
 * @param {number} count of the arguments
 */
function checkBounds (count) {
  if (count < 2) throw new TypeError("The arguments 'start' and 'end' are required")
}

/** @param {unknown} location */
function checkLocation (location) {
  if (typeof location === 'string' && location !== '') return
  throw new TypeError("The first argument 'location' must be a non-empty string")
}

/** @param {any} options */
function readOptionsOf ({ snapshot, valueEncoding }) {
  return { snapshot: Snapshot.keptOf(snapshot), text: valueEncoding === 'utf8' }
}

/** @param {any} operation */
function toChange ({ type, key, value }) {
  return { type, key: checkedKey(key), value: checkedValue(value) }
}

/**
 * Resolves when all that was asked of a database has come to its end, and whoever waited for that has gone on.
 *
 * @param {Keyspace | undefined} rows
 * @returns {Promise<void>}
 */
async function settled (rows) {
  await rows?.idle()
  await new Promise((resolve) => { setImmediate(resolve) })
}

/** The key as it is now, whatever becomes of it. @param {any} key */
const ownKey = (key) => toldSync(() => copied(checkBytesKey(checkedKey(key))))

/** @param {any} value */
const ownValue = (value) => toldSync(() => copied(checkBytesValue(checkedValue(value))))

/** @extends {AbstractChainedBatch<any, any, any>} */
class ChainedBatch extends AbstractChainedBatch {
  /** @type {any[]} */
  #changes = []
  #write

  /**
   * @param {FlowLevel} db
   * @param {(changes: any[], options: any) => Promise<void>} write
   */
  constructor (db, write) {
    super(db)
    this.#write = write
  }

  /** @param {any} key @param {any} value */
  _put (key, value) {
    this.#changes.push({ type: 'put', key: ownKey(key), value: ownValue(value) })
  }

  /** @param {any} key */
  _del (key) {
    this.#changes.push({ type: 'del', key: ownKey(key) })
  }

  _clear () {
    this.#changes = []
  }

  /** @param {any} options */
  _write (options) {
    return this.#write(this.#changes, options)
  }
}

exports.FlowLevel = FlowLevel
