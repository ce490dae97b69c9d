'use strict'

/* What is written to keyspaces and asked of many keys: checked, so that nothing of a user's runs while it is packed. */

const { checkBytesKey, checkBytesValue, toByteRange } = require('./keyspace-range.js')
const { eachOf, invalid, kindOf } = require('./names.js')

/** What a change of a batch is; the numbers that `src/binding/keyspace_packing.rs` knows. */
const CHANGE = Object.freeze({ DELETE: 0, PUT: 1, PUT_EXPIRING: 2, CLEAR: 3 })

/** The most that a batch takes. The engine takes more than twice as much, and text may have three bytes a character. */
const BATCH_BYTES_MAX = 320 * 1024 * 1024

/** What a change takes beside its key and value. */
const CHANGE_BYTES = 100

/** @type {ByteRange} */
const NO_RANGE = {}

/**
 * @typedef {import('./keyspace-range.js').Bytes} Bytes
 * @typedef {import('./keyspace-range.js').ByteRange} ByteRange
 * @typedef {{ kind: number, key: Bytes, value: Bytes, expiresAt: number, range: ByteRange }} Change
 */

/**
 * @param {unknown} keys
 * @returns {Bytes[]}
 */
function checkKeys (keys) {
  const checked = eachOf('an array of keys', keys, checkBytesKey)
  if (checked === undefined) throw invalid(`many keys are an array, not ${kindOf(keys)}`)
  return checked
}

/**
 * @param {import('./run.js').Run} run
 * @param {readonly Bytes[]} keys
 */
function packKeys (run, keys) {
  run.u32(keys.length)
  for (const key of keys) run.bytesOf(key)
}

/**
 * @param {unknown} changes
 * @returns {Change[]}
 */
function checkChanges (changes) {
  const checked = eachOf('an array of changes', changes, toChange)
  if (checked === undefined) throw invalid(`batch takes an array of changes, not ${kindOf(changes)}`)
  checkSize(checked)
  return checked
}

/**
 * Refuses what the engine could not take whole: once it has begun to take a batch, nothing about that may fail.
 *
 * @param {readonly Change[]} changes
 */
function checkSize (changes) {
  let bytes = 0
  for (const { key, value } of changes) bytes += key.length + value.length + CHANGE_BYTES
  if (bytes <= BATCH_BYTES_MAX) return
  throw invalid(`a batch takes at most ${BATCH_BYTES_MAX} bytes of keys and values, and ${CHANGE_BYTES} for each change`)
}

/**
 * @param {any} change
 * @returns {Change}
 */
function toChange (change) {
  if (typeof change !== 'object' || change === null) throw invalid(`a change is an object, not ${kindOf(change)}`)
  const { type, key, value, expiresAt } = change
  if (type === 'clear') return { kind: CHANGE.CLEAR, key: '', value: '', expiresAt: 0, range: toByteRange(change) }
  if (type !== 'put' && type !== 'del') throw invalid(`the type of a change is put, del or clear, not ${kindOf(type)}`)
  const ownKey = checkBytesKey(key)
  if (type === 'del') return { kind: CHANGE.DELETE, key: ownKey, value: '', expiresAt: 0, range: NO_RANGE }
  const ownValue = checkBytesValue(value)
  const expires = expiresAt !== undefined && expiresAt !== Infinity
  if (expires && !(Number.isSafeInteger(expiresAt) && expiresAt >= 0)) {
    throw invalid(`expiresAt of a put is whole milliseconds since 1970, not ${kindOf(expiresAt)}`)
  }
  const kind = expires ? CHANGE.PUT_EXPIRING : CHANGE.PUT
  return { kind, key: ownKey, value: ownValue, expiresAt: expires ? expiresAt : 0, range: NO_RANGE }
}

/**
 * @param {import('./run.js').Run} run
 * @param {readonly Change[]} changes
 */
function packChanges (run, changes) {
  run.u32(changes.length)
  for (const change of changes) packChange(run, change)
}

/**
 * @param {import('./run.js').Run} run
 * @param {Change} change
 */
function packChange (run, { kind, key, value, expiresAt, range }) {
  run.u8(kind)
  if (kind === CHANGE.CLEAR) return run.byteRange(range)
  if (kind === CHANGE.PUT_EXPIRING) run.i64(expiresAt)
  run.bytesOf(key)
  if (kind !== CHANGE.DELETE) run.bytesOf(value)
}

exports.checkChanges = checkChanges
exports.checkKeys = checkKeys
exports.packChanges = packChanges
exports.packKeys = packKeys
