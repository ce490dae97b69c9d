'use strict'

/*
 * Keys of documents and indexes as bytes that sort as the values do: null < false < true < numbers and bigints by
 * value < dates < strings by UTF-16 code unit < binary < arrays. `src/jsondb/key.rs` writes the same bytes;
 * docs/format/keys.md describes them, and tests/golden/keys.json holds both to that.
 *
 * Invariant: no code of a user's runs while bytes are written. Only the elements of an array can run any (getters,
 * proxies), and `plainKey` reads them all first; dates and buffers are read with the platform's own methods.
 */

const { types } = require('node:util')
const { FlowDBError } = require('./errors.js')

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
 * @typedef {null | boolean | number | bigint | Date | string | Uint8Array | Key[]} Key a key as it is decoded
 */

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
  }

  get message () {
    if (this.isWhole) return this.reason
    if (this.path.length === 0) return `a key ${this.reason}`
    const place = this.path.length === 1 ? this.path[0] : this.path.map((index) => `[${index}]`).join('')
    return `element ${place} of the key ${this.reason}`
  }
}

/** @param {unknown} error */
function toFlowDBError (error) {
  return error instanceof Fault ? new FlowDBError('FLOWDB_INVALID_KEY', error.message) : error
}

const tooLong = () => new Fault(`a key takes more than ${KEY_BYTES_MAX} bytes encoded`, true)
const tooDeep = () => new Fault(`arrays in a key are nested more than ${ARRAY_DEPTH_MAX} deep`, true)
const notAKey = () => new Fault('these bytes are not an encoded key', true)

/* ---- Writing ---- */

const scratch = Buffer.allocUnsafeSlow(KEY_BYTES_MAX)

/**
 * Encodes `value` into a buffer of its own.
 *
 * @param {unknown} value
 * @returns {Buffer}
 */
function encodeKey (value) {
  const end = writeKey(plainKey(value), scratch, 0)
  const encoded = Buffer.allocUnsafe(end)
  scratch.copy(encoded, 0, 0, end)
  return encoded
}

/**
 * Reads out what can run a user's code (the elements of arrays), so that writing the result can't.
 *
 * Whoever writes keys into a buffer that others write to as well calls this before reserving a place in it.
 *
 * @param {unknown} value
 * @returns {unknown} `value` itself unless it is an array, else a copy
 */
function plainKey (value) {
  if (typeof value !== 'object' || value === null) return value
  try {
    return Array.isArray(value) ? copyArray(value, 0, { elements: KEY_BYTES_MAX }) : value
  } catch (error) {
    throw toFlowDBError(error)
  }
}

/**
 * Writes the encoding of `value` into `buffer` at `offset`. With `KEY_BYTES_MAX` bytes of room it always fits.
 *
 * @param {unknown} value from `plainKey`, where the buffer is shared
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @returns {number} the offset behind it, or -1 when the buffer has no room (bytes from `offset` on may have changed)
 */
function writeKey (value, buffer, offset) {
  const limit = Math.min(buffer.length, offset + KEY_BYTES_MAX)
  try {
    const end = writeValue(value, buffer, offset, limit, 0)
    if (end < 0 && limit === offset + KEY_BYTES_MAX) throw tooLong()
    return end
  } catch (error) {
    throw toFlowDBError(error)
  }
}

/**
 * @param {readonly unknown[]} array
 * @param {number} depth
 * @param {{ elements: number }} budget how many elements may still come: each takes a byte at least
 * @returns {unknown[]}
 */
function copyArray (array, depth, budget) {
  if (depth === ARRAY_DEPTH_MAX) throw tooDeep()
  const copy = []
  const length = array.length
  for (let index = 0; index < length; index++) {
    if (--budget.elements < 0) throw tooLong()
    const element = array[index]
    copy.push(Array.isArray(element) ? copyArray(element, depth + 1, budget) : element)
  }
  return copy
}

/*
 * The writers below return the offset behind what they wrote, or -1 when it would pass `limit`.
 */

/**
 * @param {unknown} value
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @param {number} limit
 * @param {number} depth how many arrays `value` lies within
 * @returns {number}
 */
function writeValue (value, buffer, offset, limit, depth) {
  if (offset >= limit) return -1
  switch (typeof value) {
    case 'string':
      return writeString(value, buffer, offset, limit)
    case 'number':
      if (value !== value) throw new Fault('can\'t be NaN')
      buffer[offset] = NUMBER
      return writeBits(value, CLASS_NUMBER, buffer, offset + 1, limit)
    case 'bigint':
      return writeBigInt(value, buffer, offset, limit)
    case 'boolean':
      buffer[offset] = value ? TRUE : FALSE
      return offset + 1
    case 'object':
      if (value !== null) return writeObject(value, buffer, offset, limit, depth)
      buffer[offset] = NULL
      return offset + 1
    case 'undefined':
      throw new Fault('can\'t be undefined')
    default:
      throw new Fault(`can't be a ${typeof value}`)
  }
}

/**
 * @param {object} value
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @param {number} limit
 * @param {number} depth
 * @returns {number}
 */
function writeObject (value, buffer, offset, limit, depth) {
  if (Array.isArray(value)) return writeArray(value, buffer, offset, limit, depth)
  if (types.isDate(value)) {
    const ms = timeOf(value)
    if (ms !== ms) throw new Fault('can\'t be an invalid date')
    buffer[offset] = DATE
    return writeBits(ms, CLASS_NUMBER, buffer, offset + 1, limit)
  }
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return writeBinary(value, buffer, offset, limit)
  throw new Fault('can\'t be an object (other than a Date, an array, or bytes)')
}

/**
 * @param {readonly unknown[]} array
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @param {number} limit
 * @param {number} depth
 * @returns {number}
 */
function writeArray (array, buffer, offset, limit, depth) {
  if (depth === ARRAY_DEPTH_MAX) throw tooDeep()
  buffer[offset++] = ARRAY
  const length = array.length
  for (let index = 0; index < length; index++) {
    try {
      offset = writeValue(array[index], buffer, offset, limit, depth + 1)
    } catch (error) {
      if (error instanceof Fault) error.path.unshift(index)
      throw error
    }
    if (offset < 0) return -1
  }
  if (offset >= limit) return -1
  buffer[offset] = ARRAY_END
  return offset + 1
}

/**
 * @param {string} text
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @param {number} limit
 * @returns {number}
 */
function writeString (text, buffer, offset, limit) {
  const length = text.length
  if (length > limit - offset) return -1
  buffer[offset++] = STRING
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index)
    if (unit > 1 && unit < 0x80) {
      if (offset >= limit) return -1
      buffer[offset++] = unit
    } else if (unit < 0x800) {
      if (offset + 2 > limit) return -1
      buffer[offset++] = unit <= 1 ? 0x01 : 0xc0 | unit >>> 6
      buffer[offset++] = unit <= 1 ? unit + 1 : 0x80 | unit & 0x3f
    } else {
      if (offset + 3 > limit) return -1
      buffer[offset++] = 0xe0 | unit >>> 12
      buffer[offset++] = 0x80 | unit >>> 6 & 0x3f
      buffer[offset++] = 0x80 | unit & 0x3f
    }
  }
  if (offset >= limit) return -1
  buffer[offset] = 0
  return offset + 1
}

/**
 * @param {object} value an ArrayBuffer or a view
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @param {number} limit
 * @returns {number}
 */
function writeBinary (value, buffer, offset, limit) {
  const bytes = bytesOf(value)
  const length = lengthOf(bytes)
  buffer[offset++] = BINARY
  for (let index = 0; index < length; index++) {
    const byte = bytes[index]
    if (offset >= limit) return -1
    buffer[offset++] = byte
    if (byte === 0) {
      if (offset >= limit) return -1
      buffer[offset++] = 0xff
    }
  }
  if (offset + 2 > limit) return -1
  buffer[offset++] = 0
  buffer[offset++] = 0
  return offset
}

/**
 * @param {bigint} value
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @param {number} limit
 * @returns {number}
 */
function writeBigInt (value, buffer, offset, limit) {
  if (value >= BIGINT_LIMIT || value <= -BIGINT_LIMIT) {
    throw new Fault('can\'t be a bigint of 2^8192 or more, or -2^8192 or less')
  }
  buffer[offset++] = NUMBER
  const floor = floorOf(value)
  const remainder = floor === -Infinity ? -value : value - BigInt(floor)
  if (remainder === 0n) return writeBits(floor, CLASS_WHOLE, buffer, offset, limit)
  offset = writeBits(floor, CLASS_ABOVE, buffer, offset, limit)
  const digits = remainder.toString(16)
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  if (offset < 0 || offset + 2 + bytes.length > limit) return -1
  const flip = floor === -Infinity ? 0xff : 0
  buffer[offset++] = bytes.length >>> 8 ^ flip
  buffer[offset++] = bytes.length & 0xff ^ flip
  for (const byte of bytes) buffer[offset++] = byte ^ flip
  return offset
}

const float = new DataView(new ArrayBuffer(8))

/**
 * Writes the 64 bits of `value` in their order and its class: seven bits a byte, without trailing zeros.
 *
 * @param {number} value
 * @param {number} kind one of the classes
 * @param {Uint8Array} buffer
 * @param {number} offset
 * @param {number} limit
 * @returns {number}
 */
function writeBits (value, kind, buffer, offset, limit) {
  float.setFloat64(0, value + 0) // -0 + 0 is 0
  let high = float.getInt32(0)
  let low = float.getInt32(4)
  if (high < 0) {
    high = ~high
    low = ~low
  } else {
    high ^= 0x80000000
  }
  let tail = kind << 30
  let group
  do {
    if (offset >= limit) return -1
    group = high >>> 25
    high = high << 7 | low >>> 25
    low = low << 7 | tail >>> 25
    tail <<= 7
    buffer[offset++] = group << 1 | ((high | low | tail) === 0 ? 0 : 1)
  } while ((high | low | tail) !== 0)
  return offset
}

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

/* ---- What an object holds, by the platform's own methods: an override of a user's is not called. ---- */

const TypedArray = Object.getPrototypeOf(Uint8Array)

/**
 * @param {object} prototype
 * @param {string} name
 * @returns {(target: object) => any}
 */
function getterOf (prototype, name) {
  const get = /** @type {() => unknown} */ (Object.getOwnPropertyDescriptor(prototype, name)?.get)
  return (target) => Reflect.apply(get, target, [])
}

const getTime = Date.prototype.getTime
/** @type {(date: Date) => number} */
const timeOf = (date) => Reflect.apply(getTime, date, [])
/** @type {(array: Uint8Array) => number} */
const lengthOf = getterOf(TypedArray.prototype, 'length')
const [arrayBuffer, arrayOffset, arrayLength] =
  ['buffer', 'byteOffset', 'byteLength'].map((name) => getterOf(TypedArray.prototype, name))
const [viewBuffer, viewOffset, viewLength] =
  ['buffer', 'byteOffset', 'byteLength'].map((name) => getterOf(DataView.prototype, name))

/**
 * @param {object} value an ArrayBuffer or a view
 * @returns {Uint8Array}
 */
function bytesOf (value) {
  if (types.isUint8Array(value) && lengthOf(value) > 0) return value
  try {
    if (types.isAnyArrayBuffer(value)) return new Uint8Array(value)
    return types.isDataView(value)
      ? new Uint8Array(viewBuffer(value), viewOffset(value), viewLength(value))
      : new Uint8Array(arrayBuffer(value), arrayOffset(value), arrayLength(value))
  } catch {
    throw new Fault('can\'t be a detached buffer')
  }
}

/* ---- Reading: strictly what is written above. Nothing here runs a user's code, so that one cursor does. ---- */

/** @type {Buffer} */
let input = scratch
let cursor = 0
let inputEnd = 0

/**
 * Decodes the key that the bytes of `buffer` from `offset` to `end` are.
 *
 * @param {Uint8Array} buffer
 * @param {number} [offset]
 * @param {number} [end]
 * @returns {Key}
 */
function decodeKey (buffer, offset = 0, end = buffer.length) {
  const { value, next } = readKey(buffer, offset, end)
  if (next !== end) throw toFlowDBError(notAKey())
  return value
}

/**
 * Decodes the key that starts at `offset`; other bytes may follow it.
 *
 * @param {Uint8Array} buffer
 * @param {number} [offset]
 * @param {number} [end]
 * @returns {{ value: Key, next: number }}
 */
function readKey (buffer, offset = 0, end = buffer.length) {
  input = Buffer.isBuffer(buffer) ? buffer : Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  cursor = offset
  inputEnd = Math.min(end, input.length)
  try {
    const value = readValue(0)
    if (cursor - offset > KEY_BYTES_MAX) throw notAKey()
    return { value, next: cursor }
  } catch (error) {
    throw toFlowDBError(error)
  } finally {
    input = scratch
  }
}

function readByte () {
  if (cursor >= inputEnd) throw notAKey()
  return input[cursor++]
}

/**
 * @param {number} depth
 * @returns {Key}
 */
function readValue (depth) {
  switch (readByte()) {
    case NULL: return null
    case FALSE: return false
    case TRUE: return true
    case NUMBER: return readNumber()
    case DATE: return readDate()
    case STRING: return readString()
    case BINARY: return readBinary()
    case ARRAY: return readArray(depth)
    default: throw notAKey()
  }
}

/**
 * @param {number} depth
 * @returns {Key[]}
 */
function readArray (depth) {
  if (depth === ARRAY_DEPTH_MAX) throw notAKey()
  const elements = []
  while (cursor < inputEnd && input[cursor] !== ARRAY_END) elements.push(readValue(depth + 1))
  readByte()
  return elements
}

function readNumber () {
  const value = readBits()
  if (bitsClass === CLASS_NUMBER) return value
  if (value !== Math.floor(value) || value === Infinity) throw notAKey()
  if (bitsClass === CLASS_ABOVE) return readRemainder(value)
  if (value === -Infinity) throw notAKey()
  return BigInt(value)
}

function readDate () {
  const ms = readBits()
  if (bitsClass !== CLASS_NUMBER || ms !== Math.trunc(ms) || Math.abs(ms) > DATE_MS_MAX) throw notAKey()
  return new Date(ms)
}

/**
 * Reads the remainder of a bigint and gives the bigint.
 *
 * @param {number} floor
 */
function readRemainder (floor) {
  const flip = floor === -Infinity ? 0xff : 0
  const length = (readByte() ^ flip) << 8 | readByte() ^ flip
  if (length === 0 || length > BIGINT_BYTES_MAX || cursor + length > inputEnd) throw notAKey()
  const bytes = Buffer.allocUnsafe(length)
  for (let index = 0; index < length; index++) bytes[index] = input[cursor++] ^ flip
  const remainder = BigInt(`0x${bytes.toString('hex')}`)
  const value = floor === -Infinity ? -remainder : BigInt(floor) + remainder
  if (bytes[0] === 0 || value >= BIGINT_LIMIT || floorOf(value) !== floor) throw notAKey()
  return value
}

/** The class of what `readBits` read last. */
let bitsClass = CLASS_NUMBER

function readBits () {
  let high = 0
  let low = 0
  let tail = 0
  for (let shift = 25; ; shift -= 7) {
    const byte = readByte()
    const group = byte >>> 1
    if (shift >= 0) {
      high |= group << shift
    } else if (shift >= -31) {
      if (shift === -3) high |= group >>> 3
      low |= group << shift + 32
    } else {
      low |= group >>> 6
      tail = group & 0x3f
    }
    if ((byte & 1) === 0) {
      if (byte === 0) throw notAKey()
      break
    }
    if (shift < -31) throw notAKey()
  }
  bitsClass = tail >>> 4
  if ((tail & 0xf) !== 0 || bitsClass > CLASS_ABOVE) throw notAKey()
  float.setInt32(0, high < 0 ? high ^ 0x80000000 : ~high)
  float.setInt32(4, high < 0 ? low : ~low)
  const value = float.getFloat64(0)
  if (value !== value || Object.is(value, -0)) throw notAKey()
  return value
}

function readString () {
  const bytes = input
  const start = cursor
  let end = start
  while (end < inputEnd && bytes[end] > 1 && bytes[end] < 0x80) end++
  if (end === inputEnd || bytes[end] !== 0) return readUnits()
  cursor = end + 1
  return bytes.toString('latin1', start, end)
}

/** Reads a string that is not all ASCII. */
function readUnits () {
  const units = []
  for (let byte = readByte(); byte !== 0; byte = readByte()) {
    if (byte === 1) {
      const escaped = readByte()
      if (escaped < 1 || escaped > 2) throw notAKey()
      units.push(escaped - 1)
    } else if (byte < 0x80) {
      units.push(byte)
    } else if (byte >= 0xc2 && byte < 0xe0) {
      units.push((byte & 0x1f) << 6 | readContinuation())
    } else {
      const unit = (byte & 0x0f) << 12 | readContinuation() << 6 | readContinuation()
      if (byte < 0xe0 || byte > 0xef || unit < 0x800) throw notAKey()
      units.push(unit)
    }
    if (units.length > KEY_BYTES_MAX) throw notAKey()
  }
  return String.fromCharCode.apply(null, units)
}

function readContinuation () {
  const byte = readByte()
  if (byte >>> 6 !== 0b10) throw notAKey()
  return byte & 0x3f
}

function readBinary () {
  const start = cursor
  let length = 0
  for (;; length++) {
    if (readByte() !== 0) continue
    const next = readByte()
    if (next === 0) break
    if (next !== 0xff) throw notAKey()
  }
  const bytes = new Uint8Array(length)
  for (let index = 0, from = start; index < length; index++) {
    bytes[index] = input[from]
    from += input[from] === 0 ? 2 : 1
  }
  return bytes
}

/**
 * Compares two keys by value: negative when `a` comes first, positive when `b` does, 0 when they are the same key.
 *
 * @param {unknown} a
 * @param {unknown} b
 * @returns {number}
 */
function compareKeys (a, b) {
  if (typeof a === 'number' && typeof b === 'number') {
    if (a < b) return -1
    if (a > b) return 1
    if (a === b) return 0
  }
  return Buffer.compare(encodeKey(a), encodeKey(b))
}

exports.ARRAY_DEPTH_MAX = ARRAY_DEPTH_MAX
exports.KEY_BYTES_MAX = KEY_BYTES_MAX
exports.compareKeys = compareKeys
exports.decodeKey = decodeKey
exports.encodeKey = encodeKey
exports.plainKey = plainKey
exports.readKey = readKey
exports.writeKey = writeKey
