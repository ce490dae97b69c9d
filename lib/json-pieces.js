'use strict'

/*
 * JSON in pieces: text, and between two pieces of text the letters of a long string, which are escaped where they are
 * packed.
 *
 * `JSON.stringify` takes as long for ten letters as it takes to copy two hundred; of a put of 50 KB that was nine
 * tenths. So the letters of long strings don't pass through it.
 *
 * Invariant: put together, and escaped, the pieces are what `JSON.stringify` gives. Whatever it would not simply walk
 * through is left to it.
 */

const { constants } = require('node:buffer')
const { types } = require('node:util')

/** Shorter strings are written sooner by `JSON.stringify`. */
const LONG_MIN = 512

/** Values nested deeper than this are left to `JSON.stringify`. */
const DEPTH_MAX = 100

/** So many letters have room in a string of JavaScript however they are escaped: what is stored can be read again. */
const LETTERS_MAX = Math.floor(constants.MAX_STRING_LENGTH / 6) - 1

/** Half a surrogate pair is no UTF-8, and escaped by `JSON.stringify`. @type {(text: string) => boolean} */
const isWellFormed = (text) => /** @type {any} */ (text).isWellFormed()

/** What JSON holds as it is given, where there is such a thing. @type {(value: object) => boolean} */
const isRaw = /** @type {any} */ (JSON).isRawJSON ?? (() => false)

/** In a string that is not between quotes in JSON as it is: what has to be escaped, and half a surrogate pair. */
const NOT_BARE = /[^ !#-[\]-\ud7ff\ue000-\uffff]/

/** Whether the JSON of a string is that string between quotes. @param {string} text */
const isBare = (text) => !NOT_BARE.test(text)

/** The JSON of a short string. @param {string} text */
const quoted = (text) => isBare(text) ? `"${text}"` : JSON.stringify(text)

/** Whether a string is a long one. @param {string} text */
const isLong = (text) => text.length >= LONG_MIN

/**
 * @param {unknown} value in which nothing is that JSON would damage
 * @returns {string[] | undefined} text and long strings in turn; `undefined` where it is to be left to `JSON.stringify`
 */
function piecesOf (value) {
  const pieces = new Pieces()
  return pieces.add(value, 0) && pieces.hasRoom ? pieces.all() : undefined
}

class Pieces {
  /** @type {string[]} */
  #done = []
  /** The piece that is being written. */
  #text = ''
  /** How many letters are done. */
  #length = 0

  get hasRoom () {
    return this.#length + this.#text.length <= LETTERS_MAX
  }

  all () {
    this.#done.push(this.#text)
    return this.#done
  }

  /**
   * @param {unknown} value
   * @param {number} depth
   * @returns {boolean} whether that was possible
   */
  add (value, depth) {
    if (typeof value === 'string' && isLong(value) && isWellFormed(value)) return this.#addLong(value)
    if (typeof value === 'object' && value !== null) return this.#addObject(value, depth)
    const text = typeof value === 'string' ? quoted(value) : JSON.stringify(value)
    this.#text += text
    return text !== undefined
  }

  /** @param {string} letters */
  #addLong (letters) {
    this.#length += this.#text.length + letters.length
    if (this.#length > LETTERS_MAX) return false
    this.#done.push(`${this.#text}"`, letters)
    this.#text = '"'
    return true
  }

  /**
   * @param {object} value
   * @param {number} depth
   */
  #addObject (value, depth) {
    if (depth >= DEPTH_MAX || isRaw(value) || types.isBoxedPrimitive(value)) return false
    if (typeof (/** @type {{ toJSON?: unknown }} */ (value).toJSON) === 'function') return false
    if (Array.isArray(value)) return this.#addElements(value, depth + 1)
    const prototype = Object.getPrototypeOf(value)
    return (prototype === Object.prototype || prototype === null) && this.#addMembers(value, depth + 1)
  }

  /**
   * @param {readonly unknown[]} array
   * @param {number} depth
   */
  #addElements (array, depth) {
    this.#text += '['
    const { length } = array
    for (let index = 0; index < length; index++) {
      if (index > 0) this.#text += ','
      if (!this.add(array[index], depth)) return false
    }
    this.#text += ']'
    return true
  }

  /**
   * @param {object} object
   * @param {number} depth
   */
  #addMembers (object, depth) {
    let separator = '{'
    for (const key of Object.keys(object)) {
      const value = /** @type {Record<string, unknown>} */ (object)[key]
      if (value === undefined) continue
      this.#text += `${separator}${quoted(key)}:`
      if (!this.add(value, depth)) return false
      separator = ','
    }
    this.#text += separator === '{' ? '{}' : '}'
    return true
  }
}

exports.isBare = isBare
exports.isLong = isLong
exports.piecesOf = piecesOf
