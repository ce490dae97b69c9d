'use strict'

/* Keys of keyspaces and ranges of them: bytes, or text in the place of its UTF-8; in the order of the bytes. */

const { types } = require('node:util')
const { FlowDBError } = require('./errors.js')
const { invalid, kindOf } = require('./names.js')

/**
 * Inclusive bounds count where both kinds are given.
 *
 * @typedef {{ gt?: Bytes, gte?: Bytes, lt?: Bytes, lte?: Bytes }} ByteRange
 * @typedef {Uint8Array | string} Bytes
 */

/** The classes whose `length` is the number of bytes, whoever has made the object. @type {Set<unknown>} */
const PLAIN = new Set([Buffer.prototype, Uint8Array.prototype])

/**
 * The bytes that an argument is, if it is bytes or text.
 *
 * @param {unknown} value
 * @returns {Bytes | undefined}
 */
function bytesOf (value) {
  if (typeof value === 'string') return value
  if (!types.isUint8Array(value)) return ArrayBuffer.isView(value) ? memoryOf(value) : undefined
  // One of a class of a user's may say anything of itself, and so may one with a length of its own.
  const bytes = PLAIN.has(Object.getPrototypeOf(value)) && !Object.hasOwn(value, 'length') ? value : new Uint8Array(value)
  // One without bytes may have lost them.
  return bytes.length > 0 ? bytes : memoryOf(value)
}

/**
 * The bytes of a view whose elements are other things, as they are in memory.
 *
 * @param {ArrayBufferView} view
 * @returns {Uint8Array | undefined} `undefined` where its buffer is not there any more
 */
function memoryOf (view) {
  const [bufferOf, startOf, lengthOf] = types.isDataView(view) ? PLACE_OF_DATA_VIEW : PLACE_OF_TYPED_ARRAY
  try {
    return new Uint8Array(bufferOf.call(view), startOf.call(view), lengthOf.call(view))
  } catch {
    return undefined
  }
}

/**
 * Where a view lies, whatever properties a user has given to the object.
 *
 * @param {object} prototype
 * @returns {((this: ArrayBufferView) => any)[]}
 */
function placeOf (prototype) {
  const getter = (/** @type {string} */ name) => Object.getOwnPropertyDescriptor(prototype, name)?.get
  return /** @type {any} */ (['buffer', 'byteOffset', 'byteLength'].map(getter))
}

const PLACE_OF_DATA_VIEW = placeOf(DataView.prototype)
const PLACE_OF_TYPED_ARRAY = placeOf(Object.getPrototypeOf(Uint8Array.prototype))

/**
 * @param {unknown} key
 * @returns {Bytes}
 */
function checkBytesKey (key) {
  const bytes = bytesOf(key)
  if (bytes !== undefined) return bytes
  throw new FlowDBError('FLOWDB_INVALID_KEY', `a key in a keyspace is bytes or text, not ${kindOf(key)}`)
}

/**
 * @param {unknown} value
 * @returns {Bytes}
 */
function checkBytesValue (value) {
  const bytes = bytesOf(value)
  if (bytes !== undefined) return bytes
  throw new FlowDBError('FLOWDB_INVALID_VALUE', `a value in a keyspace is bytes or text, not ${kindOf(value)}`)
}

/**
 * The bounds among the properties of an object, each read once.
 *
 * @param {any} options
 * @returns {ByteRange}
 */
function toByteRange (options) {
  if (options === undefined) return {}
  if (typeof options !== 'object' || options === null) {
    throw invalid(`a range of a keyspace is an object with gt, gte, lt and lte, not ${kindOf(options)}`)
  }
  const { gt, gte, lt, lte } = options
  const checked = (/** @type {unknown} */ bound) => bound === undefined ? undefined : checkBytesKey(bound)
  return { gt: checked(gt), gte: checked(gte), lt: checked(lt), lte: checked(lte) }
}

/**
 * @param {Bytes} bytes
 * @returns {Uint8Array}
 */
const asBytes = (bytes) => typeof bytes === 'string' ? Buffer.from(bytes) : bytes

/**
 * The same, which nobody else can change.
 *
 * @param {Bytes} bytes
 * @returns {Bytes}
 */
const copied = (bytes) => typeof bytes === 'string' ? bytes : Buffer.from(bytes)

/**
 * Whether a key lies in a range.
 *
 * @param {ByteRange} range
 * @param {Bytes} key
 */
function isWithin ({ gt, gte, lt, lte }, key) {
  const bytes = asBytes(key)
  const to = (/** @type {Bytes} */ bound) => Buffer.compare(bytes, asBytes(bound))
  if (gte !== undefined ? to(gte) < 0 : gt !== undefined && to(gt) <= 0) return false
  return !(lte !== undefined ? to(lte) > 0 : lt !== undefined && to(lt) >= 0)
}

/**
 * What is left of a range from a key on, in the direction of travel. Keys that are given are not changed later by
 * whoever gave them.
 *
 * @param {ByteRange} range
 * @param {boolean} reverse
 * @param {Bytes} key
 * @param {boolean} isIncluded
 * @returns {ByteRange}
 */
function fromOn ({ gt, gte, lt, lte }, reverse, key, isIncluded) {
  if (reverse) return isIncluded ? { gt, gte, lte: key } : { gt, gte, lt: key }
  return isIncluded ? { gte: key, lt, lte } : { gt: key, lt, lte }
}

exports.checkBytesKey = checkBytesKey
exports.checkBytesValue = checkBytesValue
exports.copied = copied
exports.fromOn = fromOn
exports.isWithin = isWithin
exports.toByteRange = toByteRange
