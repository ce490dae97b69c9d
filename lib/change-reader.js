'use strict'

/* Reading the changes of a watch out of an answer; `src/binding/watching.rs` writes them. */

const { decodeKey } = require('./key.js')
const { KeyRange } = require('./key-range.js')

const LOWER = 1
const LOWER_OPEN = 2
const UPPER = 4
const UPPER_OPEN = 8
const PREFIX = 16

/**
 * A change, as `index.d.ts` describes it.
 *
 * @typedef {{ type: 'put' | 'delete' | 'deleteRange' | 'clear' | 'drop' | 'lost', [more: string]: any }} Change
 */

/** Reads an answer from its start. */
class ChangeReader {
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

  /** @returns {{ changes: Change[], hasEnded: boolean }} */
  page () {
    const hasEnded = this.#buffer[this.#at] !== 0
    const count = this.#buffer.readUInt32LE(this.#at + 1)
    this.#at += 5
    /** @type {Change[]} */
    const changes = []
    for (let row = 0; row < count; row++) changes.push(this.#change())
    return { changes, hasEnded }
  }

  /** @returns {Change} */
  #change () {
    switch (this.#buffer[this.#at++]) {
      case 1: return this.#put()
      case 2: return this.#with({ type: 'delete', store: this.#text(), key: this.#key() }, 'oldValue')
      case 3: return { type: 'deleteRange', store: this.#text(), range: this.#range() }
      case 4: return { type: 'clear', store: this.#text() }
      case 5: return { type: 'drop', store: this.#text() }
      case 6: return { type: 'lost', changes: this.#number() }
      default: throw new RangeError('no change has such a type')
    }
  }

  /** @returns {Change} */
  #put () {
    const [store, key, version, updatedAt] = [this.#text(), this.#key(), this.#number(), this.#number()]
    /** @type {Change} */
    const change = { type: 'put', store, key, version, updatedAt }
    const expiresAt = this.#number()
    if (expiresAt !== 0) change.expiresAt = expiresAt
    return this.#with(this.#with(change, 'value'), 'oldValue')
  }

  /**
   * @param {Change} change
   * @param {'value' | 'oldValue'} name
   */
  #with (change, name) {
    const format = this.#buffer[this.#at++]
    if (format === 0) return change
    const [start, end] = this.#bytes()
    change[name] = this.#readDocument(format, this.#buffer, start, end)
    return change
  }

  #range () {
    const flags = this.#buffer[this.#at++]
    if (flags & PREFIX) return { prefix: this.#key() }
    const lower = flags & LOWER ? this.#key() : undefined
    const upper = flags & UPPER ? this.#key() : undefined
    const [isLowerOpen, isUpperOpen] = [(flags & LOWER_OPEN) !== 0, (flags & UPPER_OPEN) !== 0]
    if (lower === undefined) return KeyRange.upperBound(upper, isUpperOpen)
    if (upper === undefined) return KeyRange.lowerBound(lower, isLowerOpen)
    return KeyRange.bound(lower, upper, isLowerOpen, isUpperOpen)
  }

  #key () {
    const [start, end] = this.#bytes()
    return decodeKey(this.#buffer, start, end)
  }

  #text () {
    const [start, end] = this.#bytes()
    return this.#buffer.toString('utf8', start, end)
  }

  #number () {
    this.#at += 8
    return this.#buffer.readDoubleLE(this.#at - 8)
  }

  #bytes () {
    const start = this.#at + 4
    this.#at = start + this.#buffer.readUInt32LE(this.#at)
    return [start, this.#at]
  }
}

exports.ChangeReader = ChangeReader
