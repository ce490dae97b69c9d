'use strict'

/*
 * Writing keys.
 *
 * Invariant: no code of a user's runs while bytes are written. Only the elements of an array can run any (getters,
 * proxies), and `plainKey` reads them all first.
 */

const { types } = require('node:util')
const {
  ARRAY, ARRAY_DEPTH_MAX, ARRAY_END, BIGINT_LIMIT, BINARY, CLASS_ABOVE, CLASS_NUMBER, CLASS_WHOLE, DATE,
  FALSE, KEY_BYTES_MAX, NULL, NUMBER, STRING, TRUE, Fault, float, floorOf, isFault, toFlowDBError, tooDeep, tooLong
} = require('./key-format.js')
const { bytesOf, lengthOf, timeOf } = require('./key-intrinsics.js')

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
      if (isFault(error)) error.path.unshift(index)
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

exports.encodeKey = encodeKey
exports.plainKey = plainKey
exports.writeKey = writeKey
