'use strict'

/*
 * Reads that are answered in the call: one page, a count, an entry, where that takes the addon a fraction of a
 * millisecond and no wait for a device (`src/binding/in_call.rs`).
 *
 * Invariant: what is not answered here has changed nothing, so the same operation can be issued.
 */

const { KEY_BYTES_MAX, writeKey } = require('./key.js')
const native = require('./native.js')
const { VERB, readOneAnswer } = require('./packing.js')
const { Run } = require('./run.js')
const { readDocument } = require('./values.js')

const { NOT_AT_HAND } = native

/** What can be answered in the call; the addon knows them, too. */
const VERBS = new Set(/** @type {number[]} */ ([
  VERB.COUNT, VERB.OPEN_CURSOR, VERB.GET_ENTRY, VERB.GET_KEY, VERB.GET_STAMPED, VERB.GET_TIME_LEFT, VERB.OPEN_QUERY,
  VERB.QUERY_COUNT, VERB.LATEST_RECORD, VERB.OPEN_RECORDS, VERB.OPEN_WINDOWS, VERB.KEYSPACE_GET,
  VERB.KEYSPACE_GET_MANY, VERB.KEYSPACE_HAS_MANY, VERB.KEYSPACE_EXPIRY, VERB.KEYSPACE_PAGE, VERB.ENGINE_STATS
]))

/** What the addon gives where an answer comes to too much. */
const TOO_MUCH = -2

/** After attempts that came to too much, so many others with the same verb are not made. */
const PASSED_OVER_MAX = 64

/** A small answer takes as long as so many documents that are read from memory, … */
const EFFORT_OF_CALL = 4
/** … and so many more steps in the addon as long as another one. */
const STEPS_OF_EFFORT = 2

/** What an attempt has taken that came to too much: its 2,000 steps. */
const EFFORT_OF_TOO_MUCH = 1000

/** So many stores, and so many indexes of each, have readers that are kept. */
const READERS_MAX = 1000

/** The key that is looked up. */
const keyRoom = Buffer.allocUnsafeSlow(KEY_BYTES_MAX)

/** The operation that is tried, one at a time, as long as it fits. */
const room = Buffer.allocUnsafeSlow(64 * 1024)
const run = new Run(room)
/** Its answer. A page has about 160 KiB, so this leaves room for a long document at its end. */
const out = Buffer.allocUnsafeSlow(256 * 1024)

/** How attempts with a verb go: how many are not made, and how many not after the next that comes to too much. */
class Prospect {
  #passedOver = 0
  #next = 1

  /** Whether to try. */
  isGood () {
    if (this.#passedOver === 0) return true
    this.#passedOver--
    return false
  }

  /** @param {boolean} cameToTooMuch */
  learn (cameToTooMuch) {
    this.#passedOver = cameToTooMuch ? this.#next : 0
    this.#next = cameToTooMuch ? Math.min(this.#next * 2, PASSED_OVER_MAX) : 1
  }
}

/** The reads in the call of one database. */
class InCall {
  #database
  /** Made when it is first needed. @type {((length: number) => number) | undefined} */
  #answerer
  /** By the names of store and index. @type {Map<Uint8Array, Map<Uint8Array, import('./native.js').Reader>>} */
  #uniqueReaders = new Map()
  /** @type {Map<number, Prospect>} by verb */
  #prospects = new Map()
  /** What the last attempt took, in documents that are read from memory. */
  effort = 0

  /** @param {number} database */
  constructor (database) {
    this.#database = database
  }

  /**
   * Finds the document that has a key in a unique index, if that lies in memory.
   *
   * @param {Uint8Array} store from `nameBytes`, which gives the same bytes for the same name
   * @param {Uint8Array} index from `nameBytes`
   * @param {unknown} key from `plainKey`
   * @returns {unknown} the document, `undefined` where there is none, or `NOT_AT_HAND`
   */
  find (store, index, key) {
    const reader = this.#uniqueReaders.get(store)?.get(index) ?? this.#makeUniqueReader(store, index)
    return native.tryGet(reader, writeKey(key, keyRoom, 0))
  }

  /**
   * @param {Uint8Array} store
   * @param {Uint8Array} index
   */
  #makeUniqueReader (store, index) {
    const reader = native.uniqueReader(this.#database, store, index, keyRoom)
    const ofStore = emptied(this.#uniqueReaders).get(store) ?? new Map()
    this.#uniqueReaders.set(store, emptied(ofStore).set(index, reader))
    return reader
  }

  /** Lets go of what reads from the database. */
  close () {
    this.#uniqueReaders.clear()
  }

  /**
   * Does a read in the call, if that is soon done.
   *
   * @param {number} verb
   * @param {number} wants what the page that it asks for carries
   * @param {import('./connection.js').Pack} pack throws before anything has been done
   * @returns {any} its answer, or `NOT_AT_HAND`
   */
  answer (verb, wants, pack) {
    this.effort = 0
    const prospect = this.#prospectOf(verb)
    if (prospect === undefined || !prospect.isGood()) return NOT_AT_HAND
    try {
      pack(run.begin(verb, 0, 0))
      return run.fits ? this.#answer(run.length, wants, prospect) : NOT_AT_HAND
    } finally {
      run.reset()
    }
  }

  /** @param {number} verb */
  #prospectOf (verb) {
    const known = this.#prospects.get(verb)
    if (known !== undefined || !VERBS.has(verb)) return known
    const prospect = new Prospect()
    this.#prospects.set(verb, prospect)
    return prospect
  }

  /**
   * @param {number} length
   * @param {number} wants
   * @param {Prospect} prospect
   */
  #answer (length, wants, prospect) {
    this.#answerer ??= native.answerer(this.#database, room, out)
    const given = this.#answerer(length)
    if (given === 0) {
      prospect.learn(false)
      this.effort = EFFORT_OF_CALL + out.readUInt32LE(0) / STEPS_OF_EFFORT
      return readOneAnswer(out, wants, readDocument, NOT_AT_HAND)
    }
    if (given === TOO_MUCH) {
      prospect.learn(true)
      this.effort = EFFORT_OF_TOO_MUCH
    }
    return NOT_AT_HAND
  }
}

/**
 * The same map, with nothing in it where it holds too much.
 *
 * @template {Map<any, any>} T
 * @param {T} map
 * @returns {T}
 */
function emptied (map) {
  if (map.size >= READERS_MAX) map.clear()
  return map
}

exports.InCall = InCall
