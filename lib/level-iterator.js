'use strict'

/* The iterators of `flowdb/level`: rows of a keyspace, as abstract-level asks for them. */

const { AbstractIterator } = require('abstract-level')
const { AbortError, told, toldSync } = require('./level-errors.js')

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
  // On a snapshot that is closed abstract-level lets nobody read.
  if (snapshot?.kept.isClosed) return { ...scan, limit: 0 }
  return { ...scan, snapshot: snapshot?.kept, limit: limit >= 0 ? limit : undefined }
}

/** @extends {AbstractIterator<any, any, any>} */
class LevelIterator extends AbstractIterator {
  #rows
  #signal
  /** Rejects the read that is under way. */
  #reject = ignore

  /**
   * @param {any} db
   * @param {import('./keyspace.js').Keyspace} keyspace
   * @param {any} options
   */
  constructor (db, keyspace, options) {
    const { signal } = options
    const rows = toldSync(() => keyspace.iterator(toScan(options)))
    super(db, options)
    this.#rows = rows
    this.#signal = signal ?? undefined
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
    if (this.#signal === undefined) return told(work)
    return told(new Promise((resolve, reject) => {
      this.#reject = reject
      work.then(resolve, reject)
    }))
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
