'use strict'

/* Calls on many entries: each is one operation, whatever their number, and does all that it names or nothing. */

const bulk = require('../bulk.js')
const { checkOptions, invalid, kindOf, nameBytes } = require('../names.js')
const { VERB } = require('../packing.js')
const { Parcel } = require('../parcel.js')
const { packWriteOptions, toWriteOptions } = require('../write-options.js')
const { checkKey } = require('./entries.js')
const { PLACE } = require('./place.js')
const { Ranges } = require('./ranges.js')

/** In the place of its format: there is no document, and the write is a delete. */
const DELETE = 0

/** What an operation of `batch` may name. */
const OPERATION = /** @type {const} */ ({
  type: 'any',
  key: 'any',
  value: 'any',
  ttl: 'any',
  expiresAt: 'any',
  ifVersion: 'any',
  ifAbsent: 'boolean'
})

class Batches extends Ranges {
  /**
   * @param {Iterable<unknown>} keys
   * @returns {Promise<any[]>} values in the order of the keys, `undefined` for each that is not there
   */
  async getMany (keys) {
    const { session, store } = this[PLACE]
    return await bulk.getMany(session, store, keys)
  }

  /**
   * Sets entries, all or none.
   *
   * @param {Iterable<[unknown, unknown]>} entries pairs of key and value, such as a Map
   * @param {unknown} [options] those of `set`, for each of them
   * @returns {Promise<this>}
   */
  async setMany (entries, options) {
    await this.#write('setMany', (encode, parcel) => {
      const asked = toWriteOptions('set', options)
      bulk.eachOf('the entries of setMany', entries, (entry) => {
        checkPair(entry)
        const [key, value] = [entry[0], entry[1]]
        checkKey(key)
        packWriteOptions(parcel.add(key, encode(value)), asked)
      })
    })
    return this
  }

  /**
   * Deletes entries, all or none.
   *
   * @param {Iterable<unknown>} keys
   * @returns {Promise<number>} how many were there
   */
  async deleteMany (keys) {
    const { session, store } = this[PLACE]
    return await bulk.deleteMany(session, store, keys)
  }

  /**
   * Sets and deletes entries in the order given, all or nothing.
   *
   * @param {Iterable<Record<string, unknown>>} operations `{ type: 'set', key, value, … }` or `{ type: 'delete', key }`
   * @returns {Promise<void>}
   */
  async batch (operations) {
    await this.#write('batch', (encode, parcel) => {
      bulk.eachOf('the operations of batch', operations, (operation) => addWrite(operation, encode, parcel))
    })
  }

  /**
   * @param {string} where
   * @param {(encode: import('./place.js').Encode, parcel: Parcel) => void} read
   * @returns {Promise<number>} how many were deleted
   */
  #write (where, read) {
    const { session, store, encode } = this[PLACE]
    return session.attempt(VERB.BATCH, { store, isWrite: true }, () => {
      const name = nameBytes('store', store)
      const parcel = new Parcel(where)
      read(encode, parcel)
      return (run) => parcel.packInto(run.bytes32(name))
    })
  }
}

/**
 * @param {unknown} operation
 * @param {import('./place.js').Encode} encode
 * @param {Parcel} parcel
 */
function addWrite (operation, encode, parcel) {
  const { type, key, ...rest } = checkOptions('an operation of batch', operation, OPERATION)
  if (type === 'set' || type === 'put') {
    const { value, ...options } = rest
    const asked = toWriteOptions('set', options)
    const encoded = encode(value)
    checkKey(key)
    packWriteOptions(parcel.add(key, encoded), asked)
    return
  }
  if (type !== 'delete' && type !== 'del') {
    throw invalid(`the type of an operation of batch is "set" or "delete", not ${kindOf(type)}`)
  }
  const [other] = Object.keys(rest)
  if (other !== undefined) throw invalid(`a delete of batch takes a key and no ${other}`)
  checkKey(key)
  parcel.add(key).u8(DELETE)
}

/**
 * @param {unknown} entry
 * @returns {asserts entry is [unknown, unknown]}
 */
function checkPair (entry) {
  if (!Array.isArray(entry)) throw invalid(`an entry of setMany is a pair of key and value, not ${kindOf(entry)}`)
  if (entry.length !== 2) throw invalid(`an entry of setMany is a pair of key and value, not an array of ${entry.length}`)
}

exports.Batches = Batches
