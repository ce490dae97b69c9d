'use strict'

/*
 * Calls on single entries that are done when they return.
 *
 * They keep their place among all others: each sees what was issued before it, awaited or not. Whatever they wait for
 * is done without the event loop, which stands still meanwhile.
 */

const native = require('../native.js')
const { nameBytes } = require('../names.js')
const { plainKey } = require('../key.js')
const { VERB } = require('../packing.js')
const { packDocument, packKey } = require('../session.js')
const { packWriteOptions, toWriteOptions } = require('../write-options.js')
const { Entries, checkKey } = require('./entries.js')
const { PLACE } = require('./place.js')

class Sync extends Entries {
  /**
   * @param {unknown} key
   * @returns {any} `undefined` where there is no entry
   */
  getSync (key) {
    return read(this[PLACE], VERB.GET, key, native.tryGet)
  }

  /**
   * @param {unknown} key
   * @returns {boolean}
   */
  hasSync (key) {
    return read(this[PLACE], VERB.HAS, key, native.tryHas)
  }

  /**
   * @param {unknown} key
   * @param {unknown} value
   * @param {unknown} [options]
   * @returns {this}
   */
  setSync (key, value, options) {
    checkKey(key)
    const { session, store, encode } = this[PLACE]
    session.checkUsable()
    const name = nameBytes('store', store)
    const asked = options === undefined ? undefined : toWriteOptions('set', options, session.commitsEach)
    const plain = plainKey(key)
    const encoded = encode(value)
    session.issueSync(asked === undefined ? VERB.PUT : VERB.PUT_WITH, { store, isWrite: true }, (run) => {
      packDocument(run, name, plain, encoded)
      if (asked !== undefined) packWriteOptions(run, asked)
    })
    return this
  }

  /**
   * @param {unknown} key
   * @returns {boolean} whether it was there
   */
  deleteSync (key) {
    const { session, store } = this[PLACE]
    return session.issueSync(VERB.DELETE, { store, isWrite: true }, packKey(store, key))
  }
}

/**
 * @param {import('./place.js').Place} place
 * @param {number} verb
 * @param {unknown} key
 * @param {typeof native.tryGet | typeof native.tryHas} readInCall reads what lies in memory
 * @returns {any}
 */
function read ({ session, store }, verb, key, readInCall) {
  session.checkUsable()
  const name = nameBytes('store', store)
  const plain = plainKey(key)
  const found = session.readInCall(name, plain, readInCall)
  if (found !== native.NOT_AT_HAND) return found
  return session.issueSync(verb, { store }, (run) => run.bytes32(name).key(plain))
}

exports.Sync = Sync
