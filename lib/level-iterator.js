'use strict'

/* The iterators of `flowdb/level`: rows of a keyspace, as abstract-level asks for them. */

const { AbstractIterator } = require('abstract-level')
const { AbortError, told, toldSync } = require('./level-errors.js')

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
  #abort = ignore
  /** Rejects once the signal is aborted. @type {Promise<never> | undefined} */
  #aborted

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
    if (this.#signal !== undefined) this.#listen(this.#signal)
  }

  /** @param {AbortSignal} signal */
  #listen (signal) {
    this.#aborted = new Promise((_resolve, reject) => {
      this.#abort = () => reject(new AbortError(signal.reason))
    })
    this.#aborted.catch(ignore)
    signal.addEventListener('abort', this.#abort, { once: true })
  }

  /**
   * What some work gives, unless the signal comes first.
   *
   * @template T
   * @param {Promise<T>} work
   * @returns {Promise<T>}
   */
  #unlessAborted (work) {
    if (this.#aborted === undefined) return told(work)
    return told(Promise.race([work, this.#aborted]))
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
