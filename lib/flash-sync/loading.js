'use strict'

/*
 * Reading what is stored into memory, in the order of its numbers: in the background, page by page, or the rest of it
 * within a call.
 *
 * Invariant: each entry is given once. Nothing is written before the end, so the rest can be read by another cursor.
 */

const { Rows } = require('../cursor.js')
const { VERB, WANTS } = require('../packing.js')

/** The size of pages that are read in a call. */
const PAGE_BYTES = 1024 * 1024

const ROWS_MAX = 0xffffffff
const WANTED = WANTS.KEYS | WANTS.DOCUMENTS

/** @typedef {import('../packing.js').Page} Page */

class Loading {
  #session
  #store
  #take
  /** The number of the last entry that was read. @type {number | undefined} */
  #last
  #isDone = false
  /** @type {Rows<never> | undefined} */
  #rows

  /**
   * @param {import('../session.js').Session} session
   * @param {Uint8Array} store
   * @param {(page: Page) => void} take given every page
   */
  constructor (session, store, take) {
    this.#session = session
    this.#store = store
    this.#take = take
  }

  /** Whether there is nothing left to read. */
  get isDone () {
    return this.#isDone
  }

  /**
   * Reads until the end, or until the rest has been read in a call.
   *
   * @returns {Promise<void>}
   */
  async inBackground () {
    const scan = {
      store: this.#store,
      index: undefined,
      bounds: undefined,
      reverse: false,
      limit: Infinity,
      wants: WANTED,
      isGathered: true
    }
    this.#rows = new Rows(this.#session, scan, undefined, (page) => {
      if (!this.#isDone) this.#read(page)
      return []
    })
    await this.#rows.gather()
    this.#isDone = true
  }

  /** Reads what is left. */
  inCall () {
    const { connection } = this.#session
    const cursor = connection.nextId()
    const bounds = { lower: this.#last, lowerOpen: true, upper: undefined, upperOpen: false }
    /** @type {Page} */
    let page = connection.issueSync(VERB.OPEN_CURSOR, { wants: WANTED }, (run) => {
      run.u32(cursor).bytes32(this.#store).absent().range(this.#last === undefined ? undefined : bounds)
      run.u8(0).u8(WANTED).u32(ROWS_MAX).u32(PAGE_BYTES)
    })
    this.#read(page)
    while (page.more) {
      page = connection.issueSync(VERB.NEXT_PAGE, { wants: WANTED }, (run) => {
        run.u32(cursor).u32(ROWS_MAX).u32(PAGE_BYTES)
      })
      this.#read(page)
    }
    this.stop()
  }

  /** Reads no more in the background. */
  stop () {
    this.#isDone = true
    this.#rows?.return()
  }

  /** @param {Page} page */
  #read (page) {
    this.#take(page)
    const last = page.keys.at(-1)
    if (typeof last === 'number') this.#last = last
  }
}

exports.Loading = Loading
