'use strict'

/*
 * What ends an export or an import before it is done: the caller's signal, and the end of the database.
 *
 * Invariant: whoever waits for something that others may never do, for a stream that stands still, waits by `before`,
 * and so not longer than until the end.
 */

const { FlowDBError } = require('./errors.js')
const { checkSignal, invalid, kindOf } = require('./names.js')

const ignore = () => {}

/**
 * @param {string} where
 * @param {Record<string, any>} options
 * @returns {{ signal: AbortSignal | undefined, onProgress: (progress: any) => void }}
 */
function checkListeners (where, { signal, onProgress = ignore }) {
  const checked = checkSignal(where, signal)
  if (typeof onProgress !== 'function') throw invalid(`onProgress of ${where} is a function, not ${kindOf(onProgress)}`)
  return { signal: checked, onProgress }
}

class Ending {
  #where
  #session
  #signal
  /** Told of the end while somebody waits. */
  #wake = ignore
  #forget

  /**
   * @param {string} where what it ends, for messages
   * @param {import('./session.js').Session} session
   * @param {AbortSignal | undefined} signal
   */
  constructor (where, session, signal) {
    this.#where = where
    this.#session = session
    this.#signal = signal
    this.check()
    this.#forget = session.connection.onClose(this.#onEnd)
    signal?.addEventListener('abort', this.#onEnd)
  }

  #onEnd = () => this.#wake()

  /** Whether it has come. */
  get isOver () {
    return this.#signal?.aborted === true || this.#session.connection.isClosed
  }

  /** Throws once it has come. */
  check () {
    if (this.#signal?.aborted) {
      throw new FlowDBError('FLOWDB_ABORTED', `the ${this.#where} was aborted by its signal`, { cause: this.#signal.reason })
    }
    this.#session.checkUsable()
  }

  /**
   * What some work gives. Throws where the end comes first, whatever becomes of the work.
   *
   * @template T
   * @param {PromiseLike<T>} work
   * @returns {Promise<T>}
   */
  async before (work) {
    const ended = new Promise((resolve) => { this.#wake = () => resolve(undefined) })
    if (this.isOver) this.#wake()
    const done = await Promise.race([work.then((value) => ({ value })), ended])
    this.#wake = ignore
    if (done === undefined) this.check()
    return done.value
  }

  /** Lets go of signal and database. */
  forget () {
    this.#forget()
    this.#signal?.removeEventListener('abort', this.#onEnd)
  }
}

exports.Ending = Ending
exports.checkListeners = checkListeners
