'use strict'

/*
 * What the addon answers of keyspaces: values, and pages of rows. Keys and values are bytes; whoever wants them as text
 * says so, and they are never in between.
 */

/** What a page carries, and which of it is text. With `TEXT_VALUES` single values are text, too. */
const WANTS = Object.freeze({ KEYS: 1, VALUES: 2, EXPIRIES: 4, TEXT_KEYS: 8, TEXT_VALUES: 16 })

/** In the place of the length of a value: there is none. */
const ABSENT = 0xffffffff

/**
 * Rows of a keyspace, each kind of their parts empty unless wanted.
 *
 * @typedef {object} KeyspacePage
 * @property {(Buffer | string)[]} keys
 * @property {(Buffer | string)[]} values
 * @property {number[]} expiries in milliseconds since 1970, `Infinity` for never
 * @property {number} count
 * @property {Buffer | undefined} last the last key, where more may follow
 */

/** What a row of a page is made of. */
const PARTS = WANTS.KEYS | WANTS.VALUES | WANTS.EXPIRIES

/**
 * Each takes some bytes. A count that can't be right would fill the memory before a read fails.
 *
 * @param {number} count
 * @param {Buffer} buffer
 * @param {number} start
 */
function checkRoom (count, buffer, start) {
  if (count > buffer.length - start) throw new RangeError(`an answer has no room for ${count} things`)
}

/**
 * A value that stands in a buffer which is used again.
 *
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @param {boolean} isText
 * @returns {Buffer | string}
 */
function takeValue (buffer, start, end, isText) {
  if (isText) return buffer.toString('utf8', start, end)
  const bytes = Buffer.allocUnsafe(end - start)
  buffer.copy(bytes, 0, start, end)
  return bytes
}

/**
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @param {number} wants
 */
function readValue (buffer, start, end, wants) {
  return takeValue(buffer, start, end, (wants & WANTS.TEXT_VALUES) !== 0)
}

/**
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} wants
 * @returns {(Buffer | string | undefined)[]}
 */
function readValues (buffer, start, wants) {
  const count = buffer.readUInt32LE(start)
  checkRoom(count, buffer, start)
  const isText = (wants & WANTS.TEXT_VALUES) !== 0
  const values = []
  let at = start + 4
  for (let place = 0; place < count; place++) {
    const length = buffer.readUInt32LE(at)
    at += 4
    if (length === ABSENT) {
      values.push(undefined)
    } else {
      values.push(takeValue(buffer, at, at + length, isText))
      at += length
    }
  }
  return values
}

/**
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @returns {boolean[]}
 */
function readFlags (buffer, start, end) {
  const flags = []
  for (let at = start; at < end; at++) flags.push(buffer[at] !== 0)
  return flags
}

/**
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} wants
 * @returns {KeyspacePage}
 */
function readPage (buffer, start, wants) {
  const more = buffer[start] !== 0
  const count = buffer.readUInt32LE(start + 1)
  const [isTextKeys, isTextValues] = [(wants & WANTS.TEXT_KEYS) !== 0, (wants & WANTS.TEXT_VALUES) !== 0]
  /** @type {KeyspacePage} */
  const page = { keys: [], values: [], expiries: [], count, last: undefined }
  let at = start + 5
  // Rows of which nothing is wanted are only counted.
  const rows = wants & PARTS ? count : 0
  checkRoom(rows, buffer, start)
  for (let row = 0; row < rows; row++) {
    if (wants & WANTS.KEYS) {
      const end = at + 4 + buffer.readUInt32LE(at)
      page.keys.push(takeValue(buffer, at + 4, end, isTextKeys))
      at = end
    }
    if (wants & WANTS.VALUES) {
      const end = at + 4 + buffer.readUInt32LE(at)
      page.values.push(takeValue(buffer, at + 4, end, isTextValues))
      at = end
    }
    if (wants & WANTS.EXPIRIES) {
      page.expiries.push(buffer.readDoubleLE(at) || Infinity)
      at += 8
    }
  }
  if (more) page.last = Buffer.from(buffer.subarray(at + 4, at + 4 + buffer.readUInt32LE(at)))
  return page
}

exports.WANTS = WANTS
exports.readFlags = readFlags
exports.readPage = readPage
exports.readValue = readValue
exports.readValues = readValues
exports.takeValue = takeValue
