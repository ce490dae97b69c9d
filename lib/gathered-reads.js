'use strict'

/*
 * Reads that follow each other in one turn, such as those of `Promise.all`: they are gathered and read from memory
 * together, which takes far less than one after the other (src/engine/read_many.rs).
 *
 * Whoever awaits each read before the next one gets each in the call; so reads are gathered only once many have come in
 * a row in which no microtask ran, and until few come in a turn.
 *
 * Invariant: what was gathered is read before anything that was issued later is handed over. So a read sees what was
 * there when it was issued, and nothing that its connection wrote later.
 */

const { keysOf, putAnother, putEncoded } = require('./key-buffer.js')
const { NOT_AT_HAND, tryGet, tryGetMany } = require('./native.js')

/** So many reads in a row, without a microtask in between, are followed by others … */
const ROW_MIN = 64
/** … if no microtask has run when so many more have come. */
const ROW_MORE = 8

/** Where fewer come in a turn, they are better answered in the call. */
const TURN_MIN = 8

/** So many are read together. */
const TOGETHER_MAX = 32

/**
 * Whose reads they are, and of what.
 *
 * @typedef {object} Source
 * @property {import('./native.js').Reader} read
 * @property {boolean} isHas they ask only whether there is a document
 * @property {() => void} begin called when the first is gathered …
 * @property {() => void} end … and when all have been read
 * @property {(resolve: (value: any) => void, value: unknown) => void} resolve
 * @property {(key: Uint8Array) => Promise<any>} readLater reads what is not at hand
 */

/** @type {Source | undefined} */
let source
let count = 0
let keysEnd = 0
/** @type {((value: any) => void)[]} */
let resolves = new Array(TOGETHER_MAX)

let row = 0
let isGathering = false
/** How many have come in this turn, once any has been gathered. */
let inTurn = 0
let awaitsEnd = false

/** What the promise that was made last is resolved by. @type {(value: any) => void} */
let made
const take = (/** @type {(value: any) => void} */ resolve) => { made = resolve }

/** Whether the read that is issued now had better be gathered. */
function isWorthwhile () {
  if (isGathering) return true
  if (++row < ROW_MIN) return false
  if (row === ROW_MIN) queueMicrotask(endRow)
  isGathering = row === ROW_MIN + ROW_MORE
  return isGathering
}

function endRow () {
  row = 0
}

/**
 * Gathers a read.
 *
 * @param {Source} of
 * @param {unknown} key from `plainKey`
 * @returns {Promise<any>}
 */
function gather (of, key) {
  if (of !== source) flush()
  let end = putAnother(key, keysEnd)
  if (end < 0) {
    flush()
    end = putAnother(key, 0)
  }
  const promise = new Promise(take)
  if (count === 0) begin(of)
  keysEnd = end
  resolves[count++] = made
  inTurn++
  if (count === TOGETHER_MAX) flush()
  return promise
}

/** @param {Source} of */
function begin (of) {
  source = of
  of.begin()
  if (awaitsEnd) return
  awaitsEnd = true
  inTurn = 0
  queueMicrotask(endTurn)
}

function endTurn () {
  awaitsEnd = false
  isGathering = inTurn >= TURN_MIN
  row = 0
  flush()
}

/** Reads what has been gathered. */
function flush () {
  if (source === undefined || count === 0) return
  const of = source
  const waiting = resolves
  const values = tryGetMany(of.read, count, of.isHas)
  // Copied before others may be gathered: to read the rest may send what waits, which comes back here.
  const keys = values.includes(NOT_AT_HAND) ? keysOf(values.length) : []
  source = undefined
  count = 0
  keysEnd = 0
  resolves = new Array(TOGETHER_MAX)
  // All is read before anything is resolved: that might run code of a user's, which reads.
  const later = keys.map((key, place) => readAlone(of, key, values, place))
  for (let place = 0; place < values.length; place++) {
    const promise = later[place]
    // At once, for it may be rejected before the event loop has turned: nobody would have looked at it then.
    if (promise === undefined) of.resolve(waiting[place], values[place])
    else waiting[place](promise)
  }
  of.end()
}

/**
 * Reads one that was not found together with the others: there may have been no room for all of their answers.
 *
 * @param {Source} of
 * @param {Uint8Array} key
 * @param {unknown[]} values gets the value, if it is at hand
 * @param {number} place
 * @returns {Promise<any> | undefined} where it is not
 */
function readAlone (of, key, values, place) {
  if (values[place] !== NOT_AT_HAND) return undefined
  if (!of.isHas) values[place] = tryAlone(of.read, key)
  return values[place] === NOT_AT_HAND ? of.readLater(key) : undefined
}

/**
 * @param {import('./native.js').Reader} read
 * @param {Uint8Array} key
 */
function tryAlone (read, key) {
  try {
    return tryGet(read, putEncoded(key))
  } catch {
    // The operation tells why it can't be read.
    return NOT_AT_HAND
  }
}

exports.flush = flush
exports.gather = gather
exports.isWorthwhile = isWorthwhile
