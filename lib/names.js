'use strict'

/* Names of stores and indexes, and key paths, as arguments: checked here, once for all facades. */

const { FlowDBError, cut, reading } = require('./errors.js')

/** So many names are remembered as bytes; a program that uses more has them encoded again. */
const REMEMBERED_MAX = 1000

/** The longest name, in bytes of UTF-8. */
const NAME_BYTES_MAX = 255

/** Bigints below this are shown. */
const BIGINT_SHOWN_MAX = 10n ** 40n

/** @type {Map<string, Uint8Array>} */
const remembered = new Map()

/**
 * Checks a name and gives its bytes. Whether such a store, index or series exists is for the database to say.
 *
 * @param {'store' | 'index' | 'series' | 'keyspace'} what
 * @param {unknown} name
 * @returns {Uint8Array}
 */
function nameBytes (what, name) {
  const known = remembered.get(/** @type {string} */ (name))
  if (known !== undefined) return known
  const bytes = Buffer.from(checkName(what, name))
  if (remembered.size >= REMEMBERED_MAX) remembered.clear()
  remembered.set(/** @type {string} */ (name), bytes)
  return bytes
}

/**
 * @param {'store' | 'index' | 'series' | 'keyspace'} what
 * @param {unknown} name
 * @returns {string}
 */
function checkName (what, name) {
  if (typeof name !== 'string') throw invalid(`the name of ${article(what)} is a string, not ${kindOf(name)}`)
  if (name === '') throw invalid(`the name of ${article(what)} can't be empty`)
  if (name.includes('\0')) throw invalid(`the name of ${article(what)} can't have a NUL in it`)
  // Refused here, so that no message and no cache holds megabytes of it.
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw invalid(`the name of ${article(what)} has at most ${NAME_BYTES_MAX} bytes, not ${Buffer.byteLength(name)}`)
  }
  return checkText(`the name of ${article(what)}`, name)
}

/**
 * @param {unknown} keyPath
 * @returns {string | string[]}
 */
function checkKeyPath (keyPath) {
  if (typeof keyPath === 'string') return checkPath(keyPath)
  // The first that is none ends it: an array of any length with nothing in it is not copied.
  const paths = eachOf('a key path', keyPath, checkPath)
  if (paths === undefined || paths.length === 0) throw invalidPath()
  return paths
}

/**
 * What `check` makes of every element of an array, or `undefined` where it is none. The elements are read once.
 *
 * @template T
 * @param {string} what for messages
 * @param {unknown} array
 * @param {(element: unknown) => T} check
 * @returns {T[] | undefined}
 */
function eachOf (what, array, check) {
  return reading('FLOWDB_INVALID_ARGUMENT', what, () => {
    if (!Array.isArray(array)) return undefined
    const checked = []
    for (const element of array) checked.push(check(element))
    return checked
  })
}

/**
 * @param {unknown} path
 * @returns {string}
 */
function checkPath (path) {
  if (typeof path !== 'string') throw invalidPath()
  // No property that JSON holds can have such a name and keep it.
  return checkText('a key path', path)
}

/**
 * Refuses half a surrogate pair, which bytes can't hold: two texts would be one.
 *
 * @param {string} what for messages
 * @param {string} text
 * @returns {string}
 */
function checkText (what, text) {
  // Among code points there are only halves. A \p would take longer, at its first use, than all else that is checked
  // at an opening.
  if (/[\ud800-\udfff]/u.test(text)) throw invalid(`${what} can't have half a surrogate pair in it`)
  return text
}

const invalidPath = () => invalid('a key path is a string with dots, or an array of at least one of them')

/**
 * Checks that an options object has no property but those that are known, each of its type.
 *
 * @param {string} where
 * @param {unknown} options
 * @param {Record<string, 'boolean' | 'count' | 'keyPath' | 'any'>} known
 * @returns {Record<string, any>}
 */
function checkOptions (where, options, known) {
  // It inherits nothing: what somebody has put into Object.prototype is no option.
  /** @type {Record<string, any>} */
  const checked = Object.create(null)
  if (options === undefined) return checked
  for (const [name, value] of entriesOf(where, options)) {
    const type = Object.hasOwn(known, name) ? known[name] : undefined
    if (type === undefined) throw invalid(`${where} has no option ${JSON.stringify(cut(name))}`)
    if (value === undefined) continue
    if (type === 'boolean' && typeof value !== 'boolean') throw wrongType(where, name, 'true or false', value)
    if (type === 'count') checkCount(where, name, value)
    checked[name] = type === 'keyPath' && value !== null ? checkKeyPath(value) : value
  }
  return checked
}

/**
 * The names and values of options, each of which is read once.
 *
 * Only a plain object has them: a date, a map or a promise has none of its own, and taken for an object without
 * options it would mean everything where something was meant.
 *
 * @param {string} where
 * @param {unknown} options
 * @returns {Array<[string, any]>}
 */
function entriesOf (where, options) {
  const entries = reading('FLOWDB_INVALID_ARGUMENT', `the options of ${where}`, () => {
    return isPlain(options) ? Object.entries(/** @type {object} */ (options)) : undefined
  })
  if (entries === undefined) throw invalid(`the options of ${where} are a plain object, not ${kindOf(options)}`)
  return entries
}

/** @param {unknown} value */
function isPlain (value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = Object.getPrototypeOf(value)
  if (prototype === null) return true
  // The objects of other contexts have an `Object.prototype` of their own.
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

/**
 * @param {string} where
 * @param {string} name
 * @param {unknown} value
 * @returns {number}
 */
function checkCount (where, name, value) {
  const isCount = typeof value === 'number' && ((Number.isSafeInteger(value) && value >= 0) || value === Infinity)
  if (!isCount) throw wrongType(where, name, 'a whole number from 0', value)
  return value
}

/**
 * @param {string} where
 * @param {string} name
 * @param {string} wanted
 * @param {unknown} value
 */
function wrongType (where, name, wanted, value) {
  return invalid(`${name} of ${where} is ${wanted}, not ${kindOf(value)}`)
}

/**
 * What ends a call before it is done, or nothing.
 *
 * @param {string} where
 * @param {unknown} signal
 * @returns {AbortSignal | undefined}
 */
function checkSignal (where, signal) {
  if (signal === undefined) return undefined
  if (!isSignal(signal)) throw invalid(`signal of ${where} is an AbortSignal, not ${kindOf(signal)}`)
  return signal
}

/**
 * Whether it can be asked like a signal: what only inherits from that class, or a proxy, can't.
 *
 * @param {unknown} value
 * @returns {value is AbortSignal}
 */
function isSignal (value) {
  try {
    return value instanceof AbortSignal && typeof value.aborted === 'boolean'
  } catch {
    return false
  }
}

/**
 * What a value is, for messages: short, whatever it is.
 *
 * @param {unknown} value
 */
function kindOf (value) {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return `the number ${value}`
  if (typeof value === 'bigint') return isShown(value) ? `the bigint ${value}` : 'a bigint of many digits'
  if (typeof value === 'string') return JSON.stringify(cut(value))
  if (typeof value !== 'object') return `a ${typeof value}`
  try {
    return Array.isArray(value) ? 'an array' : 'an object'
  } catch {
    return 'a revoked proxy'
  }
}

/**
 * Whether a bigint is worth writing out, which takes time with the square of its digits.
 *
 * @param {bigint} value
 */
const isShown = (value) => value < BIGINT_SHOWN_MAX && value > -BIGINT_SHOWN_MAX

/** @param {string} what */
const article = (what) => what === 'index' ? 'an index' : `a ${what}`

/** @param {string} message */
const invalid = (message) => new FlowDBError('FLOWDB_INVALID_ARGUMENT', message)

exports.checkCount = checkCount
exports.checkKeyPath = checkKeyPath
exports.checkName = checkName
exports.checkOptions = checkOptions
exports.checkPath = checkPath
exports.checkSignal = checkSignal
exports.checkText = checkText
exports.eachOf = eachOf
exports.entriesOf = entriesOf
exports.invalid = invalid
exports.isPlain = isPlain
exports.kindOf = kindOf
exports.nameBytes = nameBytes
