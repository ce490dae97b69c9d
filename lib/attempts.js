'use strict'

/*
 * Functions that are run in a transaction: `update`, again and again while that ends in a conflict, and `view`.
 *
 * Invariant: the transaction of an attempt has ended before the next one begins, and when the call settles. The
 * database is not closed before that.
 */

const { FlowDBError, isOwn } = require('./errors.js')
const { checkCount, checkOptions, invalid, kindOf } = require('./names.js')
const { beginTransaction } = require('./transaction.js')

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
  const asked = checkOptions('update', options, { retries: 'any', signal: 'any', isolation: 'any' })
  const { retries = RETRIES_DEFAULT, signal, isolation } = asked
  checkCount('update', 'retries', retries)
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid(`signal of update is an AbortSignal, not ${kindOf(signal)}`)
  }
  session.checkUsable()
  const chosen = isolation === undefined ? undefined : { isolation }
  return await session.connection.hold(async () => {
    return await attempts(() => beginTransaction(session, stores, 'readwrite', chosen, true), change, { retries, signal })
  })
}

/**
 * @template T
 * @param {() => import('./transaction.js').Transaction} begin
 * @param {(tx: import('./transaction.js').Transaction) => T | Promise<T>} change
 * @param {{ retries: number, signal: AbortSignal | undefined }} limits
 * @returns {Promise<T>}
 */
async function attempts (begin, change, { retries, signal }) {
  for (let attempt = 0; ; attempt++) {
    checkWanted(signal)
    const tx = begin()
    try {
      return await runAndCommit(tx, change, signal)
    } catch (error) {
      // It may be anything: user's code threw it.
      if (!isConflict(error)) throw error
      if (attempt >= retries) throw givenUp(error, attempt + 1)
    }
    await pause(attempt, signal)
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
 * @param {import('./transaction.js').Transaction} tx
 * @param {(tx: import('./transaction.js').Transaction) => T | Promise<T>} change
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
async function runAndCommit (tx, change, signal) {
  try {
    const result = await untilAborted(async () => await change(tx), signal)
    // Who has ended it himself has decided.
    if (tx.isActive) await tx.commit()
    return result
  } finally {
    await tx[Symbol.asyncDispose]()
  }
}

/**
 * What `work` gives, unless the signal comes first. What it does then goes unnoticed.
 *
 * @template T
 * @param {() => Promise<T>} work
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
async function untilAborted (work, signal) {
  if (signal === undefined) return await work()
  let listener = ignore
  const aborted = new Promise((_resolve, reject) => {
    listener = () => reject(abortedBy(signal))
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
 * @param {number} attempt
 * @param {AbortSignal | undefined} signal
 */
async function pause (attempt, signal) {
  const longest = Math.min(2 ** Math.min(attempt, 10), PAUSE_MS_MAX)
  let timer
  try {
    await untilAborted(() => new Promise((resolve) => { timer = setTimeout(resolve, Math.random() * longest) }), signal)
  } finally {
    clearTimeout(timer)
  }
}

/** @param {AbortSignal | undefined} signal */
function checkWanted (signal) {
  if (signal?.aborted) throw abortedBy(signal)
}

/** @param {AbortSignal} signal */
function abortedBy (signal) {
  return new FlowDBError('FLOWDB_ABORTED', 'the update was aborted by its signal', { cause: signal.reason })
}

/**
 * @param {unknown} error
 * @returns {error is FlowDBError}
 */
function isConflict (error) {
  return isOwn(error) && error.code === 'FLOWDB_CONFLICT'
}

/**
 * @param {FlowDBError} conflict the last one
 * @param {number} attempts
 */
function givenUp (conflict, attempts) {
  const times = attempts === 1 ? 'its only attempt' : `each of its ${attempts} attempts`
  const message = `update gave up: ${times} ended in a conflict, the last one because ${conflict.message}`
  return new FlowDBError('FLOWDB_CONFLICT', message, { cause: conflict })
}

/**
 * @param {string} where
 * @param {unknown} work
 */
function checkFunction (where, work) {
  if (typeof work !== 'function') throw invalid(`${where} takes a function of a transaction, not ${kindOf(work)}`)
}

exports.update = update
exports.view = view
