'use strict'

/*
 * Names of namespaces, and of the object stores in which their entries lie.
 *
 * A store is named by the store that it is in, a slash, and the namespace's own name, in which whatever a store's name
 * can't have, and the slash, is escaped. So any string names a namespace, no two share a store, and what lies within
 * one is what begins with its store's name and a slash. docs/format/documents.md has the rule.
 */

const { cut } = require('../errors.js')
const { invalid, kindOf } = require('../names.js')

/** The object store that holds the entries of a FlashStore itself. */
const ROOT = 'flash'

const SEPARATOR = '/'

/** The longest name of a store, in bytes of UTF-8. */
const STORE_BYTES_MAX = 255

/** What is escaped: the sign of an escape, the separator, control characters and halves of surrogate pairs. */
const ESCAPED = /[%/\p{Cc}\p{Surrogate}]/gu

/**
 * The name of the store of a namespace.
 *
 * @param {string} parent the name of the store that it is in
 * @param {unknown} name
 * @returns {string}
 */
function storeWithin (parent, name) {
  if (typeof name !== 'string') throw invalid(`the name of a namespace is a string, not ${kindOf(name)}`)
  const store = name.length > STORE_BYTES_MAX ? undefined : `${parent}${SEPARATOR}${escape(name)}`
  if (store !== undefined && Buffer.byteLength(store) <= STORE_BYTES_MAX) return store
  const room = STORE_BYTES_MAX - Buffer.byteLength(parent) - 1
  throw invalid(`the name of the namespace ${JSON.stringify(cut(name))} is too long: here it has at most ${room} bytes, escaped`)
}

/**
 * @param {string} name
 * @returns {string}
 */
function escape (name) {
  return name.replace(ESCAPED, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * @param {string} escaped
 * @returns {string}
 */
function unescape (escaped) {
  return escaped.replace(/%([0-9a-f]{4})/g, (_escape, digits) => String.fromCharCode(parseInt(digits, 16)))
}

exports.ROOT = ROOT
exports.storeWithin = storeWithin
exports.unescape = unescape
