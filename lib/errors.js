'use strict'

const { types } = require('node:util')

/** An argument that is refused deep in a key is refused at most so many calls below the public one. */
const OWN_FRAMES_MAX = 15

/**
 * The errors of FlowDB's. Asked instead of `instanceof`, because what a user's code throws may have a prototype that
 * answers that with more of its code.
 *
 * @type {WeakSet<object>}
 */
const own = new WeakSet()

/** Messages show so much of a text. */
const SHOWN_MAX = 100

/**
 * The error of everything in FlowDB that can fail.
 *
 * `code` is API (`FLOWDB_CONFLICT`, `FLOWDB_INVALID_KEY`, …) and may be matched on; the message is for people.
 */
class FlowDBError extends Error {
  /**
   * @param {string} code
   * @param {string} message what was being done, to what, and what can be done about it
   * @param {{ cause?: unknown }} [options]
   */
  constructor (code, message, options) {
    // The frames of this package come first, and the caller's is the one that helps.
    const limit = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')
    const isOurs = limit?.writable === true && limit.value > 0
    if (isOurs) Error.stackTraceLimit = limit.value + OWN_FRAMES_MAX
    super(message, options)
    if (isOurs) Error.stackTraceLimit = limit.value
    /** @type {string} */
    this.code = code
    own.add(this)
  }
}

Object.defineProperty(FlowDBError.prototype, 'name', {
  value: 'FlowDBError', configurable: true, enumerable: false, writable: true
})

/** @param {string} text */
const cut = (text) => text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text

/**
 * Whether something that was thrown is an error of FlowDB's. Safe for whatever a user's code throws.
 *
 * @param {unknown} error
 * @returns {error is FlowDBError}
 */
const isOwn = (error) => own.has(/** @type {object} */ (error))

/**
 * Why a user's code failed, in a few words.
 *
 * @param {unknown} error anything: it was thrown by that code
 * @returns {string}
 */
function reasonOf (error) {
  try {
    // An error of a user's may have anything for a message, or a getter that throws.
    if (types.isNativeError(error) && typeof error.message === 'string') return cut(error.message)
  } catch {
    // Then it says no more than what is no error.
  }
  return `something that is no error was thrown (${typeof error})`
}

/**
 * Calls `read`, which may run a user's code: getters, iterators, the traps of proxies. What that throws becomes the
 * cause of an error of FlowDB's.
 *
 * @template T
 * @param {string} code
 * @param {string} what for the message
 * @param {() => T} read
 * @returns {T}
 */
function reading (code, what, read) {
  try {
    return read()
  } catch (cause) {
    throw unreadable(code, what, cause)
  }
}

/**
 * @param {string} code
 * @param {string} what for the message
 * @param {unknown} cause anything that was thrown while it was read; errors of FlowDB's stay what they are
 * @returns {FlowDBError}
 */
function unreadable (code, what, cause) {
  return isOwn(cause) ? cause : new FlowDBError(code, `${what} can't be read: ${reasonOf(cause)}`, { cause })
}

exports.cut = cut
exports.isOwn = isOwn
exports.reading = reading
exports.reasonOf = reasonOf
exports.unreadable = unreadable
exports.FlowDBError = FlowDBError
