'use strict'

/*
 * Namespaces: stores within a store, by name; and tables, which are the same under the names that PikoDB has for them.
 *
 * `Calls` is the last of the classes of calls (entries.js says more), so that all that a FlashStore can do with its
 * entries, a namespace can do with its own.
 *
 * Invariant: a namespace is there while there is an object store for it or for one within it. To ask for one makes
 * nothing; the addon makes the store ahead of the first entry that is written into it.
 */

const { nameBytes } = require('../names.js')
const { VERB } = require('../packing.js')
const { storeWithin, unescape } = require('./names.js')
const { PLACE } = require('./place.js')
const { Transactions } = require('./transaction.js')

const ignore = () => {}

class Calls extends Transactions {
  /**
   * A store of its own within this one. It is there once something has been written into it.
   *
   * @param {string} name any string
   * @param {unknown} [options] `{ defaultTtl, valueEncoding }`
   * @returns {Namespace}
   */
  namespace (name, options) {
    return new Namespace(this[PLACE].child(name, options), name)
  }

  /**
   * The names of the namespaces in this one, sorted; not of those within them.
   *
   * @returns {Promise<string[]>}
   */
  async namespaces () {
    const { session, store } = this[PLACE]
    // In its place among the writes: which stores there are is no part of a snapshot.
    const escaped = await session.attempt(VERB.NAMESPACE_NAMES, { isOrdered: true }, () => packStore(store))
    return escaped.map(unescape).sort()
  }

  /**
   * Removes a namespace with its entries and all those within it, however many entries they have.
   *
   * @param {string} name
   * @returns {Promise<boolean>} whether there was one
   */
  async dropNamespace (name) {
    const { session, store } = this[PLACE]
    return await dropStore(session, () => storeWithin(store, name))
  }

  /**
   * The same as `namespace`.
   *
   * @param {string} name
   * @param {unknown} [options]
   * @returns {Namespace}
   */
  table (name, options) {
    return this.namespace(name, options)
  }

  /**
   * The same as `namespaces`.
   *
   * @returns {Promise<string[]>}
   */
  listTables () {
    return this.namespaces()
  }

  /**
   * The same as `dropNamespace`.
   *
   * @param {string} name
   * @returns {Promise<boolean>} whether there was one
   */
  deleteTable (name) {
    return this.dropNamespace(name)
  }

  /**
   * How many entries a table has.
   *
   * @param {string} name
   * @returns {Promise<number>} 0 where there is none
   */
  async tableSize (name) {
    return await this.namespace(name).size
  }

  /**
   * Forgets the entries that have expired. Nobody sees them any more, but counting does.
   *
   * @returns {Promise<number>} how many they were
   */
  async purgeExpired () {
    const { session, store } = this[PLACE]
    return await session.purge(() => store)
  }

  /**
   * Forgets the entries of a table that have expired. Nobody sees them any more, but counting does.
   *
   * @param {string} name
   * @returns {Promise<number>} how many they were
   */
  async cleanupExpired (name) {
    const { session, store } = this[PLACE]
    return await session.purge(() => storeWithin(store, name))
  }

  /**
   * Forgets all entries that have expired, of every table and namespace of the database.
   *
   * @returns {Promise<number>} how many they were
   */
  async cleanupAllExpired () {
    return await this[PLACE].session.purge(ignore)
  }
}

/** A store within a store. */
class Namespace extends Calls {
  #name

  /**
   * @param {import('./place.js').Place} place
   * @param {string} name
   */
  constructor (place, name) {
    super(place)
    this.#name = name
  }

  /** Its name in the store that it is in. */
  get name () {
    return this.#name
  }

  /**
   * Removes it with its entries and all namespaces within it, however many entries they have. What is written into it
   * later makes it anew.
   *
   * @returns {Promise<boolean>} whether it was there
   */
  async drop () {
    const { session, store } = this[PLACE]
    return await dropStore(session, () => store)
  }
}

/**
 * @param {import('../session.js').Session} session
 * @param {() => string} storeOf may throw
 * @returns {Promise<boolean>} whether there was anything
 */
async function dropStore (session, storeOf) {
  const count = await session.attempt(VERB.NAMESPACE_DROP, { isWrite: true }, () => packStore(storeOf()))
  return count > 0
}

/**
 * @param {string} store
 * @returns {import('../connection.js').Pack}
 */
function packStore (store) {
  const name = nameBytes('store', store)
  return (run) => { run.bytes32(name) }
}

exports.Calls = Calls
exports.Namespace = Namespace
