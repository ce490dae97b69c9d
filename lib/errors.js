'use strict'

/** An argument that is refused deep in a key is refused at most so many calls below the public one. */
const OWN_FRAMES_MAX = 15

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
  }
}

Object.defineProperty(FlowDBError.prototype, 'name', {
  value: 'FlowDBError', configurable: true, enumerable: false, writable: true
})

exports.FlowDBError = FlowDBError
