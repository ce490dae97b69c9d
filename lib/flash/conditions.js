'use strict'

/*
 * Writes that happen only where entries are still as they were read.
 *
 * `atomic()` gathers checks and changes, of one namespace or of several, and sends them as one operation: all checks
 * are made first, at one moment with the changes. `set` on a condition is among the entries.
 */

const { Budget } = require('../bulk.js')
const { FlowDBError } = require('../errors.js')
const { checkOptions, invalid, kindOf, nameBytes } = require('../names.js')
const { RECKONING, VERB } = require('../packing.js')
const { packWriteOptions, toExpiryOptions } = require('../write-options.js')
const { checkKey } = require('./entries.js')
const { Expiry } = require('./expiry.js')
const { PLACE, placeOf } = require('./place.js')

/**
 * @typedef {import('../values.js').Encoded} Encoded
 * @typedef {import('./place.js').Place} Place
 */

/** What an entry that is checked may have: all that `getEntry` gives. */
const CHECKED = /** @type {const} */ ({ key: 'any', version: 'any', value: 'any', updatedAt: 'any', expiresAt: 'any' })

/** What a change is packed as; a reckoning is its own number more. */
const DELETE = 0
const SET = 1
const RECKON = 2

class Conditions extends Expiry {
  /**
   * An entry with what is known of it.
   *
   * @param {unknown} key
   * @returns {Promise<import('../packing.js').Entry | undefined>} `undefined` where there is none
   */
  async getEntry (key) {
    const { session, store } = this[PLACE]
    return await session.getEntry(store, key)
  }

  /** Begins checks and changes that are to happen together. */
  atomic () {
    return new Atomic(this[PLACE])
  }
}

class Atomic {
  #first
  /** Where the calls that follow go. */
  #place
  /** Where there is something to check or change. @type {Place[]} */
  #places = []
  /** @type {((run: import('../run.js').Run) => void)[]} */
  #checks = []
  /** @type {((run: import('../run.js').Run) => void)[]} */
  #changes = []
  #budget = new Budget('atomic')

  /** @param {Place} place */
  constructor (place) {
    this.#first = place
    this.#place = place
  }

  /**
   * The calls that follow are on another namespace of the same FlashStore.
   *
   * @param {unknown} other
   * @returns {this}
   */
  in (other) {
    const place = placeOf(other, Conditions)
    if (place === undefined) throw invalid(`in takes a namespace, not ${kindOf(other)}`)
    if (!place.isBeside(this.#first)) throw invalid('in takes a namespace of the same FlashStore or transaction')
    this.#place = place
    return this
  }

  /**
   * Nothing will be changed unless entries have these versions; 0 or `null` is that of an entry that is not there.
   *
   * @param {...unknown} entries what `getEntry` gave, or `{ key, version }`
   * @returns {this}
   */
  check (...entries) {
    for (const entry of entries) {
      const { key, version, updatedAt = 0 } = checkOptions('an entry of check', entry, CHECKED)
      if (version !== null && !isCount(version)) {
        throw invalid(`the version of an entry of check is a whole number, or null for none, not ${kindOf(version)}`)
      }
      if (!isCount(updatedAt)) throw invalid(`updatedAt of an entry of check is a time, not ${kindOf(updatedAt)}`)
      this.#add(this.#checks, key, (run) => { run.i64(version ?? 0).i64(updatedAt) })
    }
    return this
  }

  /**
   * @param {unknown} key
   * @param {unknown} value
   * @param {unknown} [options] `{ ttl }` or `{ expiresAt }`
   * @returns {this}
   */
  set (key, value, options) {
    const asked = toExpiryOptions('set of atomic', options)
    const encoded = this.#budget.document(this.#place.encode(value))
    this.#add(this.#changes, key, (run) => {
      packWriteOptions(run.u8(SET).document(encoded), asked)
    })
    return this
  }

  /**
   * @param {unknown} key
   * @returns {this}
   */
  delete (key) {
    this.#add(this.#changes, key, (run) => { run.u8(DELETE) })
    return this
  }

  /**
   * Adds to a number, or sets it where there is none.
   *
   * @param {unknown} key
   * @param {unknown} number a number or a bigint
   * @returns {this}
   */
  sum (key, number) {
    return this.#reckon('sum', RECKONING.SUM, key, number)
  }

  /**
   * Sets a number where it is below the one that there is, or there is none.
   *
   * @param {unknown} key
   * @param {unknown} number a number or a bigint
   * @returns {this}
   */
  min (key, number) {
    return this.#reckon('min', RECKONING.MIN, key, number)
  }

  /**
   * Sets a number where it is above the one that there is, or there is none.
   *
   * @param {unknown} key
   * @param {unknown} number a number or a bigint
   * @returns {this}
   */
  max (key, number) {
    return this.#reckon('max', RECKONING.MAX, key, number)
  }

  /**
   * @param {string} where
   * @param {number} reckoning
   * @param {unknown} key
   * @param {unknown} number
   */
  #reckon (where, reckoning, key, number) {
    const encoded = this.#budget.document(encodeNumber(where, this.#place, number))
    this.#add(this.#changes, key, (run) => { run.u8(RECKON + reckoning).document(encoded) })
    return this
  }

  /**
   * @param {((run: import('../run.js').Run) => void)[]} list
   * @param {unknown} key
   * @param {(run: import('../run.js').Run) => void} pack what comes behind store and key
   */
  #add (list, key, pack) {
    checkKey(key)
    const [store, encoded] = [this.#numberOfStore(), this.#budget.key(key)]
    list.push((run) => pack(run.u32(store).bytes32(encoded)))
  }

  #numberOfStore () {
    const at = this.#places.indexOf(this.#place)
    return at === -1 ? this.#places.push(this.#place) - 1 : at
  }

  /**
   * Makes the checks, and where all are met, the changes in their order: all of them or none.
   *
   * @returns {Promise<{ ok: true, versions: number[] } | { ok: false, unmet: number }>} the versions that the entries
   *   of the changes have then, 0 where there is none; or which of the checks was not met, counted from 0
   */
  commit () {
    try {
      const places = this.#places.length === 0 ? [this.#first] : this.#places
      // Each tells the addon of its own defaults.
      const [session] = places.map((place) => place.session)
      const names = places.map((place) => nameBytes('store', place.store))
      return session.attempt(VERB.ATOMIC, { isWrite: true }, () => (run) => this.#pack(run, names))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {import('../run.js').Run} run
   * @param {Uint8Array[]} names of the stores
   */
  #pack (run, names) {
    run.u32(names.length)
    for (const name of names) run.bytes32(name)
    for (const list of [this.#checks, this.#changes]) {
      run.u32(list.length)
      for (const pack of list) pack(run)
    }
  }
}

/**
 * A number as a store writes it.
 *
 * @param {string} where
 * @param {Place} place
 * @param {unknown} number
 * @returns {Encoded}
 */
function encodeNumber (where, place, number) {
  if (typeof number !== 'bigint' && !Number.isFinite(number)) {
    throw new FlowDBError('FLOWDB_INVALID_VALUE', `${where} takes a finite number or a bigint, not ${kindOf(number)}`)
  }
  return place.encode(number)
}

/** @param {unknown} value */
const isCount = (value) => Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0

exports.Conditions = Conditions
exports.encodeNumber = encodeNumber
