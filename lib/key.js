'use strict'

/*
 * Keys of documents and indexes as bytes that sort as the values do: null < false < true < numbers and bigints by
 * value < dates < strings by UTF-16 code unit < binary < arrays. `src/jsondb/key.rs` writes the same bytes;
 * docs/format/keys.md describes them, and tests/golden/keys.json holds both to that.
 */

const { ARRAY_DEPTH_MAX, KEY_BYTES_MAX } = require('./key-format.js')
const { decodeKey, readKey } = require('./key-read.js')
const { encodeKey, plainKey, writeKey } = require('./key-write.js')

/** @typedef {import('./key-read.js').Key} Key a key as it is decoded */

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
