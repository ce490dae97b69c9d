'use strict'

/*
 * All faults, area by area, and how a fault is put into a text.
 *
 * Invariant: a fault fits its file exactly once. One that no longer does is an error and never a fault that nobody
 * found: the code has moved on, and the fault has to follow it.
 */

const { Failure } = require('../steps')

/**
 * @typedef {object} Fault
 * @property {string} name what is wrong, as a sentence
 * @property {string} file
 * @property {string} from what stands in the file, exactly once
 * @property {string} to what stands there instead
 * @property {import('./tests').Test[]} tests those that are to find it, the cheapest first
 */

/** @type {[area: string, faults: Fault[]][]} */
const AREAS = [
  ['durability', require('./durability')],
  ['tables', require('./tables')],
  ['reads', require('./reads')],
  ['compaction', require('./compaction')],
  ['documents', require('./documents')],
  ['node', require('./node')]
]

/** Every fault with its area. */
const FAULTS = AREAS.flatMap(([area, faults]) => faults.map((fault) => ({ area, ...fault })))

/**
 * The text with the fault in it.
 *
 * @param {string} text
 * @param {Fault} fault
 */
function inject (text, { name, file, from, to }) {
  const parts = text.split(from)
  if (parts.length !== 2) {
    const found = parts.length === 1 ? 'is not there' : `is there ${parts.length - 1} times`
    throw new Failure(`the fault no longer fits the code: ${name}\n  ${file}: ${JSON.stringify(from)} ${found}`)
  }
  return parts.join(to)
}

module.exports = { AREAS, FAULTS, inject }
