'use strict'

/* What is stored for an entry of a FlashStoreSync: its key and its value, as one value. */

const { FlowDBError } = require('../errors.js')
const { kindOf } = require('../names.js')
const { encodeValue } = require('../values.js')

/** The text or bytes of an entry may have so many units or bytes. */
const ENTRY_SIZE_MAX = 256 * 1024 * 1024

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
  const size = encoded.text?.length ?? encoded.bytes?.length ?? 0
  if (size <= ENTRY_SIZE_MAX) return encoded
  throw new FlowDBError('FLOWDB_INVALID_VALUE', `an entry takes ${size} bytes: the most is ${ENTRY_SIZE_MAX}`)
}

exports.checkKey = checkKey
exports.encodeEntry = encodeEntry
