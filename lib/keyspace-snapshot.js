'use strict'

/*
 * A keyspace's database as it was at one moment, for as many reads as there are.
 *
 * Invariant: the addon keeps the snapshot until it is closed and no read is under way that sees it, or until nobody
 * holds it any more.
 */

const { FlowDBError } = require('./errors.js')
const { VERB } = require('./packing.js')

/** @type {FinalizationRegistry<{ connection: import('./connection.js').Connection, number: number }>} */
const forgotten = new FinalizationRegistry(({ connection, number }) => connection.releaseSnapshot(number))

class KeyspaceSnapshot {
  #session
  #number
  #isTaken = false
  /** The number of the request that takes it, while it is not taken. */
  #taking = 0
  #isClosed = false
  #reads = 0
  /** Why it could not be taken. @type {Error | undefined} */
  #refusal

  /** @param {import('./session.js').Session} session */
  constructor (session) {
    const { connection } = session
    this.#session = session
    this.#number = connection.nextId()
    if (connection.hasPendingWrites) this.#takeInTurn()
    else this.#take()
    forgotten.register(this, { connection, number: this.#number }, this)
  }

  #take () {
    this.#session.connection.takeSnapshot(this.#number)
    this.#isTaken = true
  }

  /** Behind the writes that were issued before. It counts as one, so that what reads it comes behind it. */
  #takeInTurn () {
    const letGo = this.hold()
    const pack = (/** @type {import('./run.js').Run} */ run) => { run.u32(this.#number) }
    this.#taking = this.#session.connection.issueTo(VERB.TAKE_SNAPSHOT, { isWrite: true }, pack, (error) => {
      this.#isTaken = true
      // Whoever reads is told.
      this.#refusal = error
      letGo()
    })
  }

  /** The number under which the addon keeps it. */
  get number () {
    return this.#number
  }

  /** Whether it sees nothing any more. */
  get isClosed () {
    return this.#isClosed
  }

  /** Throws where it could not be taken, once that is known. The addon knows only that it has no such snapshot. */
  checkNotRefused () {
    if (this.#refusal !== undefined) throw this.#refusal
  }

  /** Whether no write is ahead of it any more. */
  get isTaken () {
    return this.#isTaken
  }

  /**
   * Throws where it can't be read for a keyspace of this session.
   *
   * @param {import('./session.js').Session} session
   */
  checkUsable (session) {
    if (session.connection !== this.#session.connection) {
      throw new FlowDBError('FLOWDB_INVALID_ARGUMENT', 'the snapshot is one of another database')
    }
    this.checkNotRefused()
    if (this.#isClosed) throw new FlowDBError('FLOWDB_CLOSED', 'the snapshot is closed')
  }

  /**
   * A read begins that sees it.
   *
   * @returns {() => void} to be called when it has ended; called again, it does nothing
   */
  hold () {
    this.#reads++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--this.#reads === 0 && this.#isClosed) this.#release()
    }
  }

  /**
   * Issues an operation that sees it.
   *
   * @template T
   * @param {(letGo: () => void) => Promise<T>} issue is given what is to be called when the operation has settled; may
   *   throw
   * @returns {Promise<T>}
   */
  heldFor (issue) {
    const letGo = this.hold()
    try {
      const answer = issue(letGo)
      if (this.#isTaken) return answer
      return answer.catch((error) => {
        this.checkNotRefused()
        throw error
      })
    } catch (error) {
      letGo()
      throw error
    }
  }

  /** Blocks until it has been taken. Throws where it could not be. */
  waitUntilTaken () {
    if (this.#isTaken) return
    this.#session.connection.waitFor(this.#taking)
    this.checkNotRefused()
  }

  /** Lets go of it, once no read is under way. */
  close () {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#reads === 0) this.#release()
  }

  #release () {
    forgotten.unregister(this)
    this.#session.connection.releaseSnapshot(this.#number)
  }
}

exports.KeyspaceSnapshot = KeyspaceSnapshot
