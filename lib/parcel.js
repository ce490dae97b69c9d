'use strict'

/*
 * The parts of a call on many documents, packed one by one while they are read.
 *
 * A user's code runs between two of them (iterators, getters, `toJSON`) and may issue calls of its own. So they are
 * packed apart, and go into the run of the connection when all are there.
 *
 * Invariant: a parcel holds whole parts only, and what the user does with a key or document later does not change them.
 */

const { FlowDBError } = require('./errors.js')
const { plainKey } = require('./key.js')
const { Run } = require('./run.js')
const { lengthOf } = require('./values.js')

/** One call takes so many bytes of keys and documents. */
const CALL_BYTES_MAX = 512 * 1024 * 1024

/** What stands before a key, its length, and before a document, its format and length. */
const [KEY_HEAD_BYTES, DOCUMENT_HEAD_BYTES] = [4, 5]

/** A run keeps a buffer of this size for the next parcel. */
const ROOM_KEPT = 256 * 1024

/** Kept for the next parcel, unless another one is being filled. @type {Run | undefined} */
let spare

class Parcel {
  #run
  #where
  #bytes = 0
  #count = 0

  /** @param {string} where what is called, for messages */
  constructor (where) {
    this.#where = where
    this.#run = spare ?? new Run(ROOM_KEPT)
    spare = undefined
  }

  /**
   * Adds a part: its key, where it has one, and its document, where it has one.
   *
   * @param {unknown} key `undefined` where the document holds it
   * @param {import('./values.js').Encoded} [encoded]
   * @returns {Run} for what else the part has: nothing that can fail
   */
  add (key, encoded) {
    const run = this.#run
    const plain = plainKey(key)
    const start = run.length
    // What would be too much in any encoding is not written first.
    this.#check(encoded === undefined ? 0 : lengthOf(encoded))
    if (plain === undefined) run.absent()
    else run.key(plain)
    if (encoded !== undefined) run.document(encoded)
    this.#bytes += run.length - start - KEY_HEAD_BYTES - (encoded === undefined ? 0 : DOCUMENT_HEAD_BYTES)
    this.#check(0)
    this.#count++
    return run
  }

  /** @param {number} more */
  #check (more) {
    if (this.#bytes + more <= CALL_BYTES_MAX) return
    const message = `${this.#where} takes at most ${CALL_BYTES_MAX} bytes of keys and documents: call it for parts of them`
    throw new FlowDBError('FLOWDB_INVALID_ARGUMENT', message)
  }

  /**
   * Packs the number of parts and the parts, once; the parcel is empty then.
   *
   * @param {Run} run
   */
  packInto (run) {
    run.u32(this.#count).raw(this.#run.bytes)
    this.#run.reset()
    spare = this.#run
  }
}

exports.CALL_BYTES_MAX = CALL_BYTES_MAX
exports.Parcel = Parcel
