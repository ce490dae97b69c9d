'use strict'

/*
 * Reading the rows of a keyspace in order, page by page, as of the moment at which the iterator was made.
 *
 * The first page is small, or as large as is asked for at once; it is read when it is asked for, in the call where that
 * is soon done. From the second page on the next is read ahead. Memory is bounded by two pages.
 */

const { FlowDBError } = require('./errors.js')
const { checkBytesKey, copied, fromOn, isWithin } = require('./keyspace-range.js')
const { NOT_AT_HAND } = require('./native.js')
const { VERB } = require('./packing.js')

/** The first page has so many rows and bytes, unless more are asked for at once … */
const FIRST_ROWS = 64
const FIRST_BYTES = 16 * 1024
/** … and the others so many, which are read and unpacked in a few milliseconds. */
const PAGE_ROWS_MAX = 2000
const PAGE_BYTES_MAX = 128 * 1024

const ignore = () => {}

/** Those on a snapshot that others may close. @type {FinalizationRegistry<() => void>} */
const forgotten = new FinalizationRegistry((letGo) => letGo())

/**
 * What is read.
 *
 * @typedef {object} KeyspaceScan
 * @property {import('./keyspace-range.js').ByteRange} range
 * @property {boolean} reverse
 * @property {number} limit how many rows at most
 * @property {number} wants
 * @property {number} [pageBytes] no page has many more bytes
 */

/**
 * A row: what is not wanted is `undefined`; the third is when it expires, where that is wanted.
 *
 * @typedef {[any, any, number?]} KeyspaceRow
 * @typedef {import('./keyspace-answers.js').KeyspacePage} KeyspacePage
 */

/** @type {KeyspacePage} */
const NO_PAGE = { keys: [], values: [], expiries: [], count: 0, last: undefined }

/** @param {KeyspaceRow} row */
const bytesOf = ([key, value]) => (key?.length ?? 0) + (value?.length ?? 0)

class KeyspaceIterator {
  #session
  #name
  #snapshot
  /** Lets go of the snapshot. */
  #letGo
  #scan
  /** What is left, or `undefined` where nothing is. @type {import('./keyspace-range.js').ByteRange | undefined} */
  #rest
  /** How many rows may follow those of the page. */
  #left
  #page = NO_PAGE
  #at = 0
  #pages = 0
  /** The page that is read ahead. @type {Promise<KeyspacePage> | undefined} */
  #ahead
  #isBusy = false
  #isClosed = false

  /**
   * @param {import('./session.js').Session} session
   * @param {Uint8Array} name of the keyspace
   * @param {KeyspaceScan} scan
   * @param {import('./keyspace-snapshot.js').KeyspaceSnapshot} snapshot
   * @param {boolean} isOwn whether the snapshot is closed with the iterator
   */
  constructor (session, name, scan, snapshot, isOwn) {
    this.#session = session
    this.#name = name
    this.#scan = scan
    this.#rest = scan.range
    this.#left = scan.limit
    this.#snapshot = snapshot
    // One that others may close is read to the end all the same, or until nobody holds the iterator any more.
    this.#letGo = isOwn ? () => snapshot.close() : snapshot.hold()
    if (!isOwn) forgotten.register(this, this.#letGo, this)
  }

  /** How many rows it has at hand. */
  get #count () {
    return this.#page.count - this.#at
  }

  /**
   * The next rows: as many as are asked for, unless it comes to its end. Another call waits for the answer to this one.
   *
   * @param {number} [size]
   * @returns {Promise<KeyspaceRow[]>} none at the end
   */
  async next (size = 1) {
    const rows = this.takeMany(size)
    while (rows.length < size && await this.fill(size - rows.length)) rows.push(...this.takeMany(size - rows.length))
    return rows
  }

  /**
   * As `next`, but where the rows come to so many bytes, text counted by its length, none follow.
   *
   * @param {number} size
   * @param {number} bytes
   * @returns {Promise<KeyspaceRow[]>} one at least, unless it is at its end
   */
  async nextWithin (size, bytes) {
    const rows = []
    let left = bytes
    do {
      for (let row = this.take(); row !== undefined; row = this.take()) {
        rows.push(row)
        left -= bytesOf(row)
        if (rows.length === size || left <= 0) return rows
      }
    } while (await this.fill(size - rows.length))
    return rows
  }

  /**
   * The next row, where it is at hand.
   *
   * @returns {KeyspaceRow | undefined}
   */
  take () {
    if (this.#at >= this.#page.count) return undefined
    return this.#row(this.#at++)
  }

  /**
   * As many of the next rows as are at hand, up to so many.
   *
   * @param {number} size
   * @returns {KeyspaceRow[]}
   */
  takeMany (size) {
    const rows = []
    for (let count = Math.min(size, this.#count); count > 0; count--) rows.push(this.#row(this.#at++))
    return rows
  }

  /**
   * @param {number} at
   * @returns {KeyspaceRow}
   */
  #row (at) {
    const { keys, values, expiries } = this.#page
    return expiries.length > 0 ? [keys[at], values[at], expiries[at]] : [keys[at], values[at]]
  }

  /**
   * Sees to it that rows are at hand.
   *
   * @param {number} size how many are wanted at once
   * @returns {Promise<boolean>} false at the end
   */
  async fill (size) {
    if (this.#isBusy) throw new FlowDBError('FLOWDB_BUSY', 'the iterator is being read: await that first')
    this.#checkOpen()
    this.#isBusy = true
    try {
      while (this.#count === 0) {
        const ahead = this.#ahead
        this.#ahead = undefined
        const page = await (ahead ?? this.#read(size))
        // It was closed meanwhile.
        if (this.#isClosed || page.count === 0) return false
        this.#page = page
        this.#at = 0
        this.#left -= page.count
        if (this.#pages > 1) this.#readAhead()
      }
      return true
    } finally {
      this.#isBusy = false
    }
  }

  #readAhead () {
    if (this.#rest === undefined || this.#left === 0) return
    this.#ahead = this.#read(PAGE_ROWS_MAX)
    // Whoever comes to it is told.
    this.#ahead.catch(ignore)
  }

  /**
   * Reads the next page, and goes on behind it.
   *
   * @param {number} size
   * @returns {Promise<KeyspacePage>}
   */
  async #read (size) {
    const range = this.#rest
    if (range === undefined || this.#left === 0) return NO_PAGE
    const isFirst = this.#pages++ === 0
    const rows = Math.min(this.#left, PAGE_ROWS_MAX, isFirst ? Math.max(size, FIRST_ROWS) : PAGE_ROWS_MAX)
    const { pageBytes = PAGE_BYTES_MAX } = this.#scan
    const bytes = Math.min(pageBytes, isFirst && size <= FIRST_ROWS ? FIRST_BYTES : PAGE_BYTES_MAX)
    const page = await this.#ask(range, rows, bytes)
    // Who has sought meanwhile goes on from there.
    if (this.#rest === range) {
      this.#rest = page.last === undefined ? undefined : fromOn(range, this.#scan.reverse, page.last, false)
    }
    return page
  }

  /**
   * @param {import('./keyspace-range.js').ByteRange} range
   * @param {number} rows
   * @param {number} bytes
   * @returns {Promise<KeyspacePage>}
   */
  #ask (range, rows, bytes) {
    const { connection } = this.#session
    const { reverse, wants } = this.#scan
    this.#snapshot.checkNotRefused()
    const pack = (/** @type {import('./run.js').Run} */ run) => {
      run.bytes32(this.#name).u32(this.#snapshot.number).byteRange(range)
      run.u8(reverse ? 1 : 0).u8(wants).u32(rows).u32(bytes)
    }
    const page = this.#pages === 1 ? connection.answerInCall(VERB.KEYSPACE_PAGE, wants, pack) : NOT_AT_HAND
    if (page !== NOT_AT_HAND) return connection.resolved(page)
    const snapshot = this.#snapshot
    return snapshot.heldFor((letGo) => {
      // Tried: what is answered in the call is never said to have settled.
      const way = { wants, isTried: true, isFree: snapshot.isTaken, settled: letGo }
      return this.#session.issue(VERB.KEYSPACE_PAGE, way, pack)
    })
  }

  /**
   * Goes on at a key, or at the first behind it in the direction of travel. Where it does not lie in the range, the
   * iterator is at its end, until it seeks again. No call of `next` may be under way.
   *
   * @param {import('./keyspace-range.js').Bytes} key
   */
  seek (key) {
    this.#checkOpen()
    const { range, reverse } = this.#scan
    // Rows that were read and not taken don't count.
    this.#left += this.#count
    this.#page = NO_PAGE
    this.#at = 0
    this.#ahead = undefined
    this.#pages = 0
    const own = copied(checkBytesKey(key))
    this.#rest = isWithin(range, own) ? fromOn(range, reverse, own, true) : undefined
  }

  #checkOpen () {
    if (this.#isClosed) throw new FlowDBError('FLOWDB_CLOSED', 'the iterator is closed')
  }

  /** Lets go of everything. */
  close () {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#page = NO_PAGE
    this.#at = 0
    this.#ahead = undefined
    forgotten.unregister(this)
    this.#letGo()
  }
}

exports.KeyspaceIterator = KeyspaceIterator
exports.PAGE_BYTES_MAX = PAGE_BYTES_MAX
