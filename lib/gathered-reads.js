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

const { keysOf, putAnother } = require('./key-buffer.js')
const { NOT_AT_HAND, tryGetMany } = require('./native.js')

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
  // All is read before anything is resolved: that might run code of a user's, which reads.
  if (values.includes(NOT_AT_HAND)) readRest(of, values)
  source = undefined
  count = 0
  keysEnd = 0
  resolves = new Array(TOGETHER_MAX)
  for (let place = 0; place < values.length; place++) of.resolve(waiting[place], values[place])
  of.end()
}

/**
 * @param {Source} of
 * @param {unknown[]} values gets promises for those that are not at hand
 */
function readRest (of, values) {
  const keys = keysOf(values.length)
  for (let place = 0; place < values.length; place++) {
    if (values[place] === NOT_AT_HAND) values[place] = of.readLater(keys[place])
  }
}

exports.flush = flush
exports.gather = gather
exports.isWorthwhile = isWorthwhile
