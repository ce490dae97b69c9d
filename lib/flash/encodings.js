'use strict'

/*
 * How values are written: `valueEncoding`.
 *
 * What is stored says itself how it is to be read, so whatever encoding wrote a value, every store reads it. An
 * encoding takes a value only where that comes back as it went in; what else it is given, it refuses.
 */

const { types } = require('node:util')
const { FlowDBError } = require('../errors.js')
const { bytesOf, lengthOf } = require('../key-intrinsics.js')
const { invalid, kindOf } = require('../names.js')
const { FORMAT } = require('../packing.js')
const { encodeJson, encodeStructured, encodeValue } = require('../values.js')

/**
 * @param {unknown} value
 * @returns {import('../values.js').Encoded}
 */
function encodeText (value) {
  if (typeof value !== 'string') throw refused('utf8', 'a string', value)
  // UTF-8 has no bytes for half a pair: another text would come back.
  if (/\p{Surrogate}/u.test(value)) throw refused('utf8', 'a string without half a surrogate pair', value)
  return { format: FORMAT.TEXT, text: value }
}

/**
 * @param {unknown} value
 * @returns {import('../values.js').Encoded}
 */
function encodeBytes (value) {
  if (!types.isUint8Array(value)) throw refused('binary', 'a Buffer or another Uint8Array', value)
  try {
    const bytes = bytesOf(value)
    // A length of the user's own would be believed by whoever packs it.
    return { format: FORMAT.RAW, bytes: bytes.length === lengthOf(bytes) ? bytes : new Uint8Array(bytes) }
  } catch {
    throw new FlowDBError('FLOWDB_INVALID_VALUE', 'a value of valueEncoding "binary" can\'t be a detached buffer')
  }
}

/**
 * @param {string} encoding
 * @param {string} wanted
 * @param {unknown} value
 */
function refused (encoding, wanted, value) {
  return new FlowDBError('FLOWDB_INVALID_VALUE', `a value of valueEncoding "${encoding}" is ${wanted}, not ${kindOf(value)}`)
}

/** @type {Record<string, import('./place.js').Encode>} */
const ENCODINGS = {
  auto: encodeValue,
  json: encodeJson,
  structured: encodeStructured,
  utf8: encodeText,
  binary: encodeBytes
}

/**
 * @param {unknown} name
 * @returns {import('./place.js').Encode}
 */
function encodingOf (name) {
  if (typeof name === 'string' && Object.hasOwn(ENCODINGS, name)) return ENCODINGS[name]
  const known = Object.keys(ENCODINGS).map((known) => `"${known}"`).join(', ')
  throw invalid(`valueEncoding is one of ${known}, not ${kindOf(name)}`)
}

exports.encodingOf = encodingOf
