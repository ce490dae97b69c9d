'use strict'

/*
 * The lines that `export` writes and `import` reads: a header with the schema, a line for each document, and a last
 * line by which a file that was cut is known. docs/flowdb/moving.md describes them.
 *
 * Invariant: what a line says is exact. A document that is JSON stands there as its own text, which nobody has parsed;
 * others, and keys that JSON does not know, have a form of their own.
 */

const { isUtf8 } = require('node:buffer')
const { ARRAY_DEPTH_MAX, encodeKey } = require('./key.js')
const { FlowDBError, reasonOf } = require('./errors.js')
const { checkKeyPath, checkName, isPlain } = require('./names.js')
const { FORMAT } = require('./packing.js')

/** The version of the lines. */
const LINES_VERSION = 1

/** The last member of a document's line, found by its text: no string has a quote in it that is not escaped. */
const VALUE = ',"value":'

/** The longest time in a line, and the longest default expiry. */
const TIME_MAX = Number.MAX_SAFE_INTEGER

const INFINITIES = new Map([['Infinity', Infinity], ['-Infinity', -Infinity]])

/** What a line calls the formats of documents that are not JSON. @type {Record<string, number>} */
const ENCODINGS = { structured: FORMAT.STRUCTURED, raw: FORMAT.RAW, text: FORMAT.TEXT }

/** @param {string} what */
const bad = (what) => new FlowDBError('FLOWDB_INVALID_VALUE', what)

/**
 * @typedef {object} StoreHeader
 * @property {string} name
 * @property {string | string[] | null} keyPath
 * @property {boolean} autoIncrement
 * @property {number} defaultTtlMs 0 for none
 * @property {import('./definitions.js').IndexDescription[]} indexes
 */

/**
 * @param {number} schemaVersion
 * @param {readonly (import('./definitions.js').StoreDescription & { defaultTtl?: number })[]} stores
 * @returns {string}
 */
function headerLine (schemaVersion, stores) {
  const headers = stores.map(({ name, keyPath, autoIncrement, defaultTtl = 0, indexes }) => {
    return { name, keyPath, autoIncrement, defaultTtlMs: Math.round(defaultTtl * 1000), indexes }
  })
  return `${JSON.stringify({ flowdb: 'export', format: LINES_VERSION, schemaVersion, stores: headers })}\n`
}

/**
 * @param {string} line
 * @returns {{ schemaVersion: number, stores: StoreHeader[] }}
 */
function readHeader (line) {
  const header = parse(line)
  if (!isPlain(header) || header.flowdb !== 'export') throw bad('it is not the first line of what FlowDB has exported')
  if (header.format !== LINES_VERSION) {
    const message = `it is in format ${header.format}, and this FlowDB reads ${LINES_VERSION}: use a newer one`
    throw new FlowDBError(Number.isSafeInteger(header.format) ? 'FLOWDB_VERSION' : 'FLOWDB_INVALID_VALUE', message)
  }
  if (!Array.isArray(header.stores)) throw bad('it has no list of stores')
  return { schemaVersion: count(header.schemaVersion, 'the version of the schema'), stores: header.stores.map(readStore) }
}

/**
 * @param {any} store
 * @returns {StoreHeader}
 */
function readStore (store) {
  if (!isPlain(store) || !Array.isArray(store.indexes)) throw bad('it has a store that is not described')
  return {
    name: checkName('store', store.name),
    keyPath: store.keyPath === null ? null : checkKeyPath(store.keyPath),
    autoIncrement: flag(store.autoIncrement),
    defaultTtlMs: count(store.defaultTtlMs, 'a default expiry'),
    indexes: store.indexes.map((/** @type {any} */ index) => {
      if (!isPlain(index)) throw bad('it has an index that is not described')
      const [name, keyPath] = [checkName('index', index.name), checkKeyPath(index.keyPath)]
      return { name, keyPath, unique: flag(index.unique), multiEntry: flag(index.multiEntry) }
    })
  }
}

/** @param {unknown} value */
function flag (value) {
  if (typeof value !== 'boolean') throw bad('it has something else than true or false where one of them belongs')
  return value
}

/**
 * @param {any} value
 * @param {string} what
 * @returns {number}
 */
function count (value, what) {
  if (!Number.isSafeInteger(value) || value < 0 || value > TIME_MAX) throw bad(`${what} is no whole number from 0`)
  return value
}

/**
 * The line of a document: what stands before its value, the value, and what stands behind it.
 *
 * @param {string} store its name as JSON
 * @param {import('./packing.js').StoredRow} row
 * @returns {[string, string, string]}
 */
function documentLine (store, { key, version, updatedAt, expiresAt, format, document }) {
  const expiry = expiresAt === 0 ? '' : `,"expiresAt":${expiresAt}`
  const head = `{"store":${store},"key":${JSON.stringify(toJson(key))},"version":${version},"updatedAt":${updatedAt}${expiry}`
  if (typeof document === 'string') {
    // A line break stands between the parts of a JSON text only, never in them.
    const text = /[\n\r]/.test(document) ? document.replace(/[\n\r]/g, ' ') : document
    return [head + VALUE, text, '}\n']
  }
  const encoding = Object.keys(ENCODINGS).find((name) => ENCODINGS[name] === format)
  return [`${head},"encoding":"${encoding}"${VALUE}`, `"${document.toString('base64')}"`, '}\n']
}

/**
 * A document as a line has it; an expiry of 0 is none.
 *
 * @typedef {object} Line
 * @property {string} store
 * @property {Uint8Array} key encoded
 * @property {number} version
 * @property {number} updatedAt
 * @property {number} expiresAt
 * @property {number} format
 * @property {string | Buffer} document
 */

/**
 * @param {string} line that is not the first
 * @returns {Line | { documents: number, sha256: string }} a document, or what the last line says
 */
function readLine (line) {
  const at = line.indexOf(VALUE)
  if (at < 0) return readLast(line)
  if (!line.endsWith('}')) throw bad('it does not end with the end of its document')
  const head = parse(`${line.slice(0, at)}}`)
  if (!isPlain(head)) throw bad('it is not an object')
  const text = line.slice(at + VALUE.length, -1)
  const value = parse(text)
  const version = count(head.version, 'the version')
  if (version === 0) throw bad('the version is 0, and the first is 1')
  return {
    store: checkName('store', head.store),
    key: readKey(head.key),
    version,
    updatedAt: count(head.updatedAt, 'the time of writing'),
    expiresAt: head.expiresAt === undefined ? 0 : count(head.expiresAt, 'the expiry'),
    ...readValue(head.encoding, text, value)
  }
}

/**
 * @param {unknown} encoding
 * @param {string} text
 * @param {unknown} value
 * @returns {{ format: number, document: string | Buffer }}
 */
function readValue (encoding, text, value) {
  if (encoding === undefined) return { format: FORMAT.JSON, document: text }
  if (typeof encoding !== 'string' || !Object.hasOwn(ENCODINGS, encoding)) throw bad('its encoding is none that is known')
  return { format: ENCODINGS[encoding], document: fromBase64(value) }
}

/**
 * @param {number} documents
 * @param {string} sha256
 */
const lastLine = (documents, sha256) => `{"end":true,"documents":${documents},"sha256":"${sha256}"}\n`

/** @param {string} line */
function readLast (line) {
  const last = parse(line)
  if (!isPlain(last) || last.end !== true || typeof last.sha256 !== 'string') {
    throw bad('it is neither a document nor the end')
  }
  return { documents: count(last.documents, 'the number of documents'), sha256: last.sha256 }
}

/**
 * @param {string} text
 * @returns {any}
 */
function parse (text) {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new FlowDBError('FLOWDB_INVALID_VALUE', `it can't be read as JSON: ${reasonOf(error)}`, { cause: error })
  }
}

/**
 * A key as JSON has it. What JSON does not know is an object with one member that says what it is.
 *
 * @param {import('./key.js').Key} key
 * @returns {unknown}
 */
function toJson (key) {
  if (typeof key === 'bigint') return { bigint: String(key) }
  if (typeof key === 'number' && !Number.isFinite(key)) return { number: String(key) }
  if (typeof key !== 'object' || key === null) return key
  if (Array.isArray(key)) return key.map(toJson)
  if (key instanceof Date) return { date: key.getTime() }
  return { bytes: Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('base64') }
}

/**
 * @param {unknown} value
 * @returns {Uint8Array} encoded
 */
function readKey (value) {
  if (value === undefined) throw bad('it has no key')
  return encodeKey(fromJson(value, 0))
}

/**
 * @param {any} value
 * @param {number} depth
 * @returns {unknown}
 */
function fromJson (value, depth) {
  if (depth > ARRAY_DEPTH_MAX) throw bad(`its key is nested more than ${ARRAY_DEPTH_MAX} deep`)
  if (Array.isArray(value)) return value.map((element) => fromJson(element, depth + 1))
  if (!isPlain(value)) return value
  const [[kind, content] = [], ...others] = Object.entries(value)
  if (others.length === 0) {
    if (kind === 'bigint' && /^-?\d{1,10000}$/.test(content)) return BigInt(content)
    if (kind === 'number' && INFINITIES.has(content)) return INFINITIES.get(content)
    if (kind === 'date' && Number.isInteger(content)) return new Date(content)
    if (kind === 'bytes') return fromBase64(content)
  }
  throw bad('its key is none')
}

/** @param {unknown} text */
function fromBase64 (text) {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'base64') : undefined
  if (bytes === undefined || bytes.toString('base64') !== text) throw bad('it has something else where base64 belongs')
  return bytes
}

/**
 * @param {Buffer} bytes of a line
 * @returns {string}
 */
function textOf (bytes) {
  if (!isUtf8(bytes)) throw bad('it is not UTF-8')
  return bytes.toString()
}

exports.bad = bad
exports.documentLine = documentLine
exports.headerLine = headerLine
exports.lastLine = lastLine
exports.readHeader = readHeader
exports.readLine = readLine
exports.textOf = textOf
