'use strict'

/*
 * Cursors over stores and indexes, as IndexedDB has them, to be iterated over.
 *
 * What a cursor comes to is as it was when it was opened, the transaction's own writes until then included. A change at
 * the cursor is made only where the document is still the one that the cursor shows.
 */

const { STAMP_BYTES } = require('./answer-reader.js')
const { FlowDBError } = require('./errors.js')
const { toBounds } = require('./key-range.js')
const { changeStamped, toPlace } = require('./modify.js')
const { checkOptions, invalid, kindOf } = require('./names.js')
const { WANTS } = require('./packing.js')

/** @typedef {import('./session.js').Session} Session */

/** @type {Map<unknown, { reverse: boolean, distinct: boolean }>} */
const DIRECTIONS = new Map([
  ['next', { reverse: false, distinct: false }],
  ['nextunique', { reverse: false, distinct: true }],
  ['prev', { reverse: true, distinct: false }],
  ['prevunique', { reverse: true, distinct: true }]
])

/**
 * Opens a cursor.
 *
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} options
 * @returns {import('./cursor.js').Rows<DocumentCursor>}
 */
function openCursor (session, store, options) {
  const { index, range, direction = 'next', limit = Infinity } = checkOptions('cursor', options, {
    index: 'any', range: 'any', direction: 'any', limit: 'count'
  })
  const order = DIRECTIONS.get(direction)
  if (order === undefined) {
    throw invalid(`direction of cursor is one of ${[...DIRECTIONS.keys()].join(', ')}, not ${kindOf(direction)}`)
  }
  const wants = WANTS.KEYS | WANTS.DOCUMENTS | WANTS.STAMPS | (index === undefined ? 0 : WANTS.INDEX_KEYS)
  const scan = { store, index, bounds: toBounds(range), ...order, limit, wants }
  return session.rows(scan, ({ keys, indexKeys, documents, stamps }) => {
    return keys.map((primaryKey, row) => {
      const key = index === undefined ? primaryKey : indexKeys[row]
      return new DocumentCursor(session, store, { key, primaryKey, value: documents[row] }, stamps, row)
    })
  })
}

/** Where a cursor is. Each place is an object of its own, which stays as it is when the cursor goes on. */
class DocumentCursor {
  #session
  #store
  /** The stamps of its page, among which its own is looked for when it is needed, and not for every row. */
  #stamps
  #row
  /** The stamp that a change of its own has left. @type {Uint8Array | undefined} */
  #changedTo
  /** The change that was asked for last. @type {Promise<unknown> | undefined} */
  #last

  /**
   * @param {Session} session
   * @param {unknown} store
   * @param {{ key: unknown, primaryKey: unknown, value: unknown }} found
   * @param {Uint8Array} stamps
   * @param {number} row
   */
  constructor (session, store, { key, primaryKey, value }, stamps, row) {
    this.#session = session
    this.#store = store
    this.#stamps = stamps
    this.#row = row
    /** The key in the index, or the primary key. */
    this.key = key
    this.primaryKey = primaryKey
    /** The document. */
    this.value = value
  }

  /**
   * Puts a document with the same key in the place of this one.
   *
   * @param {unknown} document
   * @returns {Promise<any>} the primary key
   */
  update (document) {
    return this.#session.compose({ store: this.#store, isWrite: true }, async () => {
      if (document === undefined) throw new FlowDBError('FLOWDB_INVALID_VALUE', 'the document is undefined')
      const { done } = await this.#change(document)
      if (!done) throw this.#changed()
      return this.primaryKey
    })
  }

  /**
   * Deletes the document.
   *
   * @returns {Promise<boolean>} whether it was still there
   */
  delete () {
    return this.#session.compose({ store: this.#store, isWrite: true }, async () => {
      const { done, wasThere, document } = await this.#change(undefined)
      if (!done && document !== undefined) throw this.#changed()
      return done && wasThere
    })
  }

  /** @param {unknown} document */
  async #change (document) {
    const before = this.#last
    const change = this.#changeBehind(before, document)
    this.#last = change.catch(() => {})
    return await change
  }

  /**
   * One after the other: the second change of a place is one of what the first has made.
   *
   * @param {Promise<unknown> | undefined} before
   * @param {unknown} document
   */
  async #changeBehind (before, document) {
    await before
    const stamp = this.#stamp
    const changed = await changeStamped(this.#session, toPlace(this.#store, this.primaryKey), stamp, document)
    if (changed.done) this.#changedTo = changed.stamp
    return { ...changed, wasThere: !isMissing(stamp) }
  }

  get #stamp () {
    const start = this.#row * STAMP_BYTES
    return this.#changedTo ?? this.#stamps.subarray(start, start + STAMP_BYTES)
  }

  #changed () {
    return new FlowDBError('FLOWDB_CONFLICT', 'the document was changed since the cursor read it')
  }
}

/** @param {Uint8Array} stamp */
const isMissing = (stamp) => stamp.every((byte) => byte === 0)

exports.openCursor = openCursor
