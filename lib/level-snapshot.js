'use strict'

/*
 * The snapshots of `flowdb/level`: each stands for one of a keyspace's.
 *
 * Invariant: what reads as of a snapshot sees that snapshot, or fails. One of somebody else's is never left out of
 * account.
 */

const { AbstractSnapshot } = require('abstract-level')
const { FlowDBError } = require('./errors.js')
const { toLevelError } = require('./level-errors.js')

class Snapshot extends AbstractSnapshot {
  #kept

  /**
   * @param {import('./keyspace-snapshot.js').KeyspaceSnapshot} kept
   * @param {any} options
   */
  constructor (kept, options) {
    // @ts-expect-error: who owns it is no part of the documented interface
    super(options)
    this.#kept = kept
  }

  async _close () {
    this.#kept.close()
  }

  /**
   * @param {any} snapshot that somebody wants to read
   * @returns {import('./keyspace-snapshot.js').KeyspaceSnapshot | undefined} what it stands for; none where there is
   *   none
   */
  static keptOf (snapshot) {
    if (snapshot === undefined || snapshot === null) return undefined
    if (typeof snapshot !== 'object' || !(#kept in snapshot)) throw foreign()
    return snapshot.#kept
  }
}

function foreign () {
  const message = 'the snapshot is one of another implementation: give one that this database has made'
  return toLevelError(new FlowDBError('FLOWDB_INVALID_ARGUMENT', message))
}

exports.Snapshot = Snapshot
