'use strict'

/*
 * Changing a document by what it holds.
 *
 * A function of a user's computes the change, and may take its time: nothing is locked meanwhile. The document was read
 * with a stamp; the change goes with that, and the addon makes it only where the document is still the same. Otherwise
 * the function is called again, with the document that there is now.
 *
 * Invariant: of the calls on one key of one session, one at a time runs its function, so that they don't undo each
 * other's attempts. A call does not wait long for a function, though: one within another must not wait for ever.
 */

const timers = require('node:timers/promises')
const { FlowDBError } = require('./errors.js')
const { encodeKey, plainKey } = require('./key.js')
const moment = require('./moment.js')
const { invalid, kindOf, nameBytes } = require('./names.js')
const { VERB } = require('./packing.js')
const { encodeDocument, encodeText } = require('./values.js')

/** What the function of `modify` returns to delete the document. */
const DELETE = Symbol('FlowDB.DELETE')

/** After so many attempts `modify` gives up. */
const ATTEMPTS_MAX = 100
/** So long a call waits for the function of the one before it. */
const TURN_MS_MAX = 100
/** So many attempts follow each other at once; each further one comes after a pause, and reads the document anew. */
const ATTEMPTS_AT_ONCE = 10
const PAUSE_MS_MAX = 20

/** @typedef {import('./session.js').Session} Session */

/**
 * A document and what tells it from others, or what became of a change.
 *
 * @typedef {object} Stamped
 * @property {boolean} done whether the change was made; the stamp is that of the document as it is now
 * @property {Uint8Array} stamp
 * @property {unknown} document `undefined` where there is none
 */

/**
 * What the call is named for its user, and how it writes what the function returns.
 *
 * @typedef {{ where: string, encode: (document: unknown) => import('./values.js').Encoded }} How
 */

/** @type {How} */
const HOW = { where: 'modify', encode: encodeDocument }

/** The last call on each key, for each session by store and key. @type {WeakMap<Session, Map<string, Turn>>} */
const turns = new WeakMap()

/**
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} key
 * @param {unknown} change
 * @param {How} [how]
 * @returns {Promise<any>} the document as it is then
 */
function modify (session, store, key, change, how = HOW) {
  return session.compose({ store, isWrite: true }, () => {
    const place = toPlace(store, key)
    if (typeof change !== 'function') throw invalid(`${how.where} takes a function, not ${kindOf(change)}`)
    const compute = /** @type {(document: unknown) => unknown} */ (change)
    return inTurn(session, `${store}\0${place.key.toString('latin1')}`, (turn) => attempts(session, place, compute, how, turn))
  })
}

/**
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} key
 * @param {unknown} change a merge patch
 * @returns {Promise<boolean>} whether there was a document
 */
function patch (session, store, key, change) {
  return session.attempt(VERB.PATCH, { store, isWrite: true }, () => {
    const place = toPlace(store, key)
    const text = encodeText(change)
    return (run) => run.bytes32(place.name).bytes32(place.key).text(text)
  })
}

/**
 * Where a document is.
 *
 * @typedef {object} Place
 * @property {unknown} store
 * @property {Uint8Array} name
 * @property {Buffer} key
 */

/**
 * @param {unknown} store
 * @param {unknown} key
 * @returns {Place}
 */
const toPlace = (store, key) => ({ store, name: nameBytes('store', store), key: encodeKey(plainKey(key)) })

/**
 * @param {Session} session
 * @param {Place} place
 * @param {(document: unknown) => unknown} compute
 * @param {How} how
 * @param {Turn} turn
 */
async function attempts (session, place, compute, { where, encode }, turn) {
  let now = await readStamped(session, place)
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const wanted = await turn.compute(compute, now.document)
    if (wanted === undefined) return now.document
    const document = wanted === DELETE ? undefined : wanted
    now = await changeStamped(session, place, now.stamp, document, encode)
    if (now.done) return document
    if (attempt < ATTEMPTS_AT_ONCE) continue
    await timers.setTimeout(Math.random() * Math.min(2 ** (attempt - ATTEMPTS_AT_ONCE), PAUSE_MS_MAX))
    now = await readStamped(session, place)
  }
  const message = `${where}: the document was changed by others in each of ${ATTEMPTS_MAX} attempts`
  throw new FlowDBError('FLOWDB_CONFLICT', message)
}

/**
 * @param {Session} session
 * @param {Place} place
 * @returns {Promise<Stamped>}
 */
function readStamped (session, { store, name, key }) {
  return session.issue(VERB.GET_STAMPED, { store, isStep: true }, (run) => run.bytes32(name).bytes32(key))
}

/**
 * Changes a document where it is still the one of the stamp.
 *
 * @param {Session} session
 * @param {Place} place
 * @param {Uint8Array} stamp
 * @param {unknown} document `undefined` to delete it
 * @param {How['encode']} [encode]
 * @returns {Promise<Stamped>}
 */
function changeStamped (session, { store, name, key }, stamp, document, encode = encodeDocument) {
  const encoded = document === undefined ? undefined : encode(document)
  return session.issue(VERB.CHANGE, { store, isWrite: true, isStep: true }, (run) => {
    run.bytes32(name).bytes32(key).raw(stamp)
    if (encoded === undefined) run.u8(0)
    else run.document(encoded)
  })
}

/** A call's place in the queue of those on its key. */
class Turn {
  #isDone = false
  /** When its function was called, while that has not ended. @type {number | undefined} */
  #computesSince
  begin = () => {}
  #done = () => {}
  #whenBegun = new Promise((resolve) => { this.begin = () => resolve(undefined) })
  /** @type {Promise<void>} */
  #whenDone = new Promise((resolve) => { this.#done = resolve })

  end () {
    this.#isDone = true
    this.begin()
    this.#done()
  }

  /**
   * @param {(document: unknown) => unknown} compute
   * @param {unknown} document
   */
  async compute (compute, document) {
    this.#computesSince = moment.now()
    try {
      return await compute(document)
    } finally {
      this.#computesSince = undefined
    }
  }

  /**
   * Waits until it has ended, or its function takes so long that it may be waiting for who waits here. A machine that
   * is slow in all else makes nobody go out of turn: that would make it slower.
   */
  async over () {
    await this.#whenBegun
    while (!this.#isDone) {
      const since = this.#computesSince ?? moment.now()
      const left = since + TURN_MS_MAX - moment.now()
      if (left <= 0) return
      await atMost(left, this.#whenDone)
    }
  }
}

/**
 * @template T
 * @param {Session} session
 * @param {string} id
 * @param {(turn: Turn) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function inTurn (session, id, work) {
  let ofSession = turns.get(session)
  if (ofSession === undefined) turns.set(session, ofSession = new Map())
  const before = ofSession.get(id)
  const turn = new Turn()
  ofSession.set(id, turn)
  try {
    if (before !== undefined) await before.over()
    turn.begin()
    return await work(turn)
  } finally {
    turn.end()
    if (ofSession.get(id) === turn) ofSession.delete(id)
  }
}

/**
 * @param {number} ms
 * @param {Promise<void>} promise
 */
async function atMost (ms, promise) {
  let timer
  const late = new Promise((resolve) => { timer = setTimeout(resolve, ms) })
  await Promise.race([promise, late])
  clearTimeout(timer)
}

exports.DELETE = DELETE
exports.changeStamped = changeStamped
exports.modify = modify
exports.patch = patch
exports.toPlace = toPlace
