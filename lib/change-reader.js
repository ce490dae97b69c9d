'use strict'

/* Reading the changes of a watch out of an answer; `src/binding/watching.rs` writes them. */

const { KeyRange } = require('./key-range.js')

const LOWER = 1
const LOWER_OPEN = 2
const UPPER = 4
const UPPER_OPEN = 8
const PREFIX = 16

/** @typedef {import('./answer-reader.js').AnswerReader} AnswerReader */

/**
 * A change, as `index.d.ts` describes it.
 *
 * @typedef {{ type: 'put' | 'delete' | 'deleteRange' | 'clear' | 'drop' | 'lost', [more: string]: any }} Change
 */

/**
 * @param {AnswerReader} reader
 * @returns {{ changes: Change[], hasEnded: boolean }}
 */
function readChanges (reader) {
  const hasEnded = reader.flag()
  return { changes: reader.list(() => readChange(reader)), hasEnded }
}

/**
 * @param {AnswerReader} reader
 * @returns {Change}
 */
function readChange (reader) {
  switch (reader.byte()) {
    case 1: return readPut(reader)
    case 2: return withDocument({ type: 'delete', store: reader.text(), key: reader.key() }, 'oldValue', reader)
    case 3: return { type: 'deleteRange', store: reader.text(), range: readRange(reader) }
    case 4: return { type: 'clear', store: reader.text() }
    case 5: return { type: 'drop', store: reader.text() }
    case 6: return { type: 'lost', changes: reader.number() }
    default: throw new RangeError('no change has such a type')
  }
}

/**
 * @param {AnswerReader} reader
 * @returns {Change}
 */
function readPut (reader) {
  const [store, key, version, updatedAt] = [reader.text(), reader.key(), reader.number(), reader.number()]
  /** @type {Change} */
  const change = { type: 'put', store, key, version, updatedAt }
  const expiresAt = reader.number()
  if (expiresAt !== 0) change.expiresAt = expiresAt
  return withDocument(withDocument(change, 'value', reader), 'oldValue', reader)
}

/**
 * @param {Change} change
 * @param {'value' | 'oldValue'} name
 * @param {AnswerReader} reader
 */
function withDocument (change, name, reader) {
  const format = reader.byte()
  if (format !== 0) change[name] = reader.document(format)
  return change
}

/** @param {AnswerReader} reader */
function readRange (reader) {
  const flags = reader.byte()
  if (flags & PREFIX) return { prefix: reader.key() }
  const lower = flags & LOWER ? reader.key() : undefined
  const upper = flags & UPPER ? reader.key() : undefined
  const [isLowerOpen, isUpperOpen] = [(flags & LOWER_OPEN) !== 0, (flags & UPPER_OPEN) !== 0]
  if (lower === undefined) return KeyRange.upperBound(upper, isUpperOpen)
  if (upper === undefined) return KeyRange.lowerBound(lower, isLowerOpen)
  return KeyRange.bound(lower, upper, isLowerOpen, isUpperOpen)
}

exports.readChanges = readChanges
