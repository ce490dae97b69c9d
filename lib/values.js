'use strict'

/*
 * Documents between JavaScript and bytes.
 *
 * FlowDB keeps JSON: a document that JSON would damage is refused, with the place of the damage. FlashStore keeps any
 * value that structured clone knows: as JSON where that survives exactly, else as a structured clone.
 *
 * Invariant: what is read from a buffer is copied out of it, because the buffer is used again.
 */

const { types } = require('node:util')
const v8 = require('node:v8')
const { FlowDBError, cut, reasonOf } = require('./errors.js')
const { isBare, isLong, piecesOf } = require('./json-pieces.js')
const { FORMAT } = require('./packing.js')

/** A document may be nested so deep; deeper ones are taken for cyclic ones unless they are looked at closely. */
const DEPTH_MAX = 1000

/** The JSON of longer arrays would be longer than anything that can be stored. */
const ARRAY_LENGTH_MAX = 256 * 1024 * 1024

/** What takes fewer bytes as a structured clone is not nested too deep: each level takes four at least. */
const DEEP_BYTES_MIN = 4 * DEPTH_MAX

/** Values nested deeper than this are not tried as JSON. */
const JSON_DEPTH_MAX = 100

/**
 * A value as it is stored: text, pieces of JSON (`json-pieces.js`) or bytes.
 *
 * @typedef {object} Encoded
 * @property {number} format
 * @property {string} [text]
 * @property {boolean} [isBare] whether the text is the JSON of a string without the quotes
 * @property {readonly string[]} [pieces]
 * @property {Uint8Array} [bytes]
 */

/** How many long strings have been met in values that were looked through. */
let longStrings = 0

/** Where in a document JSON would do damage, and which. The path is gathered on the way out. */
class Damage {
  /** @param {string} what */
  constructor (what) {
    this.what = what
    /** @type {(string | number)[]} */
    this.path = []
  }

  /** @param {string | number} step */
  at (step) {
    this.path.unshift(step)
    return this
  }

  get place () {
    const steps = this.path.map((step) => {
      if (typeof step === 'number') return `[${step}]`
      return /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(cut(step))}]`
    })
    return steps.length === 0 ? 'the document' : `the document's ${cut(steps.join('').replace(/^\./, ''))}`
  }
}

/**
 * Writes a document as JSON.
 *
 * @param {unknown} document
 * @returns {Encoded}
 */
function encodeDocument (document) {
  const before = longStrings
  checkDocument(document)
  const pieces = longStrings === before ? undefined : readable(() => piecesOf(document))
  return pieces === undefined ? { format: FORMAT.JSON, text: textOf(document) } : { format: FORMAT.JSON, pieces }
}

/**
 * Writes a document as the text of its JSON.
 *
 * @param {unknown} document
 * @returns {string}
 */
function encodeText (document) {
  checkDocument(document)
  return textOf(document)
}

/**
 * Refuses a document that JSON would damage.
 *
 * @param {unknown} document
 */
function checkDocument (document) {
  const damage = readable(() => findDamage(document, '', []))
  if (damage === undefined) return
  throw new FlowDBError('FLOWDB_INVALID_VALUE', `${damage.place} ${damage.what}, which JSON can't hold`)
}

/**
 * @param {unknown} document
 * @returns {string}
 */
function textOf (document) {
  const text = readable(() => JSON.stringify(document))
  if (text !== undefined) return text
  throw new FlowDBError('FLOWDB_INVALID_VALUE', 'the document\'s toJSON gives nothing that JSON can hold')
}

/**
 * @template T
 * @param {() => T} read may run a user's code
 * @returns {T}
 */
function readable (read) {
  try {
    return read()
  } catch (error) {
    throw unreadable(error)
  }
}

/**
 * How many bytes of UTF-8 a value takes that is not bytes.
 *
 * @param {Encoded} encoded
 */
function utf8Length ({ text, pieces }) {
  if (pieces === undefined) return Buffer.byteLength(/** @type {string} */ (text))
  // Escaped, with quotes that are not there.
  const lengthOf = (/** @type {string} */ piece, /** @type {number} */ place) => {
    return place % 2 === 0 || isBare(piece) ? Buffer.byteLength(piece) : Buffer.byteLength(JSON.stringify(piece)) - 2
  }
  return pieces.reduce((length, piece, place) => length + lengthOf(piece, place), 0)
}

/**
 * The length of a value: in bytes, or in units of UTF-16 before anything is escaped.
 *
 * @param {Encoded} encoded
 */
function lengthOf ({ text, pieces, bytes }) {
  if (pieces !== undefined) return pieces.reduce((length, piece) => length + piece.length, 0)
  return (text ?? bytes)?.length ?? 0
}

/** @param {unknown} error thrown by a getter or proxy, or by a stack or string that grew too large */
function unreadable (error) {
  return new FlowDBError('FLOWDB_INVALID_VALUE', `the value could not be read: ${reasonOf(error)}`, { cause: error })
}

/**
 * Looks for what JSON would damage. `undefined` as a property is no damage: the property is not there, then as now.
 *
 * @param {unknown} value
 * @param {string} key the property it was found under, for `toJSON`
 * @param {object[]} ancestors
 * @returns {Damage | undefined}
 */
function findDamage (value, key, ancestors) {
  switch (typeof value) {
    case 'string':
      if (isLong(value)) longStrings++
      return undefined
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : new Damage(`is ${value}`)
    case 'object':
      return value === null ? undefined : findDamageInside(value, key, ancestors)
    case 'undefined':
      return new Damage('is undefined')
    default:
      return new Damage(`is a ${typeof value}`)
  }
}

/**
 * @param {object} value
 * @param {string} key
 * @param {object[]} ancestors
 * @returns {Damage | undefined}
 */
function findDamageInside (value, key, ancestors) {
  if (ancestors.includes(value)) return new Damage('contains itself')
  if (ancestors.length >= DEPTH_MAX) return new Damage(`is nested more than ${DEPTH_MAX} deep`)
  const isArray = Array.isArray(value)
  if (!isArray) {
    const kind = foreignKind(value)
    if (kind !== undefined) return new Damage(`is ${kind}`)
  }
  ancestors.push(value)
  const toJSON = /** @type {{ toJSON?: unknown }} */ (value).toJSON
  const damage = typeof toJSON === 'function'
    ? findDamage(toJSON.call(value, key), key, ancestors)
    : isArray ? findDamageInArray(value, ancestors) : findDamageInObject(value, ancestors)
  ancestors.pop()
  return damage
}

/**
 * @param {readonly unknown[]} array
 * @param {object[]} ancestors
 * @returns {Damage | undefined}
 */
function findDamageInArray (array, ancestors) {
  const length = array.length
  if (length > ARRAY_LENGTH_MAX) return new Damage(`is an array of ${length} elements`)
  for (let index = 0; index < length; index++) {
    const damage = findDamage(array[index], String(index), ancestors)
    if (damage !== undefined) return damage.at(index)
  }
  return undefined
}

/**
 * @param {object} object
 * @param {object[]} ancestors
 * @returns {Damage | undefined}
 */
function findDamageInObject (object, ancestors) {
  const properties = /** @type {Record<string, unknown>} */ (object)
  for (const key of Object.keys(properties)) {
    const value = properties[key]
    if (value === undefined) continue
    const damage = findDamage(value, key, ancestors)
    if (damage !== undefined) return damage.at(key)
  }
  return undefined
}

/** @type {[(value: unknown) => boolean, string][]} */
const FOREIGN = [
  [types.isDate, 'a Date'],
  [types.isMap, 'a Map'],
  [types.isSet, 'a Set'],
  [types.isRegExp, 'a RegExp'],
  [ArrayBuffer.isView, 'a typed array, Buffer or DataView'],
  [types.isAnyArrayBuffer, 'an ArrayBuffer'],
  [types.isNativeError, 'an Error'],
  [types.isPromise, 'a Promise'],
  [types.isWeakMap, 'a WeakMap'],
  [types.isWeakSet, 'a WeakSet'],
  [types.isBoxedPrimitive, 'a primitive in an object']
]

/**
 * What an object is if not one of properties. An instance of a class is: it is stored by its properties.
 *
 * @param {object} value
 * @returns {string | undefined}
 */
function foreignKind (value) {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return undefined
  return FOREIGN.find(([is]) => is(value))?.[1]
}

/**
 * Writes any value that structured clone knows.
 *
 * @param {unknown} value
 * @returns {Encoded}
 */
function encodeValue (value) {
  return exactJson(value, JSON_DEPTH_MAX) ?? encodeStructured(value)
}

/**
 * Writes a value as JSON, where it comes back from that as it is.
 *
 * @param {unknown} value
 * @returns {Encoded}
 */
function encodeJson (value) {
  const encoded = exactJson(value, DEPTH_MAX)
  if (encoded !== undefined) return encoded
  throw new FlowDBError('FLOWDB_INVALID_VALUE', whyNotExact(value))
}

/** @param {unknown} value that JSON would damage */
function whyNotExact (value) {
  try {
    const damage = findDamage(value, '', [])
    if (damage !== undefined) return `${damage.place.replace('the document', 'the value')} ${damage.what}, which JSON can't hold`
  } catch {
    // Another reason is given than the one that could not be looked for.
  }
  return 'the value has something that does not come back from JSON as it is, such as -0, undefined or an object of a class'
}

/**
 * @param {unknown} value
 * @param {number} levels it may be nested so deep
 * @returns {Encoded | undefined} `undefined` where JSON would damage it
 */
function exactJson (value, levels) {
  // To look for escapes and find none takes a third of the time of making a string with quotes.
  if (typeof value === 'string' && !isLong(value) && isBare(value)) {
    return { format: FORMAT.JSON, text: value, isBare: true }
  }
  return readable(() => {
    const before = longStrings
    if (!survivesJson(value, levels)) return undefined
    const pieces = longStrings === before ? undefined : piecesOf(value)
    return pieces === undefined ? { format: FORMAT.JSON, text: JSON.stringify(value) } : { format: FORMAT.JSON, pieces }
  })
}

/**
 * Writes a value as a structured clone.
 *
 * @param {unknown} value
 * @returns {Encoded}
 */
function encodeStructured (value) {
  try {
    const bytes = v8.serialize(value)
    if (bytes.length < DEEP_BYTES_MIN || !isTooDeep(value)) return { format: FORMAT.STRUCTURED, bytes }
  } catch (error) {
    throw new FlowDBError('FLOWDB_NOT_CLONEABLE', `the value can't be cloned: ${reasonOf(error)}`, { cause: error })
  }
  throw new FlowDBError('FLOWDB_NOT_CLONEABLE', `the value is nested more than ${DEPTH_MAX} deep`)
}

/**
 * Whether a value is nested so deep that it could be written but not read: reading takes more of the stack. It is
 * walked as V8 writes it, where what is met again is not entered again.
 *
 * @param {unknown} value
 */
function isTooDeep (value) {
  const met = new Set()
  const ahead = [{ value, depth: 0 }]
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    if (typeof next.value !== 'object' || next.value === null || met.has(next.value)) continue
    if (next.depth >= DEPTH_MAX) return true
    met.add(next.value)
    const inside = valuesIn(next.value)
    for (let index = inside.length - 1; index >= 0; index--) ahead.push({ value: inside[index], depth: next.depth + 1 })
  }
  return false
}

/**
 * @param {object} value
 * @returns {unknown[]}
 */
function valuesIn (value) {
  if (types.isMap(value)) return [...value.entries()].flatMap(([key, element]) => [key, element])
  if (types.isSet(value)) return [...value]
  if (ArrayBuffer.isView(value)) return []
  return types.isNativeError(value) ? [value.cause] : Object.values(value)
}

/**
 * Whether a value comes back from JSON as it went in.
 *
 * @param {unknown} value
 * @param {number} levels it may be nested so deep
 * @returns {boolean}
 */
function survivesJson (value, levels) {
  switch (typeof value) {
    case 'string':
      if (isLong(value)) longStrings++
      return true
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object':
      if (value === null) return true
      if (levels === 0) return false
      // Another value would be written in the place of one that has it, be it inherited or not enumerable.
      if (typeof (/** @type {{ toJSON?: unknown }} */ (value).toJSON) === 'function') return false
      return Array.isArray(value) ? arraySurvives(value, levels - 1) : objectSurvives(value, levels - 1)
    default:
      return false
  }
}

/**
 * @param {readonly unknown[]} array
 * @param {number} levels
 */
function arraySurvives (array, levels) {
  if (Object.getPrototypeOf(array) !== Array.prototype) return false
  // A hole makes fewer keys than elements, a further property more; where both are, the last key is no index.
  const keys = Object.keys(array)
  if (keys.length !== array.length || (keys.length > 0 && keys.at(-1) !== String(keys.length - 1))) return false
  return array.every((element) => survivesJson(element, levels))
}

/**
 * @param {object} object
 * @param {number} levels
 */
function objectSurvives (object, levels) {
  const prototype = Object.getPrototypeOf(object)
  if (prototype !== Object.prototype && prototype !== null) return false
  const properties = /** @type {Record<string, unknown>} */ (object)
  for (const key of Object.keys(properties)) if (!survivesJson(properties[key], levels)) return false
  return true
}

/**
 * Reads a document from the bytes between `start` and `end`.
 *
 * @param {number} format
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @returns {unknown}
 */
function readDocument (format, buffer, start, end) {
  if (format === FORMAT.JSON) return JSON.parse(buffer.toString('utf8', start, end))
  // Typed arrays in the result lie on the bytes they are read from, so those have to be its own.
  if (format === FORMAT.STRUCTURED) return readStructured(Uint8Array.prototype.slice.call(buffer, start, end))
  if (format === FORMAT.RAW) return Uint8Array.prototype.slice.call(buffer, start, end)
  if (format === FORMAT.TEXT) return buffer.toString('utf8', start, end)
  throw new RangeError(`no document has the format ${format}`)
}

/**
 * Reads a structured clone.
 *
 * @param {Uint8Array} bytes that nobody else uses
 * @returns {unknown}
 */
function readStructured (bytes) {
  try {
    return v8.deserialize(bytes)
  } catch (error) {
    const what = 'a document is a structured clone that this Node.js can\'t read, of a newer one perhaps'
    throw unsupported(`${what}: ${reasonOf(error)}`)
  }
}

/** @param {string} message */
const unsupported = (message) => new FlowDBError('FLOWDB_UNSUPPORTED', message)

exports.encodeDocument = encodeDocument
exports.encodeJson = encodeJson
exports.encodeStructured = encodeStructured
exports.encodeText = encodeText
exports.encodeValue = encodeValue
exports.lengthOf = lengthOf
exports.readDocument = readDocument
exports.readStructured = readStructured
exports.utf8Length = utf8Length
