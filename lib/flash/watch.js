'use strict'

/* Watching the entries of a store or namespace: the changes of ../watch.js, in a Map's words. */

const { BOUND_NAMES, KeyRange } = require('../key-range.js')
const { entriesOf, invalid } = require('../names.js')
const { watch } = require('../watch.js')
const { PLACE } = require('./place.js')
const { Updates } = require('./updates.js')

/** @typedef {import('../change-reader.js').Change} Change */

class Watching extends Updates {
  /**
   * Iterates over committed changes, in the order of the commits.
   *
   * @param {unknown} [options] `{ key }`, `{ prefix }`, `{ gt, gte, lt, lte }` or `{ range }`, and
   *   `{ values, oldValues, buffer, overflow, signal }`
   */
  watch (options = {}) {
    const { session, store } = this[PLACE]
    const { bounds, others } = split(entriesOf('watch', options))
    return watch(session, { values: true, ...others, ...bounds, store }, toChange)
  }
}

/**
 * What is watched, and how.
 *
 * @param {[string, unknown][]} given
 */
function split (given) {
  /** @type {Record<string, unknown>} */
  const bounds = {}
  /** @type {Record<string, unknown>} */
  const others = {}
  for (const [name, value] of given) {
    if (name === 'store') throw invalid('watch has no option "store": watch the namespace')
    // What says where is refused where it is undefined, so that who computed it wrongly does not watch everything.
    if (BOUND_NAMES.includes(name)) bounds[name] = value
    else if (value !== undefined || name === 'key') others[name] = value
  }
  const ranges = []
  if (Object.hasOwn(others, 'key')) ranges.push(KeyRange.only(others.key))
  if (Object.hasOwn(others, 'range')) ranges.push(others.range)
  if (Object.keys(bounds).length > 0) ranges.push(bounds)
  if (ranges.length > 1) throw invalid('watch takes a key, a range or the names of its bounds, and not two of them')
  delete others.key
  return { bounds: ranges.length === 0 ? {} : { range: ranges[0] }, others }
}

/**
 * A change without the name of its store. A namespace that is dropped has no entries any more, and may come again.
 *
 * @param {Change} change
 */
function toChange ({ store: _store, ...change }) {
  if (change.type === 'put') return { ...change, type: 'set' }
  return change.type === 'drop' ? { type: 'clear' } : change
}

exports.Watching = Watching
