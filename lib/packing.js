'use strict'

/*
 * The packed encodings: operations on their way to the addon, answers on their way back.
 *
 * `src/binding/packing.rs` is the other side, and docs/binding.md lists every byte. Integers are little endian; bytes
 * and text carry their length as a u32 before them.
 *
 * Invariant: nothing here runs a user's code. Keys have been through `plainKey` and documents are text or bytes before
 * an operation is begun, so an operation is packed whole or, when a key can't be, not at all.
 */

const { AnswerReader } = require('./answer-reader.js')
const { readChanges } = require('./change-reader.js')
const { isOwn } = require('./errors.js')
const { KEY_BYTES_MAX, decodeKey, writeKey } = require('./key.js')
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
  ENGINE_STATS: 109
})

/** How a document is written down. */
const FORMAT = Object.freeze({ JSON: 1, STRUCTURED: 2, RAW: 3, TEXT: 4 })

/** What is made of the number that there is and one that is given. */
const RECKONING = Object.freeze({ SUM: 0, MIN: 1, MAX: 2 })

/** What the pages of a cursor carry. */
const WANTS = Object.freeze({ KEYS: 1, DOCUMENTS: 2, INDEX_KEYS: 4, STAMPS: 8 })

/** Of a request that resolves to something else than its answer, which is not read then. */
const NOTHING_WANTED = -1

const ABSENT = 0xffffffff
const QUOTE = 0x22
/** The kind of an answer that is an error. */
const FAILURE = 7
const LOWER = 1
const LOWER_OPEN = 2
const UPPER = 4
const UPPER_OPEN = 8
const PREFIX = 16

/** The stamps of a page that has none. */
const NO_STAMPS = new Uint8Array(0)

/** In the place of an expiry: there is none. */
const NO_EXPIRY = -(2n ** 63n)

const TWO_32 = 2 ** 32

/** Request, kind and length come before the payload of an answer. */
const ANSWER_HEAD_BYTES = 9

/** A run has a buffer of this size at first, … */
const ROOM_FIRST = 64 * 1024
/** … and keeps one of up to this size; a larger one is given back after it was sent. */
const ROOM_KEPT = 512 * 1024

/** Texts up to this many UTF-16 units are measured by their longest possible encoding. */
const SHORT_TEXT = 64 * 1024

/**
 * The bounds of a range, their keys made plain; `undefined` where it is open-ended. Of a prefix, `lower` is the prefix.
 *
 * @typedef {{ lower: unknown, upper: unknown, lowerOpen: boolean, upperOpen: boolean, isPrefix?: boolean }} Bounds
 */

/**
 * How many bytes there have to be for a text.
 *
 * @param {string} text
 */
const roomFor = (text) => text.length <= SHORT_TEXT ? text.length * 3 : Buffer.byteLength(text)

/** A run of operations, packed one after the other. */
class Run {
  #room
  #isLent
  #buffer
  #end = 0
  #begun = 0
  /** How many operations are in the run. */
  count = 0

  /**
   * @param {Buffer | number} [room] how many bytes there is room for at first; or where operations are packed as long
   *   as they fit
   */
  constructor (room = ROOM_FIRST) {
    this.#isLent = typeof room !== 'number'
    this.#room = typeof room === 'number' ? Buffer.allocUnsafeSlow(room) : room
    this.#buffer = this.#room
  }

  /** Whether what is packed stands in the room that it had at first. */
  get fits () {
    return this.#buffer === this.#room
  }

  /** The packed bytes, until the next operation is begun. */
  get bytes () {
    return this.#buffer.subarray(0, this.#end)
  }

  /** How many bytes are packed. */
  get length () {
    return this.#end
  }

  /** Empties the run. */
  reset () {
    this.#end = 0
    this.count = 0
    if (this.#isLent || this.#buffer.length > ROOM_KEPT) this.#buffer = this.#room
  }

  /**
   * Begins an operation; `cancel` takes it back.
   *
   * @param {number} verb
   * @param {number} request
   * @param {number} transaction
   * @returns {this}
   */
  begin (verb, request, transaction) {
    this.#begun = this.#end
    this.#reserve(9)
    this.#buffer[this.#end++] = verb
    this.u32(request)
    this.u32(transaction)
    this.count++
    return this
  }

  /** Takes back the operation that was begun last. */
  cancel () {
    this.#end = this.#begun
    this.count--
  }

  /**
   * @param {number} value
   * @returns {this}
   */
  u8 (value) {
    this.#reserve(1)
    this.#buffer[this.#end++] = value
    return this
  }

  /**
   * @param {number} value
   * @returns {this}
   */
  u32 (value) {
    this.#reserve(4)
    const buffer = this.#buffer
    buffer[this.#end++] = value
    buffer[this.#end++] = value >>> 8
    buffer[this.#end++] = value >>> 16
    buffer[this.#end++] = value >>> 24
    return this
  }

  /**
   * @param {number} value a safe integer
   * @returns {this}
   */
  i64 (value) {
    const high = Math.floor(value / TWO_32)
    return this.u32(value - high * TWO_32).u32(high)
  }

  /**
   * @param {number | undefined} time in microseconds; `undefined` for none
   * @returns {this}
   */
  expiry (time) {
    return time === undefined ? this.u32(0).u32(0x80000000) : this.i64(time)
  }

  /**
   * @param {Uint8Array} bytes
   * @returns {this}
   */
  bytes32 (bytes) {
    this.u32(bytes.length)
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
    return this
  }

  /**
   * @param {Uint8Array} bytes of a length that both sides know
   * @returns {this}
   */
  raw (bytes) {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
    return this
  }

  /**
   * @param {string} text
   * @returns {this}
   */
  text (text) {
    this.#reserve(4 + roomFor(text))
    const length = this.#buffer.write(text, this.#end + 4)
    this.u32(length)
    this.#end += length
    return this
  }

  /**
   * @param {import('./values.js').Encoded} encoded
   * @returns {this}
   */
  document ({ format, text, isBare, bytes }) {
    this.u8(format)
    if (bytes !== undefined) return this.bytes32(bytes)
    return isBare ? this.#quoted(/** @type {string} */ (text)) : this.text(/** @type {string} */ (text))
  }

  /**
   * @param {string} text
   * @returns {this}
   */
  #quoted (text) {
    this.#reserve(6 + roomFor(text))
    const start = this.#end + 4
    const length = 2 + this.#buffer.write(text, start + 1)
    this.#buffer[start] = this.#buffer[start + length - 1] = QUOTE
    this.u32(length)
    this.#end += length
    return this
  }

  /** @returns {this} */
  absent () {
    return this.u32(ABSENT)
  }

  /**
   * @param {unknown} key from `plainKey`
   * @returns {this}
   */
  key (key) {
    this.#reserve(4 + KEY_BYTES_MAX)
    const start = this.#end + 4
    const end = writeKey(key, this.#buffer, start)
    this.u32(end - start)
    this.#end = end
    return this
  }

  /**
   * @param {Bounds | undefined} bounds `undefined` for every key
   * @returns {this}
   */
  range (bounds) {
    if (bounds === undefined) return this.u8(0)
    const { lower, upper, lowerOpen, upperOpen, isPrefix } = bounds
    if (isPrefix) return this.u8(LOWER | PREFIX).key(lower)
    this.u8((lower === undefined ? 0 : LOWER | (lowerOpen ? LOWER_OPEN : 0)) |
      (upper === undefined ? 0 : UPPER | (upperOpen ? UPPER_OPEN : 0)))
    if (lower !== undefined) this.key(lower)
    if (upper !== undefined) this.key(upper)
    return this
  }

  /**
   * @param {Uint8Array | string} bytes or text, which stands for its UTF-8
   * @returns {this}
   */
  bytesOf (bytes) {
    return typeof bytes === 'string' ? this.text(bytes) : this.bytes32(bytes)
  }

  /**
   * A range whose keys are any bytes. Inclusive bounds count where both kinds are given.
   *
   * @param {import('./keyspace-range.js').ByteRange} range
   * @returns {this}
   */
  byteRange ({ gt, gte, lt, lte }) {
    const lower = gte ?? gt
    const upper = lte ?? lt
    this.u8((lower === undefined ? 0 : LOWER | (gte === undefined ? LOWER_OPEN : 0)) |
      (upper === undefined ? 0 : UPPER | (lte === undefined ? UPPER_OPEN : 0)))
    if (lower !== undefined) this.bytesOf(lower)
    if (upper !== undefined) this.bytesOf(upper)
    return this
  }

  /** @param {number} room */
  #reserve (room) {
    const needed = this.#end + room
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#end)
    this.#buffer = larger
  }
}

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
exports.Run = Run
exports.VERB = VERB
exports.WANTS = WANTS
exports.readAnswers = readAnswers
exports.readOneAnswer = readOneAnswer
exports.readRecord = readRecord
