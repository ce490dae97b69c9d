'use strict'

/* Calls that set an entry by what it is, as if nobody else could change it meanwhile. */

const { modify } = require('../modify.js')
const { checkOptions, invalid, kindOf } = require('../names.js')
const { RECKONING, VERB } = require('../packing.js')
const { packKey } = require('../session.js')
const { toExpiryOptions } = require('../write-options.js')
const { computeOnce } = require('./computations.js')
const { Conditions, encodeNumber } = require('./conditions.js')
const { PLACE } = require('./place.js')

class Updates extends Conditions {
  /**
   * Sets an entry to what a function makes of its value.
   *
   * @param {unknown} key
   * @param {(value: any) => unknown} change returns the new value, `undefined` to leave it, or `FlashStore.DELETE`;
   *   may be called again
   * @returns {Promise<any>} the value as it is then
   */
  async update (key, change) {
    const { session, store, encode } = this[PLACE]
    return await modify(session, store, key, change, { where: 'update', encode })
  }

  /**
   * Adds to a number, or sets it where there is no entry.
   *
   * @param {unknown} key
   * @param {unknown} [by] a number or a bigint
   * @returns {Promise<any>} the number as it is then
   */
  async incr (key, by = 1) {
    const place = this[PLACE]
    const { session, store } = place
    return await session.attempt(VERB.RECKON, { store, isWrite: true }, () => {
      const pack = packKey(store, key)
      const encoded = encodeNumber('incr', place, by)
      return (run) => {
        pack(run)
        run.u8(RECKONING.SUM).document(encoded)
      }
    })
  }

  /**
   * The value of an entry; where there is none, what a function computes, which is set then. Calls that come together
   * share one computation.
   *
   * @param {unknown} key
   * @param {() => unknown} compute
   * @param {unknown} [options] `{ ttl }` or `{ expiresAt }`
   * @returns {Promise<any>}
   */
  async getOrSet (key, compute, options) {
    if (typeof compute !== 'function') throw invalid(`getOrSet takes a function, not ${kindOf(compute)}`)
    return await computeOnce(this[PLACE], key, compute, toExpiryOptions('getOrSet', options, true))
  }

  /**
   * A function that gives what it gave before for the same arguments, from this store.
   *
   * @param {(...args: any[]) => unknown} work
   * @param {unknown} [options] `{ key, ttl }`: a function of the arguments that gives the key, which is else the array
   *   of them; and for how many seconds a result is kept
   * @returns {(...args: any[]) => Promise<any>}
   */
  wrap (work, options) {
    if (typeof work !== 'function') throw invalid(`wrap takes a function, not ${kindOf(work)}`)
    const { key: keyOf = arrayOf, ttl } = checkOptions('wrap', options, { key: 'any', ttl: 'any' })
    if (typeof keyOf !== 'function') throw invalid(`key of wrap is a function of the arguments, not ${kindOf(keyOf)}`)
    const asked = toExpiryOptions('wrap', { ttl }, true)
    const place = this[PLACE]
    return async function (/** @type {any[]} */ ...args) {
      // @ts-expect-error -- whatever it is called on, `work` is called on.
      return await computeOnce(place, keyOf(...args), () => work.apply(this, args), asked)
    }
  }
}

/** @param {...unknown} args */
const arrayOf = (...args) => args

exports.Updates = Updates
