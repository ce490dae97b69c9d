'use strict'

/*
 * The calls that define object stores and indexes, on a database and in its upgrades.
 *
 * The promises of the session are passed on as they are: those of an upgrade know whether anybody looked at them.
 */

const { Documents } = require('./documents.js')
const { FlowDBError, reading } = require('./errors.js')
const { checkKeyPath, checkName, checkOptions, invalid, kindOf, nameBytes } = require('./names.js')
const { VERB } = require('./packing.js')
const { toSpan } = require('./write-options.js')

const ignore = () => {}

/**
 * @typedef {{ name: string, keyPath: string | string[], unique: boolean, multiEntry: boolean }} IndexDescription
 * @typedef {object} StoreDescription
 * @property {string} name
 * @property {string | string[] | null} keyPath
 * @property {boolean} autoIncrement
 * @property {IndexDescription[]} indexes
 */

class Definitions extends Documents {
  #session

  /** @param {import('./session.js').Session} session */
  constructor (session) {
    super(session)
    this.#session = session
  }

  /**
   * Creates a store; nothing happens where the same is there already.
   *
   * @param {string} name
   * @param {unknown} [keyPath] a path, an array of paths, or `{ keyPath, autoIncrement, defaultTtl }`
   * @param {boolean} [autoIncrement]
   * @returns {Promise<void>}
   */
  createObjectStore (name, keyPath, autoIncrement) {
    return this.#session.attempt(VERB.CREATE_STORE, { isWrite: true }, () => {
      const definition = JSON.stringify(toStore(name, keyPath, autoIncrement))
      return (run) => run.text(definition)
    })
  }

  /**
   * Removes a store with its documents and indexes.
   *
   * @param {string} name
   * @returns {Promise<void>}
   */
  deleteObjectStore (name) {
    return this.#session.attempt(VERB.DELETE_STORE, { isWrite: true }, () => {
      const store = nameBytes('store', name)
      return (run) => run.bytes32(store)
    })
  }

  /**
   * Creates an index over what is in a store and what will come; nothing happens where the same is there already.
   *
   * @param {string} store
   * @param {string} name
   * @param {string | string[]} keyPath
   * @param {unknown} [options] `true` for a unique index, or `{ unique, multiEntry }`
   * @returns {Promise<void>}
   */
  createIndex (store, name, keyPath, options) {
    return this.#session.attempt(VERB.CREATE_INDEX, { isWrite: true }, () => {
      const storeBytes = nameBytes('store', store)
      const definition = JSON.stringify(toIndex(name, keyPath, options))
      return (run) => run.bytes32(storeBytes).text(definition)
    })
  }

  /**
   * @param {string} store
   * @param {string} name
   * @returns {Promise<void>}
   */
  deleteIndex (store, name) {
    return this.#session.attempt(VERB.DELETE_INDEX, { isWrite: true }, () => {
      const [storeBytes, index] = [nameBytes('store', store), nameBytes('index', name)]
      return (run) => run.bytes32(storeBytes).bytes32(index)
    })
  }

  /**
   * The names of all stores, sorted.
   *
   * @returns {Promise<string[]>}
   */
  async storeNames () {
    return (await this.#schema()).map(({ name }) => name)
  }

  /**
   * How a store and its indexes are defined.
   *
   * @param {string} store
   * @returns {Promise<StoreDescription>}
   */
  async describe (store) {
    checkName('store', store)
    const description = (await this.#schema()).find(({ name }) => name === store)
    if (description !== undefined) return description
    throw new FlowDBError('FLOWDB_NOT_FOUND', `there is no store ${kindOf(store)}`)
  }

  /** @returns {Promise<StoreDescription[]>} */
  #schema () {
    return this.#session.issue(VERB.SCHEMA, {}, ignore)
  }
}

/**
 * @param {string} name
 * @param {unknown} keyPath
 * @param {boolean} [autoIncrement]
 */
function toStore (name, keyPath, autoIncrement) {
  const isPath = keyPath === undefined || keyPath === null || typeof keyPath === 'string' || isArray(keyPath)
  if (!isPath && autoIncrement !== undefined) {
    throw invalid('createObjectStore takes autoIncrement in the options or after the key path, not both')
  }
  const options = checkOptions('createObjectStore', isPath ? { keyPath, autoIncrement } : keyPath, {
    keyPath: 'keyPath',
    autoIncrement: 'boolean',
    defaultTtl: 'any'
  })
  return {
    name: checkName('store', name),
    keyPath: options.keyPath ?? null,
    autoIncrement: options.autoIncrement ?? false,
    defaultTtlMs: toDefaultTtl(options.defaultTtl)
  }
}

/**
 * @param {string} name
 * @param {string | string[]} keyPath
 * @param {unknown} options
 */
function toIndex (name, keyPath, options) {
  const checked = checkOptions('createIndex', typeof options === 'boolean' ? { unique: options } : options, {
    unique: 'boolean',
    multiEntry: 'boolean'
  })
  return {
    name: checkName('index', name),
    keyPath: checkKeyPath(keyPath),
    unique: checked.unique ?? false,
    multiEntry: checked.multiEntry ?? false
  }
}

/**
 * @param {unknown} seconds
 * @returns {number} in milliseconds; 0 for none
 */
function toDefaultTtl (seconds) {
  return seconds === undefined || seconds === null ? 0 : toSpan('the default ttl of a store', seconds)
}

/** @param {unknown} value anything, also a proxy that was revoked */
function isArray (value) {
  return reading('FLOWDB_INVALID_ARGUMENT', 'a key path', () => Array.isArray(value))
}

exports.Definitions = Definitions
exports.toDefaultTtl = toDefaultTtl
