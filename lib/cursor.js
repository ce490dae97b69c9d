'use strict'

/*
 * Reading rows page by page, one page ahead of whoever iterates.
 *
 * The first page is small, so that a search that ends early costs little, and each is larger than the one before it, up
 * to a bound: the more there is to do with a page, the less likely it is that the next is waited for. Memory is bounded
 * by two pages. The cursor in the addon holds a snapshot; it is let go of at the end, by `return`, or when nobody holds
 * the iterator any more.
 */

const { Iteration } = require('./iteration.js')
const { NOT_AT_HAND } = require('./native.js')
const { VERB } = require('./packing.js')

/** The size of the first page, and of the second. */
const FIRST_PAGE_BYTES = 16 * 1024
const PAGE_BYTES = 64 * 1024
/** The size of the largest pages, and of those that are gathered whole. With it they fit where answers are taken. */
const PAGE_BYTES_MAX = 192 * 1024

/** Who says that he wants at most so many rows most likely wants them all: then the first page is as the second. */
const FEW_ROWS = 1000

const ROWS_MAX = 0xffffffff
const ignore = () => {}

/**
 * What is read.
 *
 * @typedef {object} Scan
 * @property {Uint8Array} store
 * @property {Uint8Array | undefined} index
 * @property {import('./packing.js').Bounds | undefined} bounds
 * @property {boolean} reverse
 * @property {boolean} [distinct] of the entries of an index with one key, only the first
 * @property {number} limit how many rows at most
 * @property {number} [offset] how many are passed over first
 * @property {number} wants
 * @property {boolean} [isGathered] the caller wants all rows and not the first ones soon
 */

/**
 * What is read by a cursor of another kind than that over the rows of a store.
 *
 * @typedef {object} OtherScan
 * @property {number} verb opens the cursor
 * @property {(run: import('./run.js').Run) => void} pack what stands between the cursor's number and the page size
 * @property {number} limit how many rows at most
 * @property {number} [wants] what its pages carry, where they are rows of a store
 * @property {boolean} [isGathered] the caller wants all rows and not the first ones soon
 */

/** @type {FinalizationRegistry<Cursor>} */
const forgotten = new FinalizationRegistry((cursor) => cursor.close())

/**
 * @param {Scan} scan
 * @returns {{ verb: number, wants: number, pack: OtherScan['pack'] }}
 */
function rowsOfStore (scan) {
  return { verb: VERB.OPEN_CURSOR, wants: scan.wants, pack: (run) => { packScan(run, scan) } }
}

/**
 * @param {import('./run.js').Run} run
 * @param {Scan} scan
 */
function packScan (run, { store, index, bounds, reverse, distinct, offset = 0, wants }) {
  run.bytes32(store)
  if (index === undefined) run.absent()
  else run.bytes32(index)
  run.range(bounds).u8((reverse ? 1 : 0) | (distinct ? 2 : 0)).i64(offset).u8(wants)
}

/**
 * @param {Scan | OtherScan} scan
 * @returns {{ verb: number, wants: number, pack: OtherScan['pack'] }}
 */
function openingOf (scan) {
  if (!('verb' in scan)) return rowsOfStore(scan)
  const { verb, wants = 0, pack } = scan
  return { verb, wants, pack }
}

/**
 * A cursor whose first page was tried in the call: its number, and the page where that was at hand.
 *
 * @typedef {{ id: number, page: import('./packing.js').Page | undefined }} Begun
 */

/** A cursor in the addon. */
class Cursor {
  #session
  #id
  #wants
  #isGathered
  #pageBytes
  #left
  /** Whether the addon holds the cursor, as far as is known here. */
  #isOpen = true
  /** Whether its first page has come: before that, to close it could overtake the operation that opens it. */
  #isThere = false
  /** @type {Promise<import('./packing.js').Page | undefined>} */
  #ahead

  /**
   * @param {import('./session.js').Session} session
   * @param {Scan | OtherScan} scan
   * @param {unknown} storeName for the session's own checks
   * @param {Begun} [begun] what has been tried in the call
   */
  constructor (session, scan, storeName, begun) {
    const { limit, isGathered } = scan
    const { verb, wants, pack } = openingOf(scan)
    this.#session = session
    this.#id = begun?.id ?? session.connection.nextId()
    this.#wants = wants
    this.#isGathered = isGathered === true
    this.#pageBytes = isGathered ? PAGE_BYTES_MAX : PAGE_BYTES
    this.#left = limit
    const firstBytes = isGathered || limit <= FEW_ROWS ? this.#pageBytes : FIRST_PAGE_BYTES
    // Who asks for no rows asks nothing of the addon, and is refused by a closed database all the same.
    if (limit === 0) session.checkUsable()
    this.#ahead = limit === 0
      ? Promise.resolve(undefined)
      : this.#take(begun?.page !== undefined
        ? session.connection.resolved(begun.page)
        : session.issue(verb, { store: storeName, wants, isTried: begun !== undefined }, (run) => {
          pack(run.u32(this.#id))
          run.u32(this.#rows).u32(firstBytes)
        }))
    this.#ahead.catch(ignore)
  }

  /** How many rows the next page may have. */
  get #rows () {
    return Math.min(this.#left, ROWS_MAX)
  }

  /**
   * Takes a page that has been asked for.
   *
   * @param {Promise<import('./packing.js').Page>} answer
   * @returns {Promise<import('./packing.js').Page>}
   */
  async #take (answer) {
    try {
      const page = await answer
      this.#left -= Math.max(page.keys.length, page.documents.length)
      const wasClosed = !this.#isThere && !this.#isOpen
      this.#isThere = true
      if (!page.more) this.#isOpen = false
      else if (wasClosed) this.#letGo()
      if (this.#left <= 0) this.close()
      return page
    } catch (error) {
      this.#isOpen = false
      throw error
    }
  }

  /** @returns {Promise<import('./packing.js').Page | undefined>} */
  async #ask () {
    if (!this.#isOpen) return undefined
    const what = { wants: this.#wants, isFree: true, isStep: this.#isGathered }
    const bytes = this.#pageBytes
    this.#pageBytes = Math.min(2 * bytes, PAGE_BYTES_MAX)
    return await this.#take(this.#session.issue(VERB.NEXT_PAGE, what, (run) => {
      run.u32(this.#id).u32(this.#rows).u32(bytes)
    }))
  }

  /**
   * The next page, or `undefined` after the last. The page behind it is asked for as soon as it is there.
   *
   * @returns {Promise<import('./packing.js').Page | undefined>}
   */
  next () {
    const page = this.#ahead
    this.#ahead = this.#askBehind(page)
    // A page that fails is told to whoever asks for it, and is nobody's business before.
    this.#ahead.catch(ignore)
    return page
  }

  /** @param {Promise<unknown>} page */
  async #askBehind (page) {
    await page
    return await this.#ask()
  }

  /**
   * Does what takes several pages, before the database is closed.
   *
   * @template T
   * @param {() => Promise<T>} work
   */
  hold (work) {
    return this.#session.connection.hold(work)
  }

  /** Lets go of the snapshot. */
  close () {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (this.#isThere) this.#letGo()
  }

  #letGo () {
    this.#session.tell(VERB.CLOSE_CURSOR, (run) => run.u32(this.#id))
  }
}

/**
 * Iterates over rows.
 *
 * @template T
 * @extends {Iteration<T>}
 * @implements {AsyncIterableIterator<T>}
 */
class Rows extends Iteration {
  #cursor
  #select
  /** @type {readonly T[]} */
  #page = []
  #at = 0
  #isDone = false
  /** Calls of `next` that wait for a page, in order. @type {Promise<unknown> | undefined} */
  #waiting

  /**
   * @param {import('./session.js').Session} session
   * @param {Scan | OtherScan} scan
   * @param {unknown} storeName
   * @param {(page: import('./packing.js').Page) => readonly T[]} select
   * @param {Begun} [begun] what has been tried in the call
   */
  constructor (session, scan, storeName, select, begun) {
    super(() => this.#end())
    this.#cursor = new Cursor(session, scan, storeName, begun)
    this.#select = select
    // Whoever gathers goes on to the end.
    if (!scan.isGathered) forgotten.register(this, this.#cursor, this.#cursor)
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  next () {
    if (this.#waiting === undefined && this.#at < this.#page.length) {
      return Promise.resolve({ value: this.#page[this.#at++], done: false })
    }
    return this.#nextInTurn()
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  async #nextInTurn () {
    const before = this.#waiting
    /** @type {() => void} */
    let done = ignore
    const turn = new Promise((resolve) => { done = () => resolve(undefined) })
    this.#waiting = turn
    try {
      await before
      while (!this.#isDone && this.#at >= this.#page.length) await this.#turnPage()
      if (this.#isDone) return { value: undefined, done: true }
      return { value: this.#page[this.#at++], done: false }
    } catch (error) {
      this.#end()
      throw error
    } finally {
      if (this.#waiting === turn) this.#waiting = undefined
      done()
    }
  }

  async #turnPage () {
    const page = await this.#nextPage()
    if (page === undefined) this.#end()
    if (page === undefined || this.#isDone) return
    this.#page = this.#select(page)
    this.#at = 0
  }

  async #nextPage () {
    try {
      return await this.#cursor.next()
    } catch (error) {
      // The page was asked for ahead; who waits for it is known only here.
      if (error instanceof Error) Error.captureStackTrace(error)
      throw error
    }
  }

  #end () {
    this.#isDone = true
    this.#page = []
    this.#at = 0
    this.#cursor.close()
    forgotten.unregister(this.#cursor)
  }

  /**
   * Every row of a scan that is gathered, in one array.
   *
   * @returns {Promise<T[]>}
   */
  gather () {
    return this.#cursor.hold(() => this.#gather())
  }

  async #gather () {
    try {
      await this.#turnPage()
      // Most often there is one page.
      const rows = /** @type {T[]} */ (this.#page)
      while (!this.#isDone) {
        await this.#turnPage()
        for (; this.#at < this.#page.length; this.#at++) rows.push(this.#page[this.#at])
      }
      return rows
    } catch (error) {
      this.#end()
      throw error
    }
  }
}

/**
 * Every row of a scan, in one array: in the call, where they are few and at hand.
 *
 * @template T
 * @param {import('./session.js').Session} session
 * @param {Scan | OtherScan} scan
 * @param {unknown} storeName
 * @param {(page: import('./packing.js').Page) => T[]} select
 * @returns {Promise<T[]>}
 */
function gather (session, scan, storeName, select) {
  const whole = () => ({ ...scan, isGathered: true })
  if (scan.limit === 0) return new Rows(session, whole(), storeName, select).gather()
  session.checkUsable()
  const { verb, wants, pack } = openingOf(scan)
  const id = session.connection.nextId()
  const page = session.answerInCall(verb, wants, (run) => {
    pack(run.u32(id))
    run.u32(Math.min(scan.limit, ROWS_MAX)).u32(PAGE_BYTES_MAX)
  })
  const isAtHand = page !== NOT_AT_HAND
  if (isAtHand && !page.more) return session.connection.resolved(select(page))
  return new Rows(session, whole(), storeName, select, { id, page: isAtHand ? page : undefined }).gather()
}

exports.Rows = Rows
exports.gather = gather
exports.rowsOfStore = rowsOfStore
