'use strict'

/*
 * Reading keys, strictly: what the writer doesn't write is refused. Nothing here runs a user's code, so that one
 * cursor serves all calls.
 */

const {
  ARRAY, ARRAY_DEPTH_MAX, ARRAY_END, BIGINT_BYTES_MAX, BIGINT_LIMIT, BINARY, CLASS_ABOVE, CLASS_NUMBER, DATE,
  DATE_MS_MAX, FALSE, KEY_BYTES_MAX, NULL, NUMBER, STRING, TRUE, float, floorOf, notAKey, toFlowDBError
} = require('./key-format.js')

/**
 * @typedef {null | boolean | number | bigint | Date | string | Uint8Array | Key[]} Key a key as it is decoded
 */

const NOTHING = Buffer.alloc(0)

/** @type {Buffer} */
let input = NOTHING
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
    input = NOTHING
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

exports.decodeKey = decodeKey
exports.readKey = readKey
