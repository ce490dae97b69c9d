'use strict'

/* The iterators of `flowdb/level`: rows of a keyspace, as abstract-level asks for them. */

const { AbstractIterator } = require('abstract-level')
const { AbortError, told, toldSync } = require('./level-errors.js')
const { Snapshot } = require('./level-snapshot.js')
const { invalid, kindOf } = require('./names.js')

/** @type {(error: unknown) => void} */
const ignore = () => {}

/**
 * What a keyspace is asked for an iterator of abstract-level's.
 *
 * @param {any} options
 */
function toScan ({ gt, gte, lt, lte, reverse, keys, values, snapshot, limit, highWaterMarkBytes, ...encodings }) {
  const textKeys = encodings.keyEncoding === 'utf8'
  const textValues = encodings.valueEncoding === 'utf8'
  const scan = { gt, gte, lt, lte, reverse, keys, values, textKeys, textValues, pageBytes: highWaterMarkBytes }
  checkBytes(highWaterMarkBytes)
  const kept = Snapshot.keptOf(snapshot)
  // On a snapshot that is closed abstract-level lets nobody read.
  if (kept?.isClosed) return { ...scan, snapshot: undefined, limit: 0 }
  return { ...scan, snapshot: kept, limit: limit >= 0 ? limit : undefined }
}

/** @param {unknown} bytes */
function checkBytes (bytes) {
  if (bytes === undefined || bytes === Infinity || (Number.isSafeInteger(bytes) && Number(bytes) >= 0)) return
  throw invalid(`highWaterMarkBytes is a whole number from 0, not ${kindOf(bytes)}`)
}

/**
 * The rows that an iterator is made for, and the snapshot that was given for them. abstract-level has attached the
 * iterator to the database before, and could not close one that was attached and never made: so what can't be read is
 * told when it is read.
 *
 * @param {import('./keyspace.js').Keyspace} keyspace
 * @param {any} options
 */
function readingOf (keyspace, options) {
  try {
    const scan = toScan(options)
    return { rows: keyspace.iterator(scan), snapshot: scan.snapshot }
  } catch (error) {
    return { rows: new Refused(error), snapshot: undefined }
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
  async next () {
    throw this.#error
  }

  // Where it goes on is told by the read.
  seek () {}

  close () {}
}

/** @extends {AbstractIterator<any, any, any>} */
class LevelIterator extends AbstractIterator {
  #rows
  #signal
  #snapshot
  /** Rejects the read that is under way. */
  #reject = ignore

  /**
   * @param {any} db
   * @param {import('./keyspace.js').Keyspace} keyspace
   * @param {any} options
   */
  constructor (db, keyspace, options) {
    super(db, options)
    const { rows, snapshot } = readingOf(keyspace, options)
    this.#rows = rows
    this.#snapshot = snapshot
    this.#signal = options.signal ?? undefined
    this.#signal?.addEventListener('abort', this.#abort, { once: true })
  }

  #abort = () => this.#reject(new AbortError(this.#signal?.reason))

  /**
   * What some work gives, unless the signal comes first.
   *
   * @template T
   * @param {Promise<T>} work
   * @returns {Promise<T>}
   */
  #unlessAborted (work) {
    if (this.#signal === undefined) return told(work, this.#snapshot)
    return told(new Promise((resolve, reject) => {
      this.#reject = reject
      work.then(resolve, reject)
    }), this.#snapshot)
  }

  async _next () {
    const row = this.#rows.take()
    if (row !== undefined) return row
    return await this.#unlessAborted(this.#rows.fill(1)) ? this.#rows.take() : undefined
  }

  /** @param {number} size */
  _nextv (size) {
    return this.#unlessAborted(this.#rows.next(size))
  }

  /** @param {any} target */
  _seek (target) {
    toldSync(() => this.#rows.seek(target))
  }

  async _close () {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#rows.close()
  }
}

exports.LevelIterator = LevelIterator
