'use strict'

/*
 * The options of writes: conditions on what is there, and when a document expires.
 *
 * Spans are seconds, as everywhere here; moments are Dates or milliseconds since 1970, as `Date.now()` gives them.
 */

const { types } = require('node:util')
const { timeOf } = require('./key-intrinsics.js')
const { checkOptions, invalid, isPlain, kindOf } = require('./names.js')
const { reading } = require('./errors.js')

/** The longest span, in seconds. */
const SECONDS_MAX = 100_000_000_000

const MS_PER_SECOND = 1000

/** How an expiry is packed; the numbers that `src/binding/versions.rs` knows. */
const EXPIRES = Object.freeze({ DEFAULT: 0, NEVER: 1, AT: 2, AFTER: 3 })

const IF_ABSENT = 1
const IF_VERSION = 2

/** The durability of one write stands in the flags so many bits up. */
const DURABILITY_SHIFT = 2
/** @type {Record<string, number>} */
const DURABILITIES = { strict: 1, relaxed: 2, none: 3 }

const OPTIONS = /** @type {const} */ ({ ttl: 'any', expiresAt: 'any', ifVersion: 'any', ifAbsent: 'boolean' })

/** @typedef {{ kind: number, ms: number }} Expiry */

/** @typedef {Expiry & { flags: number, version: number }} WriteOptions */

/**
 * Whether a third argument of `put` can only be options, because no key is a plain object.
 *
 * @param {unknown} value
 * @returns {boolean}
 */
function isOptions (value) {
  if (typeof value !== 'object' || value === null) return false
  return reading('FLOWDB_INVALID_KEY', 'a key', () => isPlain(value))
}

/**
 * @param {'put' | 'add' | 'set'} where
 * @param {unknown} options
 * @param {boolean} [isAlone] whether it is a commit of its own, and so can have a durability of its own
 * @returns {WriteOptions}
 */
function toWriteOptions (where, options, isAlone = false) {
  /** @type {Record<string, any>} */
  const asked = checkOptions(where, options, isAlone ? { ...OPTIONS, durability: 'any' } : OPTIONS)
  const { ifVersion, ifAbsent = where === 'add' } = asked
  if (where === 'add' && (ifVersion !== undefined || !ifAbsent)) {
    throw invalid('add stores a document only where none has its key, so it takes no other condition')
  }
  if (ifVersion !== undefined && ifAbsent) throw invalid(`${where} takes ifVersion or ifAbsent, not both`)
  if (ifVersion !== undefined && (!Number.isSafeInteger(ifVersion) || ifVersion < 0)) {
    throw invalid(`ifVersion of ${where} is a version, or 0 for none, not ${kindOf(ifVersion)}`)
  }
  const conditions = (ifAbsent ? IF_ABSENT : 0) | (ifVersion === undefined ? 0 : IF_VERSION)
  const flags = conditions | toDurability(where, asked.durability) << DURABILITY_SHIFT
  return { ...toExpiry(where, asked), flags, version: ifVersion ?? 0 }
}

/**
 * @param {string} where
 * @param {unknown} durability
 * @returns {number} 0 where it is that of the database
 */
function toDurability (where, durability) {
  if (durability === undefined) return 0
  if (typeof durability === 'string' && Object.hasOwn(DURABILITIES, durability)) return DURABILITIES[durability]
  throw invalid(`durability of ${where} is "strict", "relaxed" or "none", not ${kindOf(durability)}`)
}

/**
 * @param {import('./run.js').Run} run
 * @param {WriteOptions} options
 */
function packWriteOptions (run, { flags, version, kind, ms }) {
  run.u8(flags).i64(version).u8(kind).i64(ms)
}

/**
 * The options of a write that has no conditions of its own.
 *
 * @param {string} where
 * @param {unknown} options
 * @param {boolean} [ifAbsent] whether it is made only where nothing is there
 * @returns {WriteOptions}
 */
function toExpiryOptions (where, options, ifAbsent = false) {
  const asked = checkOptions(where, options, { ttl: 'any', expiresAt: 'any' })
  return { ...toExpiry(where, asked), flags: ifAbsent ? IF_ABSENT : 0, version: 0 }
}

/**
 * @param {unknown} options
 * @param {string} [where]
 * @returns {Expiry}
 */
function toTouch (options, where = 'touch') {
  const asked = checkOptions(where, options, { ttl: 'any', expiresAt: 'any' })
  const expiry = toExpiry(where, asked)
  if (expiry.kind === EXPIRES.DEFAULT) throw invalid(`${where} takes ttl or expiresAt`)
  return expiry
}

/**
 * @param {string} where
 * @param {Record<string, any>} asked
 * @returns {Expiry}
 */
function toExpiry (where, { ttl, expiresAt }) {
  if (ttl !== undefined && expiresAt !== undefined) throw invalid(`${where} takes ttl or expiresAt, not both`)
  if (ttl !== undefined) return { kind: EXPIRES.AFTER, ms: toSpan(`ttl of ${where}`, ttl) }
  if (expiresAt === undefined) return { kind: EXPIRES.DEFAULT, ms: 0 }
  if (expiresAt === null) return { kind: EXPIRES.NEVER, ms: 0 }
  const ms = types.isDate(expiresAt) ? timeOf(expiresAt) : expiresAt
  if (!Number.isSafeInteger(ms)) {
    const what = 'a Date, whole milliseconds since 1970, or null for never'
    throw invalid(`expiresAt of ${where} is ${what}, not ${kindOf(expiresAt)}`)
  }
  return { kind: EXPIRES.AT, ms: Math.max(ms, 0) }
}

/**
 * @param {string} what for messages
 * @param {unknown} seconds
 * @returns {number} in milliseconds
 */
function toSpan (what, seconds) {
  if (typeof seconds !== 'number' || !(seconds > 0 && seconds <= SECONDS_MAX)) {
    throw invalid(`${what} is a number of seconds above 0 and at most ${SECONDS_MAX}, not ${kindOf(seconds)}`)
  }
  return Math.ceil(seconds * MS_PER_SECOND)
}

exports.isOptions = isOptions
exports.packWriteOptions = packWriteOptions
exports.toExpiryOptions = toExpiryOptions
exports.toSpan = toSpan
exports.toDurability = toDurability
exports.toTouch = toTouch
exports.toWriteOptions = toWriteOptions
