'use strict'

/*
 * Series: records in time, each a value under a key at a moment.
 *
 * Times are microseconds since 1970, as a number, a bigint or a Date; they are given back as numbers. Every operation
 * carries the name of its series, and what it was asked for with, so that handles need no state in the addon.
 *
 * Invariant: all that can run a user's code has run before an operation is packed.
 */

const { cut, reading } = require('./errors.js')
const { KeyRange, toBounds, toBoundsOf } = require('./key-range.js')
const { plainKey } = require('./key.js')
const { timeOf } = require('./key-intrinsics.js')
const { checkOptions, checkText, entriesOf, invalid, kindOf, nameBytes } = require('./names.js')
const native = require('./native.js')
const { VERB } = require('./packing.js')
const { Rows } = require('./cursor.js')
const { encodeText } = require('./values.js')
const { types } = require('node:util')

const MICROS_PER_MS = 1000
const MICROS_PER_SECOND = 1_000_000

/** The times that there are here: those that a number holds exactly. */
const TIME_MIN = Number.MIN_SAFE_INTEGER
const TIME_MAX = Number.MAX_SAFE_INTEGER

/** The longest retention, in seconds. */
const SECONDS_MAX = 100_000_000_000

/** In the order of their numbers in the packed encoding. */
const AGGREGATES = ['count', 'sum', 'min', 'max', 'avg', 'first', 'last']

const ignore = () => {}

/** @param {import('./packing.js').Page} page @returns {any[]} */
const rowsOf = (page) => page.documents

/** The last time that was given to a record without one. */
let lastNow = 0

/**
 * Now, and never the same twice in this thread: records of one key in one tick are records of their own.
 */
function now () {
  lastNow = Math.max(Date.now() * MICROS_PER_MS, lastNow + 1)
  return lastNow
}

/**
 * @param {string} what for messages
 * @param {unknown} time a Date, or microseconds
 * @returns {number}
 */
function toTime (what, time) {
  let micros = time
  if (types.isDate(time)) micros = timeOf(time) * MICROS_PER_MS
  else if (typeof time === 'bigint') micros = Number(time)
  if (!Number.isSafeInteger(micros) || (typeof time === 'bigint' && BigInt(/** @type {number} */ (micros)) !== time)) {
    throw invalid(`${what} is a Date or whole microseconds since 1970, at most 2^53 - 1 away from it, not ${kindOf(time)}`)
  }
  // A record has 0 where it was given -0.
  return /** @type {number} */ (micros) + 0
}

/**
 * @param {string} what
 * @param {unknown} seconds
 * @returns {number} in microseconds
 */
function toSpan (what, seconds) {
  if (typeof seconds !== 'number' || !(seconds > 0 && seconds <= SECONDS_MAX)) {
    throw invalid(`${what} is a number of seconds above 0 and at most ${SECONDS_MAX}, not ${kindOf(seconds)}`)
  }
  return Math.ceil(seconds * MICROS_PER_SECOND)
}

/**
 * The expiry that options ask for.
 *
 * @param {string} where
 * @param {number} ts
 * @param {Record<string, any>} options
 * @returns {number | undefined}
 */
function toExpiry (where, ts, { ttl, expiresAt }) {
  if (ttl !== undefined && expiresAt !== undefined) throw invalid(`${where} takes ttl or expiresAt, not both`)
  if (expiresAt !== undefined) return toTime(`expiresAt of ${where}`, expiresAt)
  if (ttl === undefined) return undefined
  return Math.min(ts + toSpan(`ttl of ${where}`, ttl), TIME_MAX)
}

/**
 * @typedef {object} Query
 * @property {import('./packing.js').Bounds | undefined} bounds
 * @property {boolean} isPrefix
 * @property {number} first the first moment
 * @property {number} last the last moment
 * @property {boolean} reverse
 */

const QUERY_OPTIONS = /** @type {const} */ ({ key: 'any', prefix: 'any', from: 'any', to: 'any' })

/**
 * @param {string} where
 * @param {Record<string, any>} options
 * @returns {Query}
 */
function toQuery (where, { key, prefix, from, to, reverse = false }) {
  if (key !== undefined && prefix !== undefined) throw invalid(`${where} takes key or prefix, not both`)
  const first = from === undefined ? TIME_MIN : toTime(`from of ${where}`, from)
  const last = to === undefined ? TIME_MAX : toTime(`to of ${where}`, to) - 1
  if (first > last + 1) throw invalid(`${where} is from a time behind that which it goes to`)
  const isPrefix = prefix !== undefined
  return { bounds: isPrefix ? toPrefix(where, prefix) : toKeys(key), isPrefix, first, last, reverse }
}

/**
 * Here `null` is a key like any other.
 *
 * @param {unknown} key a key or a KeyRange; `undefined` for every key
 */
function toKeys (key) {
  return key === undefined ? undefined : toBoundsOf(key)
}

/**
 * @param {string} where
 * @param {unknown} prefix
 */
function toPrefix (where, prefix) {
  const plain = plainKey(prefix)
  const isPrefix = typeof plain === 'string' || ArrayBuffer.isView(plain) || types.isAnyArrayBuffer(plain) ||
    (typeof plain === 'object' && Array.isArray(plain))
  if (!isPrefix) throw invalid(`prefix of ${where} is a string, bytes or an array, not ${kindOf(prefix)}`)
  return toBounds(KeyRange.lowerBound(plain))
}

/**
 * @param {import('./run.js').Run} run
 * @param {Query} query
 */
function packQuery (run, { bounds, isPrefix, first, last, reverse }) {
  run.u8(isPrefix ? 1 : 0).range(bounds).i64(first).i64(last).u8(reverse ? 1 : 0)
}

class Series {
  #session
  #name
  #nameBytes
  /** In seconds; 0 where none was asked for. */
  #retention
  #ready

  /**
   * @param {import('./session.js').Session} session
   * @param {string} name
   * @param {unknown} options
   */
  constructor (session, name, options) {
    const { retention } = checkOptions('series', options, { retention: 'any' })
    if (retention !== undefined && !(Number.isSafeInteger(retention) && retention > 0 && retention <= SECONDS_MAX)) {
      throw invalid(`retention of series is a whole number of seconds from 1 to ${SECONDS_MAX}, not ${kindOf(retention)}`)
    }
    this.#session = session
    this.#nameBytes = nameBytes('series', name)
    this.#name = name
    this.#retention = retention ?? 0
    /** @type {Promise<void>} */
    this.#ready = session.issue(VERB.OPEN_SERIES, { isWrite: true }, (run) => this.#pack(run))
    // Who does not ask for it learns of a failure from the first operation.
    this.#ready.catch(ignore)
  }

  /** The name. */
  get name () {
    return this.#name
  }

  /**
   * Resolves when the series is there, and rejects when it can't be.
   *
   * @returns {Promise<void>}
   */
  get ready () {
    return this.#ready
  }

  /** @param {import('./run.js').Run} run */
  #pack (run) {
    return run.bytes32(this.#nameBytes).i64(this.#retention)
  }

  /**
   * Writes a record, in place of the one with its key and time.
   *
   * @param {unknown} key
   * @param {unknown} value what JSON can hold
   * @param {{ ts?: unknown, ttl?: unknown, expiresAt?: unknown }} [options]
   * @returns {Promise<number>} the time
   */
  async append (key, value, options) {
    const checked = checkOptions('append', options, { ts: 'any', ttl: 'any', expiresAt: 'any' })
    const [ts] = await this.#append([toRecord('append', Object.assign(checked, { key, value }))])
    return ts
  }

  /**
   * Writes records, all of them or none.
   *
   * @param {Iterable<any>} records
   * @returns {Promise<number[]>} their times
   */
  async appendMany (records) {
    this.#session.checkUsable()
    const plain = reading('FLOWDB_INVALID_ARGUMENT', 'the records of appendMany', () => toRecords(records))
    return plain.length === 0 ? [] : await this.#append(plain)
  }

  /** @param {ReturnType<typeof toRecord>[]} records */
  async #append (records) {
    await this.#session.issue(VERB.APPEND, { isWrite: true }, (run) => {
      this.#pack(run).u32(records.length)
      for (const { key, ts, expiry, text } of records) run.key(key).i64(ts).expiry(expiry).text(text)
    })
    return records.map(({ ts }) => ts)
  }

  /**
   * @param {unknown} key
   * @param {unknown} ts
   * @returns {Promise<import('./packing.js').SeriesRecord | undefined>}
   */
  async get (key, ts) {
    const [plain, time] = [plainKey(key), toTime('ts of get', ts)]
    this.#session.checkUsable()
    const pack = (/** @type {import('./run.js').Run} */ run) => this.#pack(run).key(plain).i64(time)
    const { connection } = this.#session
    const found = connection.readRecordInCall(pack)
    if (found !== native.NOT_AT_HAND) return await connection.resolved(found)
    return await this.#session.issue(VERB.GET_RECORD, {}, pack)
  }

  /**
   * The latest record of a key.
   *
   * @param {unknown} key
   * @returns {Promise<import('./packing.js').SeriesRecord | undefined>}
   */
  async latest (key) {
    const query = toQuery('latest', { key: KeyRange.only(key) })
    return await this.#session.issue(VERB.LATEST_RECORD, {}, (run) => packQuery(this.#pack(run), query))
  }

  /**
   * Iterates over records by key and, within one key, by time, as they are now.
   *
   * @param {unknown} [options]
   * @returns {AsyncIterableIterator<any>}
   */
  range (options) {
    return this.#rows('range', options, false)
  }

  /**
   * The same records as `range`, in an array.
   *
   * @param {unknown} [options]
   * @returns {Promise<any[]>}
   */
  async getAll (options) {
    return await this.#rows('getAll', options, true).gather()
  }

  /**
   * @param {string} where
   * @param {unknown} options
   * @param {boolean} isGathered
   * @returns {Rows<any>}
   */
  #rows (where, options, isGathered) {
    const checked = checkOptions(where, options, { ...QUERY_OPTIONS, reverse: 'boolean', limit: 'count' })
    const query = toQuery(where, checked)
    const pack = (/** @type {import('./run.js').Run} */ run) => packQuery(this.#pack(run), query)
    const scan = { verb: VERB.OPEN_RECORDS, pack, limit: checked.limit ?? Infinity, isGathered }
    return new Rows(this.#session, scan, undefined, rowsOf)
  }

  /**
   * Iterates over windows of time, each with the number that an aggregate makes of its records.
   *
   * @param {unknown} options
   * @returns {AsyncIterableIterator<any>}
   */
  downsample (options) {
    const checked = checkOptions('downsample', options, {
      ...QUERY_OPTIONS, window: 'any', aggregate: 'any', path: 'any', limit: 'count'
    })
    const { window, aggregate, path, limit = Infinity } = checked
    const query = toQuery('downsample', checked)
    const width = toSpan('window of downsample', window)
    const number = AGGREGATES.indexOf(aggregate)
    if (number < 0) {
      throw invalid(`aggregate of downsample is one of ${AGGREGATES.join(', ')}, not ${kindOf(aggregate)}`)
    }
    if (path !== undefined && typeof path !== 'string') {
      throw invalid(`path of downsample is a string with dots, not ${kindOf(path)}`)
    }
    if (path !== undefined) checkText('path of downsample', path)
    const pack = (/** @type {import('./run.js').Run} */ run) => {
      packQuery(this.#pack(run), query)
      run.i64(width).u8(number)
      if (path === undefined) run.absent()
      else run.text(path)
    }
    return new Rows(this.#session, { verb: VERB.OPEN_WINDOWS, pack, limit }, undefined, rowsOf)
  }

  /**
   * Deletes a record, if it is there.
   *
   * @param {unknown} key
   * @param {unknown} ts
   * @returns {Promise<void>}
   */
  async delete (key, ts) {
    const [plain, time] = [plainKey(key), toTime('ts of delete', ts)]
    await this.#session.issue(VERB.DELETE_RECORD, { isWrite: true }, (run) => this.#pack(run).key(plain).i64(time))
  }

  /**
   * Deletes the records of keys and times.
   *
   * @param {unknown} options what is left out is not restricted; `{}` is everything
   * @returns {Promise<void>}
   */
  async deleteRange (options) {
    if (options === undefined) throw invalid('deleteRange takes what to delete: {} is every record')
    // Who meant a key and has none must not lose every record.
    const asked = entriesOf('deleteRange', options)
    const missing = asked.find(([, value]) => value === undefined)
    if (missing !== undefined) throw invalid(`${cut(missing[0])} of deleteRange is undefined: leave it out, or give it`)
    const query = toQuery('deleteRange', checkOptions('deleteRange', Object.fromEntries(asked), QUERY_OPTIONS))
    await this.#session.issue(VERB.DELETE_RECORDS, { isWrite: true }, (run) => packQuery(this.#pack(run), query))
  }

  /**
   * Changes a record: `change` is merged into its value as JSON merge patch says, and the expiry is set.
   *
   * @param {unknown} key
   * @param {unknown} ts
   * @param {unknown} change `undefined` leaves the value as it is
   * @param {{ ttl?: unknown, expiresAt?: unknown }} [options]
   * @returns {Promise<boolean>} whether there was one
   */
  async patch (key, ts, change, options) {
    const [plain, time] = [plainKey(key), toTime('ts of patch', ts)]
    const expiry = toExpiry('patch', time, checkOptions('patch', options, { ttl: 'any', expiresAt: 'any' }))
    const text = change === undefined ? undefined : encodeText(change)
    return await this.#session.issue(VERB.PATCH_RECORD, { isWrite: true }, (run) => {
      this.#pack(run).key(plain).i64(time).expiry(expiry)
      if (text === undefined) run.absent()
      else run.text(text)
    })
  }
}

/**
 * @param {string} where
 * @param {Record<string, any>} record
 */
function toRecord (where, { key, value, ts, ttl, expiresAt }) {
  const plain = plainKey(key)
  const time = ts === undefined ? now() : toTime(`ts of ${where}`, ts)
  const expiry = toExpiry(where, time, { ttl, expiresAt })
  return { key: plain, ts: time, expiry, text: encodeText(value) }
}

/** @param {any} records */
function toRecords (records) {
  if (typeof records !== 'object' || records === null || typeof records[Symbol.iterator] !== 'function') {
    throw invalid(`appendMany takes an array of records, not ${kindOf(records)}`)
  }
  const known = /** @type {const} */ ({ key: 'any', value: 'any', ts: 'any', ttl: 'any', expiresAt: 'any' })
  const plain = []
  for (const record of records) {
    if (record === undefined) throw invalid('a record of appendMany is an object, not undefined')
    plain.push(toRecord('appendMany', checkOptions('appendMany', record, known)))
  }
  return plain
}

exports.Series = Series
