'use strict'

/* Ranges of keys, as in IndexedDB. */

const { types } = require('node:util')
const { reading } = require('./errors.js')
const { compareKeys, encodeKey, plainKey } = require('./key.js')
const { checkOptions, invalid, isPlain, kindOf } = require('./names.js')

/** The keys between two bounds; made by the static methods. */
class KeyRange {
  /**
   * @param {unknown} lower from `plainKey`; `undefined` where there is no bound
   * @param {unknown} upper
   * @param {boolean} lowerOpen
   * @param {boolean} upperOpen
   */
  constructor (lower, upper, lowerOpen, upperOpen) {
    /** Where the range starts; `undefined` when every key up to `upper` is in it. */
    this.lower = lower
    /** Where the range ends; `undefined` when every key from `lower` is in it. */
    this.upper = upper
    /** Whether `lower` itself is left out. */
    this.lowerOpen = lowerOpen
    /** Whether `upper` itself is left out. */
    this.upperOpen = upperOpen
    Object.freeze(this)
  }

  /**
   * The key alone.
   *
   * @param {unknown} key
   */
  static only (key) {
    const plain = checked(key)
    return new KeyRange(plain, plain, false, false)
  }

  /**
   * From `key` on.
   *
   * @param {unknown} key
   * @param {boolean} [open] whether the key itself is left out
   */
  static lowerBound (key, open = false) {
    return new KeyRange(checked(key), undefined, Boolean(open), true)
  }

  /**
   * Up to `key`.
   *
   * @param {unknown} key
   * @param {boolean} [open] whether the key itself is left out
   */
  static upperBound (key, open = false) {
    return new KeyRange(undefined, checked(key), true, Boolean(open))
  }

  /**
   * From `lower` to `upper`.
   *
   * @param {unknown} lower
   * @param {unknown} upper
   * @param {boolean} [lowerOpen] whether `lower` itself is left out
   * @param {boolean} [upperOpen] whether `upper` itself is left out
   */
  static bound (lower, upper, lowerOpen = false, upperOpen = false) {
    const [from, to] = [checked(lower), checked(upper)]
    const order = compareKeys(from, to)
    if (order > 0 || (order === 0 && (lowerOpen || upperOpen))) {
      throw invalid('no key can be in the range: its lower bound does not come before its upper bound')
    }
    return new KeyRange(from, to, Boolean(lowerOpen), Boolean(upperOpen))
  }

  /**
   * Whether a key is in the range.
   *
   * @param {unknown} key
   */
  includes (key) {
    const plain = checked(key)
    const fromLower = this.lower === undefined ? 1 : compareKeys(plain, this.lower)
    const toUpper = this.upper === undefined ? 1 : compareKeys(this.upper, plain)
    return (this.lowerOpen ? fromLower > 0 : fromLower >= 0) && (this.upperOpen ? toUpper > 0 : toUpper >= 0)
  }
}

/**
 * A copy of a key that nobody can change; throws when it is no key.
 *
 * @param {unknown} key
 */
function checked (key) {
  const plain = plainKey(key)
  encodeKey(plain)
  return plain
}

/**
 * The bounds that an argument means: a range, a key for itself alone, or `undefined` or `null` for everything. A range
 * is a KeyRange or a plain object with `gt`, `gte`, `lt`, `lte` or `prefix`, which can't be a key.
 *
 * @param {unknown} range
 * @returns {import('./packing.js').Bounds | undefined}
 */
function toBounds (range) {
  if (range === undefined || range === null) return undefined
  // Read now: what a user made of a range or of an array in it may run code, and packing must not.
  return reading('FLOWDB_INVALID_KEY', 'a range of keys', () => {
    return boundsIn(range) ?? KeyRange.only(range)
  })
}

/**
 * @param {unknown} range
 * @returns {import('./packing.js').Bounds | undefined} `undefined` where it is no range
 */
function boundsIn (range) {
  if (!(range instanceof KeyRange)) return isPlain(range) ? boundsOfObject(/** @type {object} */ (range)) : undefined
  const { lower, upper, lowerOpen, upperOpen } = range
  const [from, to] = [plainKey(lower), plainKey(upper)]
  return { lower: from, upper: to, lowerOpen: Boolean(lowerOpen), upperOpen: Boolean(upperOpen) }
}

const BOUNDS = /** @type {const} */ ({ gt: 'any', gte: 'any', lt: 'any', lte: 'any', prefix: 'any' })

/** The names that a range has as a plain object. */
const BOUND_NAMES = Object.keys(BOUNDS)

/**
 * @param {object} range
 * @returns {import('./packing.js').Bounds | undefined}
 */
function boundsOfObject (range) {
  if (!Object.keys(range).some((name) => Object.hasOwn(BOUNDS, name))) return undefined
  const { gt, gte, lt, lte, prefix } = checkOptions('a range of keys', range, BOUNDS)
  if (gt !== undefined && gte !== undefined) throw invalid('a range of keys has gt or gte, not both')
  if (lt !== undefined && lte !== undefined) throw invalid('a range of keys has lt or lte, not both')
  const [lower, upper] = [gt === undefined ? gte : gt, lt === undefined ? lte : lt]
  if (prefix !== undefined) {
    if (lower !== undefined || upper !== undefined) throw invalid('a range of keys has a prefix or bounds, not both')
    return { ...KeyRange.lowerBound(toPrefix(prefix)), isPrefix: true }
  }
  const [lowerOpen, upperOpen] = [gt !== undefined, lt !== undefined]
  if (lower !== undefined && upper !== undefined) return KeyRange.bound(lower, upper, lowerOpen, upperOpen)
  if (lower !== undefined) return KeyRange.lowerBound(lower, lowerOpen)
  if (upper !== undefined) return KeyRange.upperBound(upper, upperOpen)
  throw invalid('a range of keys has a bound that is undefined, and no other')
}

/** @param {unknown} prefix */
function toPrefix (prefix) {
  const plain = checked(prefix)
  if (typeof plain === 'string' || Array.isArray(plain)) return plain
  if (ArrayBuffer.isView(plain) || types.isAnyArrayBuffer(plain)) return plain
  throw invalid(`the prefix of a range of keys is a string, bytes or an array, not ${kindOf(prefix)}`)
}

/**
 * What an argument means that is a key or a range.
 *
 * @param {unknown} value
 * @returns {{ key?: unknown, bounds?: import('./packing.js').Bounds }}
 */
function toKeyOrBounds (value) {
  return reading('FLOWDB_INVALID_KEY', 'a key or a range of keys', () => {
    const bounds = boundsIn(value)
    return bounds === undefined ? { key: plainKey(value) } : { bounds }
  })
}

/**
 * The bounds that an argument means where `undefined` and `null` are not everything but keys like any other, or none.
 *
 * @param {unknown} range a range or a key
 * @returns {import('./packing.js').Bounds | undefined}
 */
function toBoundsOf (range) {
  return range === undefined || range === null ? KeyRange.only(range) : toBounds(range)
}

exports.BOUND_NAMES = BOUND_NAMES
exports.KeyRange = KeyRange
exports.toBounds = toBounds
exports.toBoundsOf = toBoundsOf
exports.toKeyOrBounds = toKeyOrBounds
