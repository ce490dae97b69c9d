'use strict'

/*
 * Functions that are run in a transaction: `update`, again and again while that ends in a conflict, and `view`.
 *
 * Invariant: the transaction of an attempt has ended before the next one begins, and when the call settles. The
 * database is not closed before that.
 */

const { FlowDBError, isOwn } = require('./errors.js')
const { checkCount, checkOptions, checkSignal, invalid, kindOf } = require('./names.js')
const { Transaction, beginSession, beginTransaction } = require('./transaction.js')

/** So many more attempts are made after the first. */
const RETRIES_DEFAULT = 100

/** The longest pause between two attempts, in milliseconds. */
const PAUSE_MS_MAX = 50

const ignore = () => {}

/**
 * Runs `change` in a transaction that writes, and commits it.
 *
 * @template T
 * @param {import('./session.js').Session} session
 * @param {unknown} stores
 * @param {(tx: import('./transaction.js').Transaction) => T | Promise<T>} change
 * @param {unknown} options
 * @returns {Promise<T>}
 */
async function update (session, stores, change, options) {
  checkFunction('update', change)
  return await attempt('update', session, stores, (within) => change(new Transaction(within)), options)
}

/**
 * Runs `change` with the session of a transaction that writes, and commits that.
 *
 * @template T
 * @param {string} where
 * @param {import('./session.js').Session} session
 * @param {unknown} stores
 * @param {(within: import('./transaction.js').TransactionSession) => T | Promise<T>} change
 * @param {unknown} options
 * @returns {Promise<T>}
 */
async function attempt (where, session, stores, change, options) {
  const asked = checkOptions(where, options, { retries: 'any', signal: 'any', isolation: 'any' })
  const { retries = RETRIES_DEFAULT, isolation } = asked
  checkCount(where, 'retries', retries)
  const signal = checkSignal(where, asked.signal)
  session.checkUsable()
  const chosen = isolation === undefined ? undefined : { isolation }
  const begin = () => beginSession(session, stores, 'readwrite', chosen, true)
  return await session.connection.hold(() => attempts(where, begin, change, { retries, signal }))
}

/**
 * @template T
 * @param {string} where
 * @param {() => import('./transaction.js').TransactionSession} begin
 * @param {(within: import('./transaction.js').TransactionSession) => T | Promise<T>} change
 * @param {{ retries: number, signal: AbortSignal | undefined }} limits
 * @returns {Promise<T>}
 */
async function attempts (where, begin, change, { retries, signal }) {
  for (let made = 0; ; made++) {
    checkWanted(where, signal)
    const within = begin()
    try {
      return await runAndCommit(where, within, change, signal)
    } catch (error) {
      // It may be anything: user's code threw it.
      if (!isConflict(error)) throw error
      if (made >= retries) throw givenUp(where, error, made + 1)
    }
    await pause(where, made, signal)
  }
}

/**
 * Runs `read` in a read-only transaction: all that it reads is of one moment.
 *
 * @template T
 * @param {import('./session.js').Session} session
 * @param {unknown} stores
 * @param {(tx: import('./transaction.js').Transaction) => T | Promise<T>} read
 * @returns {Promise<T>}
 */
async function view (session, stores, read) {
  checkFunction('view', read)
  session.checkUsable()
  return await session.connection.hold(async () => {
    const tx = beginTransaction(session, stores, 'readonly', undefined, true)
    try {
      return await read(tx)
    } finally {
      await tx[Symbol.asyncDispose]()
    }
  })
}

/**
 * @template T
 * @param {string} where
 * @param {import('./transaction.js').TransactionSession} within
 * @param {(within: import('./transaction.js').TransactionSession) => T | Promise<T>} change
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
async function runAndCommit (where, within, change, signal) {
  try {
    const result = await untilAborted(where, async () => await change(within), signal)
    // Who has ended it himself has decided.
    if (within.isActive) await within.commit()
    return result
  } finally {
    if (within.isActive) await within.abort()
  }
}

/**
 * What `work` gives, unless the signal comes first. What it does then goes unnoticed.
 *
 * @template T
 * @param {string} where
 * @param {() => Promise<T>} work
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
async function untilAborted (where, work, signal) {
  if (signal === undefined) return await work()
  let listener = ignore
  const aborted = new Promise((_resolve, reject) => {
    listener = () => reject(abortedBy(where, signal))
    signal.addEventListener('abort', listener)
  })
  aborted.catch(ignore)
  try {
    return await Promise.race([work(), aborted])
  } finally {
    signal.removeEventListener('abort', listener)
  }
}

/**
 * Waits for a random part of a time that doubles with each attempt, so that those who conflicted don't meet again.
 *
 * @param {string} where
 * @param {number} made how many attempts there were
 * @param {AbortSignal | undefined} signal
 */
async function pause (where, made, signal) {
  const longest = Math.min(2 ** Math.min(made, 10), PAUSE_MS_MAX)
  let timer
  try {
    const over = () => new Promise((resolve) => { timer = setTimeout(resolve, Math.random() * longest) })
    await untilAborted(where, over, signal)
  } finally {
    clearTimeout(timer)
  }
}

/**
 * @param {string} where
 * @param {AbortSignal | undefined} signal
 */
function checkWanted (where, signal) {
  if (signal?.aborted) throw abortedBy(where, signal)
}

/**
 * @param {string} where
 * @param {AbortSignal} signal
 */
function abortedBy (where, signal) {
  return new FlowDBError('FLOWDB_ABORTED', `the ${where} was aborted by its signal`, { cause: signal.reason })
}

/**
 * @param {unknown} error
 * @returns {error is FlowDBError}
 */
function isConflict (error) {
  return isOwn(error) && error.code === 'FLOWDB_CONFLICT'
}

/**
 * @param {string} where
 * @param {FlowDBError} conflict the last one
 * @param {number} attempts
 */
function givenUp (where, conflict, attempts) {
  const times = attempts === 1 ? 'its only attempt' : `each of its ${attempts} attempts`
  const message = `${where} gave up: ${times} ended in a conflict, the last one because ${conflict.message}`
  return new FlowDBError('FLOWDB_CONFLICT', message, { cause: conflict })
}

/**
 * @param {string} where
 * @param {unknown} work
 */
function checkFunction (where, work) {
  if (typeof work !== 'function') throw invalid(`${where} takes a function of a transaction, not ${kindOf(work)}`)
}

exports.attempt = attempt
exports.update = update
exports.view = view
