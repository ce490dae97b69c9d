'use strict'

/*
 * Upgrades: what `FlowDB.open` does with the version and the function that it is given.
 *
 * The function works in one transaction on all stores, in which stores and indexes are created and deleted, too. All
 * that is asked of the database meanwhile waits (`connection.js`). It is committed when the function has resolved, with
 * the version; where anything fails, nothing has happened and the database is not open.
 */

const { Definitions } = require('./definitions.js')
const { FlowDBError, isOwn } = require('./errors.js')
const { entriesOf, invalid, kindOf } = require('./names.js')
const { VERB } = require('./packing.js')
const { Session } = require('./session.js')
const { Transaction, TransactionSession } = require('./transaction.js')

/** How long to wait before it is looked again whether another's upgrade has ended, in milliseconds. */
const BETWEEN_LOOKS_MS = 5

const ignore = () => {}

/** @typedef {import('./connection.js').Connection} Connection */

/**
 * What changes a database from one version of its schema to another.
 *
 * @typedef {(db: UpgradeDatabase, oldVersion: number, newVersion: number, tx: UpgradeTransaction) => unknown} Change
 */

/**
 * Takes version and upgrade out of the options of `open`.
 *
 * @param {string} where
 * @param {unknown} options
 * @returns {{ rest: Record<string, unknown>, upgrade?: (connection: Connection) => Promise<number> }}
 */
function readOpening (where, options) {
  const entries = entriesOf(where, options)
  const rest = Object.fromEntries(entries.filter(([name]) => name !== 'version' && name !== 'upgrade'))
  const given = (/** @type {string} */ name) => entries.find(([other]) => other === name)?.[1]
  const [version, change] = [given('version'), given('upgrade')]
  if (change !== undefined && typeof change !== 'function') {
    throw invalid(`upgrade of ${where} is a function, not ${kindOf(change)}`)
  }
  if (version === undefined) {
    if (change !== undefined) throw invalid(`${where} takes upgrade together with the version that it leads to`)
    return { rest }
  }
  if (!Number.isSafeInteger(version) || version < 1) {
    throw invalid(`version of ${where} is a whole number from 1, not ${kindOf(version)}`)
  }
  return { rest, upgrade: (connection) => upgrade(connection, version, change ?? ignore) }
}

/**
 * Upgrades the database that is being opened, if it needs it.
 *
 * @param {Connection} connection
 * @param {number} version
 * @param {Change} change
 * @returns {Promise<number>} the version
 */
async function upgrade (connection, version, change) {
  const id = connection.nextId()
  const before = await begin(connection, id, version)
  // It has the version, perhaps by the upgrade of another opener.
  if (before === undefined) return version
  const session = new TransactionSession(new Session(connection), [], false, false, { upgrade: id })
  const tx = new UpgradeTransaction(session)
  try {
    await change(new UpgradeDatabase(session, before), before, version, tx)
    if (!session.isActive) throw new FlowDBError('FLOWDB_ABORTED', `the upgrade to version ${version} was aborted`)
    await session.commit()
  } catch (error) {
    if (session.isActive) await session.abort().catch(ignore)
    throw error
  }
  return version
}

/**
 * Begins the upgrade. While another one is under way, in this thread or another, it waits.
 *
 * @param {Connection} connection
 * @param {number} id
 * @param {number} version
 * @returns {Promise<number | undefined>} the version before; `undefined` where there is nothing to upgrade
 */
async function begin (connection, id, version) {
  const way = { transaction: id, isWrite: true, isFirst: true }
  for (;;) {
    try {
      return await connection.issue(VERB.BEGIN_UPGRADE, way, (run) => run.i64(version))
    } catch (error) {
      if (!isOwn(error) || error.code !== 'FLOWDB_BUSY') throw error
    }
    if (connection.isClosed) {
      throw new FlowDBError('FLOWDB_CLOSED', 'the database was closed while it waited for the upgrade of another opener')
    }
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_LOOKS_MS))
  }
}

/** The database as its upgrade sees it: every call belongs to the upgrade. */
class UpgradeDatabase extends Definitions {
  #version

  /**
   * @param {TransactionSession} session
   * @param {number} version
   */
  constructor (session, version) {
    super(session)
    this.#version = version
  }

  /** The version before the upgrade. */
  get version () {
    return this.#version
  }
}

/** The transaction of an upgrade. */
class UpgradeTransaction extends Transaction {
  /** @returns {Promise<void>} */
  async commit () {
    throw new FlowDBError('FLOWDB_UNSUPPORTED', 'an upgrade is committed when its function has resolved, not before')
  }
}

exports.readOpening = readOpening
