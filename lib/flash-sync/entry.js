'use strict'

/* What is stored for an entry of a FlashStoreSync: its key and its value, as one value. */

const { FlowDBError } = require('../errors.js')
const { kindOf } = require('../names.js')
const { encodeValue, lengthOf, utf8Length } = require('../values.js')

/** An entry may take so many bytes. Two have room in what may wait at once, so it never has to wait for itself. */
const ENTRY_BYTES_MAX = 256 * 1024 * 1024
/** A unit of UTF-16 takes so many bytes at most, where it is escaped. */
const UNIT_BYTES_MAX = 6

/** @typedef {import('../values.js').Encoded} Encoded */

/** @param {unknown} key */
function checkKey (key) {
  const isPrimitive = key === null || (typeof key !== 'object' && typeof key !== 'function' && typeof key !== 'symbol')
  if (isPrimitive) return
  throw new FlowDBError('FLOWDB_INVALID_KEY', `a key of a FlashStoreSync is a primitive and no symbol, not ${kindOf(key)}`)
}

/**
 * @param {unknown} key
 * @param {unknown} value
 * @returns {Encoded}
 */
function encodeEntry (key, value) {
  const encoded = encodeValue([key, value])
  const size = bytesOf(encoded)
  if (size <= ENTRY_BYTES_MAX) return encoded
  throw new FlowDBError('FLOWDB_INVALID_VALUE', `an entry takes ${size} bytes: the most is ${ENTRY_BYTES_MAX}`)
}

/**
 * How many bytes a value takes; where it is small, no fewer than it takes, because they are not counted then.
 *
 * @param {Encoded} encoded
 */
function bytesOf (encoded) {
  if (encoded.bytes !== undefined) return encoded.bytes.length
  const most = lengthOf(encoded) * UNIT_BYTES_MAX
  return most <= ENTRY_BYTES_MAX ? most : utf8Length(encoded)
}

exports.checkKey = checkKey
exports.encodeEntry = encodeEntry
