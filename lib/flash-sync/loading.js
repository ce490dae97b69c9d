'use strict'

/*
 * Reading what is stored into memory, in the order of its numbers: in the background, page by page, or the rest of it
 * within a call.
 *
 * Invariant: each entry is given once. Nothing is written before the end, so the rest can be read by another cursor.
 */

const { Rows, rowsOfStore } = require('../cursor.js')
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

  /** What is left to read. @returns {import('../cursor.js').Scan} */
  get #rest () {
    const last = this.#last
    const bounds = last === undefined ? undefined : { lower: last, lowerOpen: true, upper: undefined, upperOpen: false }
    return { store: this.#store, index: undefined, bounds, reverse: false, limit: Infinity, wants: WANTED }
  }

  /**
   * Reads until the end, or until the rest has been read in a call.
   *
   * @returns {Promise<void>}
   */
  async inBackground () {
    this.#rows = new Rows(this.#session, { ...this.#rest, isGathered: true }, undefined, (page) => {
      this.#read(page)
      return []
    })
    await this.#rows.gather()
    this.#isDone = true
  }

  /** Reads what is left. */
  inCall () {
    const { connection } = this.#session
    const cursor = connection.nextId()
    const { verb, wants, pack } = rowsOfStore(this.#rest)
    /** @type {Page} */
    let page = connection.issueSync(verb, { wants }, (run) => {
      pack(run.u32(cursor))
      run.u32(ROWS_MAX).u32(PAGE_BYTES)
    })
    this.#read(page)
    while (page.more) {
      page = connection.issueSync(VERB.NEXT_PAGE, { wants }, (run) => {
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
