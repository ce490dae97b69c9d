'use strict'

/*
 * What the adapters for other packages keep in a keyspace: keys of text in two parts, and any value.
 *
 * The parts are written in the encoding of keys, which tells where each ends: whatever one of them holds, it can't be
 * taken for another, and rows with the same first part are one range that has no others in it. A value begins with a
 * byte that says how it is written.
 */

const { types } = require('node:util')
const { FlowDBError, reading } = require('./errors.js')
const { KEY_BYTES_MAX, decodeKey, encodeKey, writeKey } = require('./key.js')
const { eachOf, invalid, kindOf } = require('./names.js')
const { FORMAT } = require('./packing.js')
const { encodeStructured, readDocument } = require('./values.js')

/** A text of so few units gets room for three bytes each, the most that there can be, and is not counted first. */
const TEXT_UNITS_SHORT = 1000

/** So many rows are asked for at once. */
const PAGE_ROWS = 1000

const scratch = Buffer.allocUnsafeSlow(2 * KEY_BYTES_MAX)

/**
 * The key of a row.
 *
 * @param {unknown} group all rows with the same one are a range
 * @param {unknown} name
 * @returns {Buffer}
 */
function rowKey (group, name) {
  const end = writeKey(name, scratch, writeKey(group, scratch, 0))
  return Buffer.from(scratch.subarray(0, end))
}

/**
 * The name of a row, of which the bytes of its group are known.
 *
 * @param {Buffer} key
 * @param {number} groupLength
 * @returns {unknown}
 */
function nameOf (key, groupLength) {
  return decodeKey(key, groupLength)
}

/**
 * What `read` makes of each element of a list. The first that is none ends it.
 *
 * @template T, Read
 * @param {string} where for messages
 * @param {T[]} list
 * @param {(element: T) => Read} read
 * @returns {Read[]}
 */
function eachIn (where, list, read) {
  const all = eachOf(`the list of ${where}`, list, (element) => read(/** @type {T} */ (element)))
  if (all === undefined) throw invalid(`${where} takes an array, not ${kindOf(list)}`)
  return all
}

/**
 * The keys of all rows of a group, or of those whose name is a text that begins like this.
 *
 * @param {unknown} group
 * @param {string} [beginning]
 * @returns {{ gte: Buffer, lt: Buffer }}
 */
function rowsOf (group, beginning) {
  // Without its last byte, which ends a text, it is what all longer ones begin with.
  const gte = beginning === undefined ? encodeKey(group) : rowKey(group, beginning).subarray(0, -1)
  const lt = Buffer.from(gte)
  // No encoding has a byte 0xff where a key can end.
  lt[lt.length - 1]++
  return { gte, lt }
}

/**
 * @param {unknown} value a text, bytes, or what structured clone knows
 * @returns {Buffer}
 */
function toBytes (value) {
  // Half a surrogate pair has no bytes in UTF-8: another text would come back.
  if (typeof value === 'string' && !/[\ud800-\udfff]/u.test(value)) return textBytes(value)
  if (types.isUint8Array(value)) return reading('FLOWDB_INVALID_VALUE', 'the bytes of a value', () => withFormat(FORMAT.RAW, value))
  return withFormat(FORMAT.STRUCTURED, /** @type {Uint8Array} */ (encodeStructured(value).bytes))
}

/** @param {string} text */
function textBytes (text) {
  const bytes = Buffer.allocUnsafe(1 + (text.length <= TEXT_UNITS_SHORT ? 3 * text.length : Buffer.byteLength(text)))
  bytes[0] = FORMAT.TEXT
  return bytes.subarray(0, 1 + bytes.write(text, 1))
}

/**
 * @param {number} format
 * @param {Uint8Array} content
 */
function withFormat (format, content) {
  const bytes = Buffer.allocUnsafe(1 + content.length)
  bytes[0] = format
  bytes.set(content, 1)
  return bytes
}

/**
 * @param {Buffer} bytes from `toBytes`
 * @returns {unknown} what has no part in `bytes`
 */
function toValue (bytes) {
  const format = bytes[0]
  if (format === FORMAT.TEXT || format === FORMAT.RAW || format === FORMAT.STRUCTURED) {
    return readDocument(format, bytes, 1, bytes.length)
  }
  throw new FlowDBError('FLOWDB_UNSUPPORTED', `a value has the format ${format}, which this version can't read`)
}

/**
 * The rows in a range, in pages, as of the moment of the call.
 *
 * @param {import('./keyspace.js').Keyspace} keyspace
 * @param {{ gte: Buffer, lt: Buffer, values?: boolean, expiries?: boolean }} range
 * @returns {AsyncGenerator<import('./keyspace-iterator.js').KeyspaceRow[]>}
 */
async function * pages (keyspace, range) {
  const iterator = keyspace.iterator(range)
  try {
    for (let page = await iterator.next(PAGE_ROWS); page.length > 0; page = await iterator.next(PAGE_ROWS)) yield page
  } finally {
    iterator.close()
  }
}

exports.PAGE_ROWS = PAGE_ROWS
exports.eachIn = eachIn
exports.nameOf = nameOf
exports.pages = pages
exports.rowKey = rowKey
exports.rowsOf = rowsOf
exports.toBytes = toBytes
exports.toValue = toValue
