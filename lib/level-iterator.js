'use strict'

/* The iterators of `flowdb/level`: rows of a keyspace, as abstract-level asks for them. */

const { AbstractIterator } = require('abstract-level')
const { PAGE_BYTES_MAX } = require('./keyspace-iterator.js')
const { AbortError, toLevelError, told } = require('./level-errors.js')
const { Snapshot } = require('./level-snapshot.js')
const { checkedKey, checkedRange } = require('./level-text.js')
const { givenIn } = require('./level-views.js')
const { invalid } = require('./names.js')

/** @type {(error: unknown) => void} */
const ignore = () => {}

/**
 * What a keyspace is asked for an iterator of abstract-level's.
 *
 * @param {any} options
 */
function toScan ({ reverse, keys, values, snapshot, limit, ...others }) {
  checkSignal(others.signal)
  const textKeys = others.keyEncoding === 'utf8'
  const textValues = others.valueEncoding === 'utf8'
  const pageBytes = bytesOfMark(others.highWaterMarkBytes)
  const scan = { ...checkedRange(others), reverse, keys, values, textKeys, textValues, pageBytes }
  const kept = Snapshot.keptOf(snapshot)
  // On a snapshot that is closed abstract-level lets nobody read.
  if (kept?.isClosed) return { ...scan, snapshot: undefined, limit: 0 }
  return { ...scan, snapshot: kept, limit: limit >= 0 ? limit : undefined }
}

/**
 * How many bytes are read at once. As in classic-level, what is no number says nothing.
 *
 * @param {unknown} mark
 */
function bytesOfMark (mark) {
  if (typeof mark !== 'number' || Number.isNaN(mark)) return PAGE_BYTES_MAX
  return mark === Infinity ? mark : Math.min(Math.max(Math.floor(mark), 0), Number.MAX_SAFE_INTEGER)
}

/** @param {any} signal */
function checkSignal (signal) {
  if (signal === undefined || signal === null) return
  if ([signal.addEventListener, signal.removeEventListener].every((method) => typeof method === 'function')) return
  throw invalid('the option signal of an iterator is an AbortSignal')
}

/**
 * The rows that an iterator is made for, how many bytes of them are read at once, and the signal that ends it.
 * abstract-level has attached the iterator to the database before, and could not close one that was attached and never
 * made: so what can't be read is told when it is read.
 *
 * @param {import('./keyspace.js').Keyspace} keyspace
 * @param {any} options
 */
function readingOf (keyspace, options) {
  try {
    const scan = toScan(options)
    return { rows: keyspace.iterator(scan), bytes: scan.pageBytes, signal: options.signal ?? undefined }
  } catch (error) {
    return { rows: new Refused(error), bytes: 0, signal: undefined }
  }
}

/** Rows that can't be read. */
class Refused {
  #error

  /** @param {unknown} error */
  constructor (error) {
    this.#error = error
  }

  take () {
    return undefined
  }

  /** @returns {Promise<boolean>} */
  async fill () {
    throw this.#error
  }

  /** @returns {Promise<any[]>} */
  async nextWithin () {
    throw this.#error
  }

  // Where it goes on is told by the read.
  seek () {}

  close () {}
}

/** @extends {AbstractIterator<any, any, any>} */
class LevelIterator extends AbstractIterator {
  #rows
  /** So many bytes are given at once. */
  #bytes
  #signal
  #givenKey
  #givenValue
  #hasViews
  /** What the last seek was refused with. @type {{ error: unknown } | undefined} */
  #lost
  /** Rejects the read that is under way. */
  #reject = ignore

  /**
   * @param {any} db
   * @param {import('./keyspace.js').Keyspace} keyspace
   * @param {any} options
   */
  constructor (db, keyspace, options) {
    super(db, options)
    const { rows, bytes, signal } = readingOf(keyspace, options)
    this.#rows = rows
    this.#bytes = bytes
    this.#signal = signal
    this.#givenKey = givenIn(options.keyEncoding)
    this.#givenValue = givenIn(options.valueEncoding)
    this.#hasViews = [options.keyEncoding, options.valueEncoding].includes('view')
    this.#signal?.addEventListener('abort', this.#abort, { once: true })
  }

  #abort = () => this.#reject(this.#aborted())

  #aborted () {
    return new AbortError(this.#signal?.reason)
  }

  /**
   * What some work gives, unless the signal comes first.
   *
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async #unlessAborted (work) {
    if (this.#lost !== undefined) throw toLevelError(this.#lost.error)
    if (this.#signal === undefined) return await told(work())
    // abstract-level looks before the first page, and not between those of one call.
    if (this.#signal.aborted) throw this.#aborted()
    return await told(new Promise((resolve, reject) => {
      this.#reject = reject
      work().then(resolve, reject)
    }))
  }

  /**
   * @param {import('./keyspace-iterator.js').KeyspaceRow} row
   * @returns {import('./keyspace-iterator.js').KeyspaceRow}
   */
  #given (row) {
    return this.#hasViews ? [this.#givenKey(row[0]), this.#givenValue(row[1])] : row
  }

  async _next () {
    const row = this.#rows.take() ?? await this.#nextRow()
    return row === undefined ? undefined : this.#given(row)
  }

  async #nextRow () {
    return await this.#unlessAborted(() => this.#rows.fill(1)) ? this.#rows.take() : undefined
  }

  /** @param {number} size */
  async _nextv (size) {
    const rows = await this.#unlessAborted(() => this.#rows.nextWithin(size, this.#bytes))
    return this.#hasViews ? rows.map((row) => this.#given(row)) : rows
  }

  /**
   * It throws nothing: where it was queued while the database opened, all that is queued would stop. The reads tell.
   *
   * @param {any} target
   */
  _seek (target) {
    this.#lost = undefined
    try {
      this.#rows.seek(checkedKey(target))
    } catch (error) {
      this.#lost = { error }
    }
  }

  async _close () {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#rows.close()
  }
}

exports.LevelIterator = LevelIterator
