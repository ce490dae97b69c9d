'use strict'

/* The errors of `flowdb/level`: they have the codes that abstract-level's users know, and ours for a cause. */

const { isOwn } = require('./errors.js')

/** Codes of ours and those that abstract-level has for them. @type {Record<string, string>} */
const CODES = {
  FLOWDB_CLOSED: 'LEVEL_DATABASE_NOT_OPEN',
  FLOWDB_CORRUPTION: 'LEVEL_CORRUPTION',
  FLOWDB_INVALID_KEY: 'LEVEL_INVALID_KEY',
  FLOWDB_INVALID_VALUE: 'LEVEL_INVALID_VALUE',
  FLOWDB_IO: 'LEVEL_IO_ERROR',
  FLOWDB_LOCKED: 'LEVEL_LOCKED',
  FLOWDB_POISONED: 'LEVEL_IO_ERROR',
  FLOWDB_READ_ONLY: 'LEVEL_READONLY',
  FLOWDB_UNSUPPORTED: 'LEVEL_NOT_SUPPORTED'
}

/** An error with a code of abstract-level's. */
class LevelError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor (code, message, cause) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** What ends because its signal was aborted, as abstract-level says it. */
class AbortError extends LevelError {
  /** @param {unknown} cause */
  constructor (cause) {
    super('LEVEL_ABORTED', 'The operation was aborted by its signal', cause)
  }

  get name () {
    return 'AbortError'
  }
}

/**
 * @param {unknown} error
 * @returns {unknown} the error that abstract-level's users know for it
 */
function toLevelError (error) {
  if (!isOwn(error) || !Object.hasOwn(CODES, error.code)) return error
  return new LevelError(CODES[error.code], error.message, error)
}

/**
 * What some work gives; its error is one that abstract-level's users know.
 *
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
async function told (work) {
  try {
    return await work
  } catch (error) {
    throw toLevelError(error)
  }
}

/**
 * As `told`, of work in the call.
 *
 * @template T
 * @param {() => T} work
 * @returns {T}
 */
function toldSync (work) {
  try {
    return work()
  } catch (error) {
    throw toLevelError(error)
  }
}

exports.AbortError = AbortError
exports.LevelError = LevelError
exports.told = told
exports.toldSync = toldSync
