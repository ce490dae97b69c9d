'use strict'

/*
 * Reading an answer of the addon field by field, from its start on. Integers are little endian; bytes and text carry
 * their length as a u32 before them.
 */

const { decodeKey } = require('./key.js')

/** How a column is written: each value by itself, all as one array in JSON, which may be of ASCII, or as numbers. */
const EACH = 0
const AS_ASCII = 2
const NUMBERS = 3

const NUMBER_BYTES = 8

/** What tells one state of a document from another is so long. */
const STAMP_BYTES = 16

/** A place in an answer, which each call reads a field at and moves behind it. */
class AnswerReader {
  #buffer
  #at
  #readDocument

  /**
   * @param {Buffer} buffer
   * @param {number} start
   * @param {import('./packing.js').ReadDocument} readDocument
   */
  constructor (buffer, start, readDocument) {
    this.#buffer = buffer
    this.#at = start
    this.#readDocument = readDocument
  }

  byte () {
    return this.#buffer[this.#at++]
  }

  flag () {
    return this.byte() !== 0
  }

  u32 () {
    this.#at += 4
    return this.#buffer.readUInt32LE(this.#at - 4)
  }

  i64 () {
    this.#at += 8
    return this.#buffer.readBigInt64LE(this.#at - 8)
  }

  number () {
    this.#at += 8
    return this.#buffer.readDoubleLE(this.#at - 8)
  }

  /** Passes over bytes, and gives where they begin; `#at` is their end. */
  #bytes () {
    const length = this.u32()
    this.#at += length
    return this.#at - length
  }

  key () {
    const start = this.#bytes()
    return decodeKey(this.#buffer, start, this.#at)
  }

  text () {
    const start = this.#bytes()
    return this.#buffer.toString('utf8', start, this.#at)
  }

  stamp () {
    return this.stamps(1)
  }

  /**
   * Stamps, one after the other.
   *
   * @param {number} count
   * @returns {Uint8Array}
   */
  stamps (count) {
    const start = this.#at
    this.#at += count * STAMP_BYTES
    return Uint8Array.prototype.slice.call(this.#buffer, start, this.#at)
  }

  /** `undefined` where there is none, which format 0 says. */
  document (format = this.byte()) {
    if (format === 0) return undefined
    const start = this.#bytes()
    return this.#readDocument(format, this.#buffer, start, this.#at)
  }

  /**
   * As many things as a count says.
   *
   * @template T
   * @param {() => T} read
   * @param {number} [count]
   * @returns {T[]}
   */
  list (read, count = this.u32()) {
    // Each takes a byte at least. A count that can't be right would fill the memory before a read fails.
    if (count > this.#buffer.length - this.#at) throw new RangeError(`an answer has no room for ${count} things`)
    const list = []
    for (let place = 0; place < count; place++) list.push(read())
    return list
  }

  /**
   * @param {number} count
   * @returns {import('./key.js').Key[]}
   */
  keys (count) {
    return this.#column(() => this.key(), count)
  }

  /**
   * @param {number} count
   * @returns {any[]} `undefined` where there is none
   */
  documents (count) {
    return this.#column(() => this.document(), count)
  }

  /** @param {number} count */
  #numbers (count) {
    const { buffer, byteOffset } = this.#buffer
    const start = this.#at
    this.#at += count * NUMBER_BYTES
    return readNumbers(new DataView(buffer, byteOffset), start, count)
  }

  /**
   * What rows have of one thing; see `src/binding/columns.rs`.
   *
   * @template T
   * @param {() => T} read
   * @param {number} count
   * @returns {T[]}
   */
  #column (read, count) {
    const how = this.byte()
    if (how === EACH) return this.list(read, count)
    if (how === NUMBERS) return /** @type {any[]} */ (this.#numbers(count))
    const start = this.#bytes()
    return JSON.parse(this.#buffer.toString(how === AS_ASCII ? 'latin1' : 'utf8', start, this.#at))
  }
}

/**
 * Numbers that stand side by side.
 *
 * @param {DataView} view
 * @param {number} start
 * @param {number} count
 */
function readNumbers (view, start, count) {
  /** @type {number[]} */
  const numbers = []
  for (let place = 0; place < count; place++) {
    const number = view.getFloat64(start + place * NUMBER_BYTES, true)
    const small = number | 0
    // As V8 holds small whole numbers itself: they take no memory of their own then.
    numbers.push(small === number ? small : number)
  }
  return numbers
}

exports.AnswerReader = AnswerReader
exports.STAMP_BYTES = STAMP_BYTES
