'use strict'

/* Checks of answers. What an engine gives is compared with what was put in, all of it. */

const { isDeepStrictEqual } = require('node:util')
const { inSlices } = require('./clock.js')
const { documentOf, keyOf, valueOf } = require('./data.js')

/** An engine gave an answer that is not the right one. */
class WrongAnswer extends Error {}

/** Something that an engine does not have or can't do, and why. */
class Cannot extends Error {}

/**
 * @param {boolean} isRight
 * @param {() => string} describe
 */
function check (isRight, describe) {
  if (!isRight) throw new WrongAnswer(describe())
}

/** @param {unknown} value */
const shown = (value) => {
  const json = JSON.stringify(value)
  return json === undefined ? String(value) : json.slice(0, 80)
}

/**
 * @param {number} n
 * @param {unknown} value
 * @param {number} bytes
 */
function checkValue (n, value, bytes) {
  check(value === valueOf(n, bytes), () => `entry ${n} has the value ${shown(value)}`)
}

/**
 * Nothing, as engines say it.
 *
 * @param {unknown} value
 */
function checkMiss (value) {
  check(value === undefined || value === null, () => `a key that is not there has the value ${shown(value)}`)
}

/**
 * @param {number} n
 * @param {unknown} document
 * @param {number} bytes
 */
function checkDocument (n, document, bytes) {
  check(isDeepStrictEqual(document, documentOf(n, bytes)), () => `document ${n} is ${shown(document)}`)
}

/**
 * Entries that follow each other.
 *
 * @param {number} first the number of the first entry
 * @param {readonly (readonly [unknown, unknown])[]} entries
 * @param {number} bytes
 */
function checkEntries (first, entries, bytes) {
  return inSlices(entries, ([key, value], at) => {
    check(key === keyOf(first + at), () => `${shown(key)} stands where ${keyOf(first + at)} should`)
    checkValue(first + at, value, bytes)
  })
}

exports.Cannot = Cannot
exports.WrongAnswer = WrongAnswer
exports.check = check
exports.checkDocument = checkDocument
exports.checkEntries = checkEntries
exports.checkMiss = checkMiss
exports.checkValue = checkValue
exports.shown = shown
