'use strict'

/*
 * Writing behind a Map in memory.
 *
 * Changes gather in a batch. It is sent at the end of the tick, or when the batch before it is stored, or when it is
 * full; until then a change of an entry takes the place of an earlier one. A batch is one commit, and each names the
 * one that must be there before it: the head of the store has the number of the last.
 *
 * Invariant: batches are stored in their order, each whole, and none without those before it. So what is stored is
 * what the map was at some moment, whatever fails, and whoever else writes to the store.
 */

const { FlowDBError, isOwn } = require('../errors.js')
const { FORMAT, VERB } = require('../packing.js')
const { lengthOf } = require('../values.js')

/** A batch with so many bytes is full. */
const BATCH_BYTES = 256 * 1024

/** So many bytes may wait to be stored; who adds more waits in the call. */
const WAITING_BYTES_MAX = 32 * 1024 * 1024

/** What a change takes beside the text or bytes of its value. */
const CHANGE_BYTES = 64

/** The key of the document that has the number of the last batch. It comes before all numbers. */
const HEAD = null

/** How changes are packed; the numbers that `src/binding/changes.rs` knows. */
const CHANGE = Object.freeze({ PUT: 1, DELETE: 2, CLEAR: 3, CHECK: 4, CHECK_MISSING: 5 })

/** @typedef {import('../values.js').Encoded} Encoded */

/** @param {Encoded} encoded the bytes of a text are counted as its UTF-16 units, which costs nothing */
const sizeOf = (encoded) => CHANGE_BYTES + lengthOf(encoded)

/** Changes that are stored together. */
class Batch {
  /** By the number of the entry; `undefined` where it is deleted. @type {Map<number, Encoded | undefined>} */
  changes = new Map()
  /** Whether everything that was there before is deleted first. */
  isCleared = false
  bytes = 0
  isStored = false
  /** Its own number, once it has been sent, and that of its request. */
  position = 0
  request = 0

  get isEmpty () {
    return this.changes.size === 0 && !this.isCleared
  }

  /**
   * @param {number} number
   * @param {Encoded | undefined} encoded
   */
  change (number, encoded) {
    this.forget(number)
    this.changes.set(number, encoded)
    this.bytes += encoded === undefined ? CHANGE_BYTES : sizeOf(encoded)
  }

  /**
   * Takes back what was to be done with an entry.
   *
   * @param {number} number
   */
  forget (number) {
    if (!this.changes.has(number)) return
    const before = this.changes.get(number)
    this.changes.delete(number)
    this.bytes -= before === undefined ? CHANGE_BYTES : sizeOf(before)
  }

  /**
   * @param {import('../run.js').Run} run
   * @param {Uint8Array} store
   */
  pack (run, store) {
    const { changes, isCleared, position } = this
    run.bytes32(store).u32(changes.size + (isCleared ? 3 : 2))
    if (position === 1) run.u8(CHANGE.CHECK_MISSING).key(HEAD)
    else run.u8(CHANGE.CHECK).key(HEAD).u8(FORMAT.JSON).text(String(position - 1))
    if (isCleared) run.u8(CHANGE.CLEAR)
    for (const [number, encoded] of changes) {
      if (encoded === undefined) run.u8(CHANGE.DELETE).key(number)
      else packPut(run, number, encoded)
    }
    packPut(run, HEAD, { format: FORMAT.JSON, text: String(position) })
  }
}

/**
 * @param {import('../run.js').Run} run
 * @param {number | null} key
 * @param {Encoded} encoded
 */
function packPut (run, key, encoded) {
  run.u8(CHANGE.PUT).key(key).document(encoded)
}

/**
 * Somebody who waits.
 *
 * @typedef {{ isMet: () => boolean, resolve: () => void, reject: (error: Error) => void }} Waiter
 */

class WriteBehind {
  #session
  #store
  #gathering = new Batch()
  /** What has been sent and is not stored yet, in order. @type {Batch[]} */
  #sent = []
  /** How many of those have no answer yet: all, unless something failed. */
  #onTheWay = 0
  #bytes = 0
  /** The number of the last batch that was sent. */
  #position = 0
  /** The highest number of an entry, and the highest that has been sent. They grow with each new entry. */
  #last = 0
  #lastSent = 0
  /** Why a batch was not stored. While there is a reason, nothing is sent. @type {Error | undefined} */
  #failure
  #isScheduled = false
  /** @type {Waiter[]} */
  #waiters = []
  #onFailure

  /**
   * @param {import('../session.js').Session} session held as long as something is on its way
   * @param {Uint8Array} store
   * @param {(error: Error) => void} onFailure told once of each failure; must not throw
   */
  constructor (session, store, onFailure) {
    this.#session = session
    this.#store = store
    this.#onFailure = onFailure
  }

  /**
   * Says what is stored by now, before the first change.
   *
   * @param {number} position how many batches
   * @param {number} last the number of the last entry
   */
  begin (position, last) {
    this.#position = position
    this.#last = this.#lastSent = last
  }

  /** How many bytes wait to be stored. */
  get bytes () {
    return this.#bytes
  }

  /** Throws where something could not be stored. */
  check () {
    if (this.#failure !== undefined) throw notStored(this.#failure)
  }

  /**
   * @param {number} number
   * @param {Encoded} encoded
   */
  put (number, encoded) {
    this.#last = Math.max(this.#last, number)
    this.#changed(() => this.#gathering.change(number, encoded))
  }

  /** @param {number} number */
  delete (number) {
    const isUnsent = this.#gathering.isCleared || number > this.#lastSent
    this.#changed(() => {
      if (isUnsent) this.#gathering.forget(number)
      else this.#gathering.change(number, undefined)
    })
  }

  /** Deletes everything, and what was to be put as well. */
  clear () {
    this.#changed(() => {
      this.#gathering = new Batch()
      this.#gathering.isCleared = true
      this.#gathering.bytes = CHANGE_BYTES
    })
  }

  /** @param {() => void} change changes what gathers */
  #changed (change) {
    this.#bytes -= this.#gathering.bytes
    change()
    this.#bytes += this.#gathering.bytes
    if (this.#gathering.bytes >= BATCH_BYTES) this.#send()
    else this.#sendLater()
    if (this.#bytes > WAITING_BYTES_MAX) this.#makeRoom()
  }

  #sendLater () {
    if (this.#isScheduled || this.#onTheWay > 0) return
    this.#isScheduled = true
    process.nextTick(() => {
      this.#isScheduled = false
      if (this.#onTheWay === 0) this.#send()
    })
  }

  /** Sends what has gathered. */
  #send () {
    if (this.#gathering.isEmpty || this.#failure !== undefined) return
    const batch = this.#gathering
    this.#gathering = new Batch()
    batch.position = ++this.#position
    this.#lastSent = this.#last
    this.#sent.push(batch)
    this.#issue(batch)
  }

  /** @param {Batch} batch */
  #issue (batch) {
    this.#onTheWay++
    const pack = (/** @type {import('../run.js').Run} */ run) => batch.pack(run, this.#store)
    const { connection } = this.#session
    try {
      batch.request = connection.issueTo(VERB.APPLY, { isWrite: true }, pack, (error) => this.#answered(batch, error))
    } catch (error) {
      // No memory to pack it into, say. It stays where it is, as any other that fails.
      this.#answered(batch, /** @type {Error} */ (error))
    }
  }

  /**
   * @param {Batch} batch
   * @param {Error | undefined} error
   */
  #answered (batch, error) {
    this.#onTheWay--
    if (error !== undefined) this.#failed(error)
    // Those behind one that failed fail, too, because it is not there.
    else this.#stored(batch)
    this.#waiters = this.#waiters.filter((waiter) => {
      if (this.#failure !== undefined) waiter.reject(this.#failure)
      else if (waiter.isMet()) waiter.resolve()
      else return true
      return false
    })
  }

  /** @param {Batch} batch the oldest */
  #stored (batch) {
    this.#sent.shift()
    this.#bytes -= batch.bytes
    batch.isStored = true
    if (this.#onTheWay === 0) this.#send()
  }

  /** @param {Error} error */
  #failed (error) {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#onFailure(notStored(error))
  }

  /** Waits in the call until no more waits than may. */
  #makeRoom () {
    this.#send()
    while (this.#bytes > WAITING_BYTES_MAX && this.#onTheWay > 0) this.#waitForNext()
  }

  /** Waits in the call for the oldest of what is on its way. */
  #waitForNext () {
    this.#session.connection.waitFor(this.#sent[this.#sent.length - this.#onTheWay].request)
  }

  /**
   * @param {() => boolean} isMet
   * @returns {Promise<void>}
   */
  async #until (isMet) {
    if (isMet()) return
    // Whoever waits is told by an answer, and none will come.
    if (this.#onTheWay === 0) this.check()
    try {
      await new Promise((resolve, reject) => {
        this.#waiters.push({ isMet, resolve: () => resolve(undefined), reject })
      })
    } catch (error) {
      throw notStored(/** @type {Error} */ (error))
    }
  }

  /**
   * Resolves when no more than half of what may wait does.
   *
   * @returns {Promise<void>}
   */
  async drain () {
    this.check()
    await this.#until(() => this.#bytes <= WAITING_BYTES_MAX / 2)
  }

  /**
   * Stores everything, and makes it durable. What could not be stored before is tried again.
   *
   * @returns {Promise<void>}
   */
  async flush () {
    // What failed is behind nothing that is on its way when all answers are there.
    while (this.#failure !== undefined && this.#onTheWay > 0) await new Promise((resolve) => setImmediate(resolve))
    this.#tryAgain()
    this.#send()
    const last = this.#sent.at(-1)
    if (last !== undefined) await this.#until(() => last.isStored)
    await this.#session.issue(VERB.SYNC, { isWrite: true }, () => {})
  }

  /** The same in the call. */
  flushSync () {
    while (this.#failure !== undefined && this.#onTheWay > 0) this.#waitForNext()
    this.#tryAgain()
    this.#send()
    while (this.#onTheWay > 0) this.#waitForNext()
    this.check()
    this.#session.connection.issueSync(VERB.SYNC, { isWrite: true }, () => {})
  }

  /** Sends again what could not be stored. Nothing may be on its way. */
  #tryAgain () {
    if (this.#failure === undefined) return
    this.#failure = undefined
    for (const batch of this.#sent) this.#issue(batch)
  }
}

/** @param {Error} error */
function notStored (error) {
  const code = isOwn(error) ? error.code : 'FLOWDB_INTERNAL'
  if (code === 'FLOWDB_CONSTRAINT') {
    const message = 'another FlashStoreSync has written to this store since it was loaded here: one at a time may have it'
    return new FlowDBError('FLOWDB_CONFLICT', message, { cause: error })
  }
  return new FlowDBError(code, `what was set could not be stored: ${error.message}`, { cause: error })
}

exports.HEAD = HEAD
exports.sizeOf = sizeOf
exports.WAITING_BYTES_MAX = WAITING_BYTES_MAX
exports.WriteBehind = WriteBehind
