'use strict'

/*
 * Operations packed one after the other, on their way to the addon.
 *
 * `src/binding/packing.rs` reads them, and docs/binding.md lists every byte.
 *
 * Invariant: nothing here runs a user's code. Keys have been through `plainKey` and documents are text or bytes before
 * an operation is begun, so an operation is packed whole or, when a key can't be, not at all.
 */

const { KEY_BYTES_MAX, writeKey } = require('./key.js')
const native = require('./native.js')

const ABSENT = 0xffffffff
const QUOTE = 0x22
const LOWER = 1
const LOWER_OPEN = 2
const UPPER = 4
const UPPER_OPEN = 8
const PREFIX = 16

const TWO_32 = 2 ** 32

/** A run has a buffer of this size at first, … */
const ROOM_FIRST = 64 * 1024
/** … and keeps one of up to this size; a larger one is given back after it was sent. */
const ROOM_KEPT = 512 * 1024

/** Texts up to this many UTF-16 units are measured by their longest possible encoding. */
const SHORT_TEXT = 64 * 1024

/**
 * How many bytes there have to be for a text.
 *
 * @param {string} text
 */
const roomFor = (text) => text.length <= SHORT_TEXT ? text.length * 3 : Buffer.byteLength(text)

/** A run of operations, packed one after the other. */
class Run {
  #room
  #isLent
  #buffer
  #end = 0
  #begun = 0
  /** How many operations are in the run. */
  count = 0

  /**
   * @param {Buffer | number} [room] how many bytes there is room for at first; or where operations are packed as long
   *   as they fit
   */
  constructor (room = ROOM_FIRST) {
    this.#isLent = typeof room !== 'number'
    this.#room = typeof room === 'number' ? Buffer.allocUnsafeSlow(room) : room
    this.#buffer = this.#room
  }

  /** Whether what is packed stands in the room that it had at first. */
  get fits () {
    return this.#buffer === this.#room
  }

  /** The packed bytes, until the next operation is begun. */
  get bytes () {
    return this.#buffer.subarray(0, this.#end)
  }

  /** How many bytes are packed. */
  get length () {
    return this.#end
  }

  /** Empties the run. */
  reset () {
    this.#end = 0
    this.count = 0
    if (this.#isLent || this.#buffer.length > ROOM_KEPT) this.#buffer = this.#room
  }

  /**
   * Begins an operation; `cancel` takes it back.
   *
   * @param {number} verb
   * @param {number} request
   * @param {number} transaction
   * @returns {this}
   */
  begin (verb, request, transaction) {
    this.#begun = this.#end
    this.#reserve(9)
    this.#buffer[this.#end++] = verb
    this.u32(request)
    this.u32(transaction)
    this.count++
    return this
  }

  /** Takes back the operation that was begun last. */
  cancel () {
    this.#end = this.#begun
    this.count--
  }

  /**
   * @param {number} value
   * @returns {this}
   */
  u8 (value) {
    this.#reserve(1)
    this.#buffer[this.#end++] = value
    return this
  }

  /**
   * @param {number} value
   * @returns {this}
   */
  u32 (value) {
    this.#reserve(4)
    const buffer = this.#buffer
    buffer[this.#end++] = value
    buffer[this.#end++] = value >>> 8
    buffer[this.#end++] = value >>> 16
    buffer[this.#end++] = value >>> 24
    return this
  }

  /**
   * @param {number} value a safe integer
   * @returns {this}
   */
  i64 (value) {
    const high = Math.floor(value / TWO_32)
    return this.u32(value - high * TWO_32).u32(high)
  }

  /**
   * @param {number | undefined} time in microseconds; `undefined` for none
   * @returns {this}
   */
  expiry (time) {
    return time === undefined ? this.u32(0).u32(0x80000000) : this.i64(time)
  }

  /**
   * @param {Uint8Array} bytes
   * @returns {this}
   */
  bytes32 (bytes) {
    this.u32(bytes.length)
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
    return this
  }

  /**
   * @param {Uint8Array} bytes of a length that both sides know
   * @returns {this}
   */
  raw (bytes) {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
    return this
  }

  /**
   * @param {string} text
   * @returns {this}
   */
  text (text) {
    this.#reserve(4 + roomFor(text))
    const length = this.#buffer.write(text, this.#end + 4)
    this.u32(length)
    this.#end += length
    return this
  }

  /**
   * @param {import('./values.js').Encoded} encoded
   * @returns {this}
   */
  document ({ format, text, isBare, pieces, bytes }) {
    this.u8(format)
    if (bytes !== undefined) return this.bytes32(bytes)
    if (pieces !== undefined) return this.#joined(pieces)
    return isBare ? this.#quoted(/** @type {string} */ (text)) : this.text(/** @type {string} */ (text))
  }

  /**
   * @param {string} text
   * @returns {this}
   */
  #quoted (text) {
    this.#reserve(6 + roomFor(text))
    const start = this.#end + 4
    const length = 2 + this.#buffer.write(text, start + 1)
    this.#buffer[start] = this.#buffer[start + length - 1] = QUOTE
    this.u32(length)
    this.#end += length
    return this
  }

  /**
   * @param {readonly string[]} pieces of JSON: text, and between two of them the letters of a string
   * @returns {this}
   */
  #joined (pieces) {
    const start = this.#end
    this.u32(0)
    for (let place = 0; place < pieces.length; place++) {
      this.#reserve(roomFor(pieces[place]))
      const length = this.#buffer.write(pieces[place], this.#end)
      this.#end += place % 2 === 0 ? length : this.#escape(length)
    }
    const end = this.#end
    this.#end = start
    this.u32(end - start - 4)
    this.#end = end
    return this
  }

  /**
   * Escapes what stands behind the end.
   *
   * @param {number} length
   * @returns {number} its length then
   */
  #escape (length) {
    const escaped = native.escape(this.#buffer, this.#end, length)
    if (this.#end + escaped <= this.#buffer.length) return escaped
    // Nothing has been done: there was no room. It is to be copied with what stands before it.
    this.#end += length
    this.#reserve(escaped - length)
    this.#end -= length
    return native.escape(this.#buffer, this.#end, length)
  }

  /** @returns {this} */
  absent () {
    return this.u32(ABSENT)
  }

  /**
   * @param {unknown} key from `plainKey`
   * @returns {this}
   */
  key (key) {
    this.#reserve(4 + KEY_BYTES_MAX)
    const start = this.#end + 4
    const end = writeKey(key, this.#buffer, start)
    this.u32(end - start)
    this.#end = end
    return this
  }

  /**
   * @param {import('./packing.js').Bounds | undefined} bounds `undefined` for every key
   * @returns {this}
   */
  range (bounds) {
    if (bounds === undefined) return this.u8(0)
    const { lower, upper, lowerOpen, upperOpen, isPrefix } = bounds
    if (isPrefix) return this.u8(LOWER | PREFIX).key(lower)
    this.u8((lower === undefined ? 0 : LOWER | (lowerOpen ? LOWER_OPEN : 0)) |
      (upper === undefined ? 0 : UPPER | (upperOpen ? UPPER_OPEN : 0)))
    if (lower !== undefined) this.key(lower)
    if (upper !== undefined) this.key(upper)
    return this
  }

  /**
   * @param {Uint8Array | string} bytes or text, which stands for its UTF-8
   * @returns {this}
   */
  bytesOf (bytes) {
    return typeof bytes === 'string' ? this.text(bytes) : this.bytes32(bytes)
  }

  /**
   * A range whose keys are any bytes. Inclusive bounds count where both kinds are given.
   *
   * @param {import('./keyspace-range.js').ByteRange} range
   * @returns {this}
   */
  byteRange ({ gt, gte, lt, lte }) {
    const lower = gte ?? gt
    const upper = lte ?? lt
    this.u8((lower === undefined ? 0 : LOWER | (gte === undefined ? LOWER_OPEN : 0)) |
      (upper === undefined ? 0 : UPPER | (lte === undefined ? UPPER_OPEN : 0)))
    if (lower !== undefined) this.bytesOf(lower)
    if (upper !== undefined) this.bytesOf(upper)
    return this
  }

  /** @param {number} room */
  #reserve (room) {
    const needed = this.#end + room
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#end)
    this.#buffer = larger
  }
}

exports.Run = Run
