'use strict'

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
    super(message, options)
    /** @type {string} */
    this.code = code
  }
}

Object.defineProperty(FlowDBError.prototype, 'name', {
  value: 'FlowDBError', configurable: true, enumerable: false, writable: true
})

exports.FlowDBError = FlowDBError
