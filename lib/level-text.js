'use strict'

/*
 * Keys and values of `flowdb/level` that are texts.
 *
 * Invariant: a text comes back as it was given. One with half a surrogate pair in it has no bytes in UTF-8, and those
 * of another text in its place would find that one, or write over it: it is refused.
 */

const { FlowDBError } = require('./errors.js')
const { toLevelError } = require('./level-errors.js')

/**
 * @template T
 * @param {T} key
 * @returns {T}
 */
const checkedKey = (key) => checked('FLOWDB_INVALID_KEY', 'a key', key)

/**
 * The bounds of a range, which are keys.
 *
 * @param {{ gt?: any, gte?: any, lt?: any, lte?: any }} range
 */
function checkedRange ({ gt, gte, lt, lte }) {
  return { gt: checkedKey(gt), gte: checkedKey(gte), lt: checkedKey(lt), lte: checkedKey(lte) }
}

/**
 * @template T
 * @param {T} value
 * @returns {T}
 */
const checkedValue = (value) => checked('FLOWDB_INVALID_VALUE', 'a value', value)

/**
 * @template T
 * @param {string} code
 * @param {string} what
 * @param {T} text or bytes, which are as they should be
 * @returns {T}
 */
function checked (code, what, text) {
  if (typeof text !== 'string' || /** @type {any} */ (text).isWellFormed()) return text
  const message = `${what} can't have half a surrogate pair in it: choose another encoding, such as json or buffer`
  throw toLevelError(new FlowDBError(code, message))
}

exports.checkedKey = checkedKey
exports.checkedRange = checkedRange
exports.checkedValue = checkedValue
