'use strict'

/* The errors of `flowdb/level`: they have the codes that abstract-level's users know, and ours for a cause. */

const { isOwn } = require('./errors.js')

/**
 * Codes of ours and those that abstract-level has for them; it has no others. What it has none for gets the nearest:
 * that of a store which could not do its work, or that of what can't be asked of this one.
 *
 * @type {Record<string, string>}
 */
const CODES = {
  FLOWDB_ABORTED: 'LEVEL_ABORTED',
  FLOWDB_BUSY: 'LEVEL_IO_ERROR',
  FLOWDB_CLOSED: 'LEVEL_DATABASE_NOT_OPEN',
  FLOWDB_CONFLICT: 'LEVEL_IO_ERROR',
  FLOWDB_CONSTRAINT: 'LEVEL_NOT_SUPPORTED',
  FLOWDB_CORRUPTION: 'LEVEL_CORRUPTION',
  FLOWDB_EXISTS: 'LEVEL_NOT_SUPPORTED',
  FLOWDB_INTERNAL: 'LEVEL_IO_ERROR',
  FLOWDB_INVALID_ARGUMENT: 'LEVEL_NOT_SUPPORTED',
  FLOWDB_INVALID_KEY: 'LEVEL_INVALID_KEY',
  FLOWDB_INVALID_VALUE: 'LEVEL_INVALID_VALUE',
  FLOWDB_IO: 'LEVEL_IO_ERROR',
  FLOWDB_LOCKED: 'LEVEL_LOCKED',
  FLOWDB_NOT_CLONEABLE: 'LEVEL_INVALID_VALUE',
  // As of classic-level, where there is no directory to open or to repair.
  FLOWDB_NOT_FOUND: 'LEVEL_IO_ERROR',
  FLOWDB_OVERFLOW: 'LEVEL_IO_ERROR',
  FLOWDB_POISONED: 'LEVEL_IO_ERROR',
  FLOWDB_READ_ONLY: 'LEVEL_READONLY',
  FLOWDB_TRANSACTION_INACTIVE: 'LEVEL_NOT_SUPPORTED',
  FLOWDB_UNSUPPORTED: 'LEVEL_NOT_SUPPORTED',
  FLOWDB_VERSION: 'LEVEL_NOT_SUPPORTED',
  FLOWDB_WRONG_TYPE: 'LEVEL_NOT_SUPPORTED'
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

/** What ends because it was aborted, as abstract-level says it. */
class AbortError extends LevelError {
  /**
   * @param {unknown} cause
   * @param {string} [message]
   */
  constructor (cause, message = 'The operation was aborted by its signal') {
    super('LEVEL_ABORTED', message, cause)
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
  const code = CODES[error.code]
  return code === 'LEVEL_ABORTED' ? new AbortError(error, error.message) : new LevelError(code, error.message, error)
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
exports.toLevelError = toLevelError
exports.told = told
exports.toldSync = toldSync
