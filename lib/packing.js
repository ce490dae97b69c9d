'use strict'

/*
 * The packed encodings: the numbers in them, and answers on their way back; operations are packed by `run.js`.
 *
 * `src/binding/packing.rs` is the other side, and docs/binding.md lists every byte. Integers are little endian; bytes
 * and text carry their length as a u32 before them.
 *
 * Invariant: nothing here runs a user's code.
 */

const { AnswerReader } = require('./answer-reader.js')
const { readChanges } = require('./change-reader.js')
const { isOwn } = require('./errors.js')
const { decodeKey } = require('./key.js')
const keyspace = require('./keyspace-answers.js')

/** What an operation asks for; the numbers that `src/binding/packing.rs` knows. */
const VERB = Object.freeze({
  OPEN: 1,
  CLOSE: 2,
  PUT: 3,
  ADD: 4,
  GET: 5,
  HAS: 6,
  DELETE: 7,
  CLEAR: 8,
  COUNT: 9,
  OPEN_CURSOR: 10,
  NEXT_PAGE: 11,
  CLOSE_CURSOR: 12,
  CREATE_STORE: 13,
  DELETE_STORE: 14,
  CREATE_INDEX: 15,
  DELETE_INDEX: 16,
  SCHEMA: 17,
  BEGIN: 18,
  COMMIT: 19,
  ABORT: 20,
  DESTROY: 21,
  OPEN_SERIES: 22,
  APPEND: 23,
  DELETE_RECORD: 24,
  DELETE_RECORDS: 25,
  PATCH_RECORD: 26,
  GET_RECORD: 27,
  LATEST_RECORD: 28,
  OPEN_RECORDS: 29,
  OPEN_WINDOWS: 30,
  DELETE_SERIES: 31,
  SERIES_NAMES: 32,
  CHECKPOINT: 33,
  VERIFY: 34,
  STATS: 35,
  METRICS: 36,
  COMPACT: 37,
  APPROXIMATE_SIZE: 38,
  REPAIR: 39,
  PUT_WITH: 40,
  TOUCH: 41,
  GET_ENTRY: 42,
  PURGE: 43,
  SET_DEFAULT_TTL: 44,
  SAVEPOINT: 45,
  ROLLBACK_TO: 46,
  ATOMIC: 47,
  GET_MANY: 55,
  GET_KEY: 56,
  DELETE_RANGE: 57,
  PUT_MANY: 58,
  ADD_MANY: 59,
  DELETE_MANY: 60,
  GET_STAMPED: 61,
  CHANGE: 62,
  PATCH: 63,
  POP: 64,
  BATCH: 65,
  GET_TIME_LEFT: 66,
  RECKON: 67,
  OPEN_QUERY: 70,
  QUERY_COUNT: 71,
  QUERY_EXPLAIN: 72,
  QUERY_DELETE: 73,
  WATCH: 75,
  TAKE_CHANGES: 76,
  UNWATCH: 77,
  BEGIN_UPGRADE: 80,
  OPEN_ROWS: 81,
  RESTORE: 82,
  MOMENT: 83,
  PASS_GENERATED: 84,
  NAMESPACE_DROP: 90,
  NAMESPACE_NAMES: 91,
  DECLARE_DEFAULT_TTL: 92,
  SYNC: 93,
  APPLY: 95,
  KEYSPACE_GET: 100,
  KEYSPACE_GET_MANY: 101,
  KEYSPACE_HAS_MANY: 102,
  KEYSPACE_EXPIRY: 103,
  KEYSPACE_PAGE: 104,
  KEYSPACE_BATCH: 105,
  TAKE_SNAPSHOT: 106,
  KEYSPACE_COMPACT: 107,
  KEYSPACE_SIZE: 108,
  ENGINE_STATS: 109,
  KEYSPACE_CLEAR: 110
})

/** How a document is written down. */
const FORMAT = Object.freeze({ JSON: 1, STRUCTURED: 2, RAW: 3, TEXT: 4 })

/** What is made of the number that there is and one that is given. */
const RECKONING = Object.freeze({ SUM: 0, MIN: 1, MAX: 2 })

/** What the pages of a cursor carry. */
const WANTS = Object.freeze({ KEYS: 1, DOCUMENTS: 2, INDEX_KEYS: 4, STAMPS: 8 })

/** Of a request that resolves to something else than its answer, which is not read then. */
const NOTHING_WANTED = -1

/** The kind of an answer that is an error. */
const FAILURE = 7

/** The stamps of a page that has none. */
const NO_STAMPS = new Uint8Array(0)

/** In the place of an expiry: there is none. */
const NO_EXPIRY = -(2n ** 63n)

/** Request, kind and length come before the payload of an answer. */
const ANSWER_HEAD_BYTES = 9

/**
 * The bounds of a range, their keys made plain; `undefined` where it is open-ended. Of a prefix, `lower` is the prefix.
 *
 * @typedef {{ lower: unknown, upper: unknown, lowerOpen: boolean, upperOpen: boolean, isPrefix?: boolean }} Bounds
 */

/**
 * A page of a cursor.
 *
 * @typedef {object} Page
 * @property {import('./key.js').Key[]} keys empty unless wanted
 * @property {import('./key.js').Key[]} indexKeys empty unless wanted
 * @property {unknown[]} documents empty unless wanted
 * @property {Uint8Array} stamps one after the other, `STAMP_BYTES` each; empty unless wanted
 * @property {boolean} more whether rows are left
 */

/**
 * An error as the addon describes it.
 *
 * @typedef {{ code?: string, errno?: number, message: string, cause?: Description }} Description
 */

/** Marks an answer that is an error, which is to be rejected with and not resolved with. */
class Failure {
  /** @param {Description} description */
  constructor (description) {
    this.description = description
  }
}

/** Says that changes wait for a watch. It answers no request. */
class Notice {
  /** @param {number} watch */
  constructor (watch) {
    this.watch = watch
  }
}

/**
 * How documents are read from their bytes.
 *
 * @typedef {(format: number, buffer: Buffer, start: number, end: number) => unknown} ReadDocument
 */

/**
 * Reads packed answers and gives each to `settle`.
 *
 * @param {Buffer} buffer
 * @param {number} end
 * @param {(request: number) => number} wantsOf what the page that a request asked for carries
 * @param {ReadDocument} readDocument
 * @param {(request: number, value: unknown) => void} settle
 */
function readAnswers (buffer, end, wantsOf, readDocument, settle) {
  let at = 0
  while (at < end) {
    const request = buffer.readUInt32LE(at)
    const kind = buffer[at + 4]
    const start = at + ANSWER_HEAD_BYTES
    at = start + buffer.readUInt32LE(at + 5)
    let value
    try {
      const wants = wantsOf(request)
      const isUnread = wants === NOTHING_WANTED && kind !== FAILURE
      value = isUnread ? undefined : readAnswer(kind, buffer, start, at, wants, readDocument)
    } catch (error) {
      const internal = { code: 'FLOWDB_INTERNAL', message: `an answer could not be read: ${error}` }
      value = new Failure(isOwn(error) ? { code: error.code, message: error.message } : internal)
    }
    settle(request, value)
  }
}

/**
 * Reads the one answer that stands at the start of a buffer.
 *
 * @param {Buffer} buffer
 * @param {number} wants what the page that was asked for carries
 * @param {ReadDocument} readDocument
 * @param {unknown} unreadable what is given where it can't be read
 * @returns {any}
 */
function readOneAnswer (buffer, wants, readDocument, unreadable) {
  const end = ANSWER_HEAD_BYTES + buffer.readUInt32LE(5)
  try {
    return readAnswer(buffer[4], buffer, ANSWER_HEAD_BYTES, end, wants, readDocument)
  } catch {
    return unreadable
  }
}

/**
 * @param {number} kind
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @param {number} wants
 * @param {ReadDocument} readDocument
 * @returns {unknown}
 */
function readAnswer (kind, buffer, start, end, wants, readDocument) {
  const reader = () => new AnswerReader(buffer, start, readDocument)
  switch (kind) {
    case 0: return undefined
    case 1: return decodeKey(buffer, start, end)
    case 2: return readDocument(buffer[start], buffer, start + 1, end)
    case 3: return buffer[start] !== 0
    case 4: return buffer.readDoubleLE(start)
    case 5: return readPage(reader(), wants)
    case 6: return JSON.parse(buffer.toString('utf8', start, end))
    case FAILURE: return new Failure(JSON.parse(buffer.toString('utf8', start, end)))
    case 8: return readOneRecord(reader())
    case 9: return readSeriesPage(reader(), readOneRecord)
    case 10: return readSeriesPage(reader(), readWindow)
    case 11: return readEntry(buffer, start, readDocument)
    case 15: return readDocuments(reader())
    case 16: return readKeys(reader())
    case 17: return readStamped(reader())
    case 21: return readChanges(reader())
    case 22: return new Notice(buffer.readUInt32LE(start))
    case 24: return readRows(buffer, start)
    case 25: return keyspace.readValue(buffer, start, end, wants)
    case 26: return keyspace.readValues(buffer, start, wants)
    case 27: return keyspace.readFlags(buffer, start, end)
    case 28: return keyspace.readPage(buffer, start, wants)
    default: throw new RangeError(`no answer has the kind ${kind}`)
  }
}

/**
 * @param {AnswerReader} reader
 * @param {number} wants
 * @returns {Page}
 */
function readPage (reader, wants) {
  const more = reader.flag()
  const count = reader.u32()
  const documents = wants & WANTS.DOCUMENTS ? reader.documents(count) : []
  const keys = wants & WANTS.KEYS ? reader.keys(count) : []
  const indexKeys = wants & WANTS.INDEX_KEYS ? reader.keys(count) : []
  const stamps = wants & WANTS.STAMPS ? reader.stamps(count) : NO_STAMPS
  return { keys, indexKeys, documents, stamps, more }
}

/** @param {AnswerReader} reader */
const readDocuments = (reader) => reader.documents(reader.u32())

/** @param {AnswerReader} reader */
const readKeys = (reader) => reader.keys(reader.u32())

/**
 * What a call that reads or changes a document with its stamp is answered with.
 *
 * @param {AnswerReader} reader
 * @returns {import('./modify.js').Stamped}
 */
function readStamped (reader) {
  return { done: reader.flag(), stamp: reader.stamp(), document: reader.document() }
}

/**
 * A document with what is known of it; times are milliseconds since 1970.
 *
 * @typedef {object} Entry
 * @property {import('./key.js').Key} key
 * @property {unknown} value
 * @property {number} version
 * @property {number} updatedAt
 * @property {number} [expiresAt]
 */

/**
 * @param {Buffer} buffer
 * @param {number} start
 * @param {ReadDocument} readDocument
 * @returns {Entry}
 */
function readEntry (buffer, start, readDocument) {
  const at = start + 4 + buffer.readUInt32LE(start)
  const key = decodeKey(buffer, start + 4, at)
  const [version, updatedAt, expiresAt] = [0, 8, 16].map((offset) => buffer.readDoubleLE(at + offset))
  const document = at + 29
  const value = readDocument(buffer[at + 24], buffer, document, document + buffer.readUInt32LE(at + 25))
  return expiresAt === 0 ? { key, value, version, updatedAt } : { key, value, version, updatedAt, expiresAt }
}

/**
 * A document as it is stored: its text, or its bytes where it is not JSON. An expiry of 0 is none.
 *
 * @typedef {object} StoredRow
 * @property {import('./key.js').Key} key
 * @property {number} version
 * @property {number} updatedAt
 * @property {number} expiresAt
 * @property {number} format
 * @property {string | Buffer} document
 */

/**
 * @param {Buffer} buffer
 * @param {number} start
 * @returns {Page} with a `StoredRow` for each document
 */
function readRows (buffer, start) {
  const count = buffer.readUInt32LE(start + 1)
  let at = start + 5
  /** @type {StoredRow[]} */
  const documents = []
  for (let row = 0; row < count; row++) {
    const end = at + 4 + buffer.readUInt32LE(at)
    const key = decodeKey(buffer, at + 4, end)
    const [version, updatedAt, expiresAt] = [0, 8, 16].map((offset) => buffer.readDoubleLE(end + offset))
    const format = buffer[end + 24]
    const from = end + 29
    at = from + buffer.readUInt32LE(end + 25)
    const document = format === FORMAT.JSON ? buffer.toString('utf8', from, at) : Buffer.from(buffer.subarray(from, at))
    documents.push({ key, version, updatedAt, expiresAt, format, document })
  }
  return { keys: [], indexKeys: [], documents, stamps: NO_STAMPS, more: buffer[start] !== 0 }
}

/**
 * A record of a series; times are microseconds since 1970.
 *
 * @typedef {{ key: import('./key.js').Key, ts: number, value: unknown, expiresAt?: number }} SeriesRecord
 * @typedef {{ key: import('./key.js').Key, ts: number, value: number, count: number }} SeriesWindow
 */

/**
 * @param {AnswerReader} reader
 * @returns {SeriesRecord}
 */
function readOneRecord (reader) {
  const [key, ts, expiry] = [reader.key(), Number(reader.i64()), reader.i64()]
  const value = reader.document(FORMAT.JSON)
  return expiry === NO_EXPIRY ? { key, ts, value } : { key, ts, value, expiresAt: Number(expiry) }
}

/**
 * @param {AnswerReader} reader
 * @returns {SeriesWindow}
 */
function readWindow (reader) {
  return { key: reader.key(), ts: Number(reader.i64()), value: reader.number(), count: reader.number() }
}

/**
 * A page of records or windows.
 *
 * @param {AnswerReader} reader
 * @param {(reader: AnswerReader) => unknown} read
 * @returns {Page}
 */
function readSeriesPage (reader, read) {
  const more = reader.flag()
  return { keys: [], indexKeys: [], documents: reader.list(() => read(reader)), stamps: NO_STAMPS, more }
}

/**
 * Reads a record that stands at the start of a buffer.
 *
 * @param {Buffer} buffer
 * @param {ReadDocument} readDocument
 * @returns {SeriesRecord}
 */
const readRecord = (buffer, readDocument) => readOneRecord(new AnswerReader(buffer, 0, readDocument))

exports.FORMAT = FORMAT
exports.Failure = Failure
exports.NOTHING_WANTED = NOTHING_WANTED
exports.Notice = Notice
exports.RECKONING = RECKONING
exports.VERB = VERB
exports.WANTS = WANTS
exports.readAnswers = readAnswers
exports.readOneAnswer = readOneAnswer
exports.readRecord = readRecord
