'use strict'

/*
 * What the writer and the reader of keys share: the limits and tags of the format, what is wrong with a value, and
 * the float below a bigint. docs/format/keys.md describes the format.
 */

const { FlowDBError, unreadable } = require('./errors.js')

/** The longest encoded key, in bytes. */
const KEY_BYTES_MAX = 16 * 1024
/** How deep arrays may lie within each other; an array of numbers is one deep. */
const ARRAY_DEPTH_MAX = 32
const BIGINT_BYTES_MAX = 1024
const BIGINT_LIMIT = 1n << BigInt(8 * BIGINT_BYTES_MAX)
const DATE_MS_MAX = 8.64e15

const ARRAY_END = 0x00
const NULL = 0x10
const FALSE = 0x20
const TRUE = 0x21
const NUMBER = 0x30
const DATE = 0x40
const STRING = 0x50
const BINARY = 0x60
const ARRAY = 0x70

/* What an f64 in a key stands for: itself, a bigint of its value, or one above it by the remainder that follows. */
const CLASS_NUMBER = 0
const CLASS_WHOLE = 1
const CLASS_ABOVE = 2

/**
 * Every fault. Asked instead of `instanceof`, as in `errors.js`.
 *
 * @type {WeakSet<object>}
 */
const faults = new WeakSet()

/** Why a value can't be a key, and where in it; becomes a FlowDBError where the codec is left. */
class Fault {
  /**
   * @param {string} reason
   * @param {boolean} [isWhole] whether the reason is a sentence on the key as a whole
   */
  constructor (reason, isWhole = false) {
    this.reason = reason
    this.isWhole = isWhole
    /** @type {number[]} */
    this.path = []
    faults.add(this)
  }

  get message () {
    if (this.isWhole) return this.reason
    if (this.path.length === 0) return `a key ${this.reason}`
    const place = this.path.length === 1 ? this.path[0] : this.path.map((index) => `[${index}]`).join('')
    return `element ${place} of the key ${this.reason}`
  }
}

/**
 * Whether something that was thrown is a fault, whatever a user's code throws.
 *
 * @param {unknown} error
 * @returns {error is Fault}
 */
const isFault = (error) => faults.has(/** @type {object} */ (error))

/**
 * @param {unknown} error a fault, or what code of a user's in a key has thrown
 * @returns {FlowDBError}
 */
function toFlowDBError (error) {
  if (isFault(error)) return new FlowDBError('FLOWDB_INVALID_KEY', error.message)
  return unreadable('FLOWDB_INVALID_KEY', 'a key', error)
}

const tooLong = () => new Fault(`a key takes more than ${KEY_BYTES_MAX} bytes encoded`, true)
const tooDeep = () => new Fault(`arrays in a key are nested more than ${ARRAY_DEPTH_MAX} deep`, true)
const notAKey = () => new Fault('these bytes are not an encoded key', true)

/** The eight bytes of a float, for one call at a time. */
const float = new DataView(new ArrayBuffer(8))

/**
 * The largest number that is not above `value`.
 *
 * @param {bigint} value
 */
function floorOf (value) {
  const nearest = Number(value)
  if (nearest === Infinity) return Number.MAX_VALUE
  if (nearest <= value) return nearest
  float.setFloat64(0, nearest)
  float.setBigUint64(0, float.getBigUint64(0) + (nearest > 0 ? -1n : 1n))
  return float.getFloat64(0)
}

exports.ARRAY = ARRAY
exports.ARRAY_DEPTH_MAX = ARRAY_DEPTH_MAX
exports.ARRAY_END = ARRAY_END
exports.BIGINT_BYTES_MAX = BIGINT_BYTES_MAX
exports.BIGINT_LIMIT = BIGINT_LIMIT
exports.BINARY = BINARY
exports.CLASS_ABOVE = CLASS_ABOVE
exports.CLASS_NUMBER = CLASS_NUMBER
exports.CLASS_WHOLE = CLASS_WHOLE
exports.DATE = DATE
exports.DATE_MS_MAX = DATE_MS_MAX
exports.FALSE = FALSE
exports.KEY_BYTES_MAX = KEY_BYTES_MAX
exports.NULL = NULL
exports.NUMBER = NUMBER
exports.STRING = STRING
exports.TRUE = TRUE
exports.Fault = Fault
exports.isFault = isFault
exports.float = float
exports.floorOf = floorOf
exports.notAKey = notAKey
exports.toFlowDBError = toFlowDBError
exports.tooDeep = tooDeep
exports.tooLong = tooLong
