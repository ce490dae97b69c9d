'use strict'

/* Calls on many entries: each is one operation, whatever their number, and does all that it names or nothing. */

const bulk = require('../bulk.js')
const { checkOptions, invalid, kindOf, nameBytes } = require('../names.js')
const { VERB } = require('../packing.js')
const { packWriteOptions, toWriteOptions } = require('../write-options.js')
const { checkKey } = require('./entries.js')
const { PLACE } = require('./place.js')
const { Ranges } = require('./ranges.js')

/**
 * @typedef {import('../values.js').Encoded} Encoded
 * @typedef {import('../write-options.js').WriteOptions} WriteOptions
 */

/**
 * A put, or, without one, a delete.
 *
 * @typedef {{ key: Uint8Array, put?: { encoded: Encoded, options: WriteOptions } }} Write
 */

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
    await this.#write('setMany', (where, encode, budget) => {
      const asked = toWriteOptions('set', options)
      return bulk.listOf(`the entries of ${where}`, entries, (entry) => {
        const [key, value] = toPair(entry)
        return { key: toKey(key, budget), put: { encoded: budget.document(encode(value)), options: asked } }
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
    await this.#write('batch', (where, encode, budget) => {
      return bulk.listOf(`the operations of ${where}`, operations, (operation) => toWrite(operation, encode, budget))
    })
  }

  /**
   * @param {string} where
   * @param {(where: string, encode: import('./place.js').Encode, budget: import('../bulk.js').Budget) => Write[]} read
   * @returns {Promise<number>} how many were deleted
   */
  #write (where, read) {
    const { session, store, encode } = this[PLACE]
    return session.attempt(VERB.BATCH, { store, isWrite: true }, () => {
      const name = nameBytes('store', store)
      const writes = read(where, encode, new bulk.Budget(where))
      return (run) => {
        run.bytes32(name).u32(writes.length)
        for (const { key, put } of writes) {
          run.bytes32(key)
          if (put === undefined) run.u8(0)
          else packWriteOptions(run.document(put.encoded), put.options)
        }
      }
    })
  }
}

/**
 * @param {unknown} operation
 * @param {import('./place.js').Encode} encode
 * @param {import('../bulk.js').Budget} budget
 * @returns {Write}
 */
function toWrite (operation, encode, budget) {
  const { type, key, ...rest } = checkOptions('an operation of batch', operation, OPERATION)
  if (type === 'set' || type === 'put') {
    const { value, ...options } = rest
    const put = { options: toWriteOptions('set', options), encoded: budget.document(encode(value)) }
    return { key: toKey(key, budget), put }
  }
  if (type !== 'delete' && type !== 'del') {
    throw invalid(`the type of an operation of batch is "set" or "delete", not ${kindOf(type)}`)
  }
  const [other] = Object.keys(rest)
  if (other !== undefined) throw invalid(`a delete of batch takes a key and no ${other}`)
  return { key: toKey(key, budget) }
}

/**
 * @param {unknown} key
 * @param {import('../bulk.js').Budget} budget
 */
function toKey (key, budget) {
  checkKey(key)
  return budget.key(key)
}

/**
 * @param {unknown} entry
 * @returns {[unknown, unknown]}
 */
function toPair (entry) {
  if (!Array.isArray(entry)) throw invalid(`an entry of setMany is a pair of key and value, not ${kindOf(entry)}`)
  if (entry.length !== 2) throw invalid(`an entry of setMany is a pair of key and value, not an array of ${entry.length}`)
  return [entry[0], entry[1]]
}

exports.Batches = Batches
