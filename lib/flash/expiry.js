'use strict'

/* Calls on when entries expire. From that millisecond on an entry is in nothing that is read or counted. */

const { kindOf, invalid } = require('../names.js')
const { VERB } = require('../packing.js')
const { packKey } = require('../session.js')
const { toTouch } = require('../write-options.js')
const { Batches } = require('./batches.js')
const { PLACE } = require('./place.js')

const MS_PER_SECOND = 1000

class Expiry extends Batches {
  /**
   * For how long an entry will still be there.
   *
   * @param {unknown} key
   * @returns {Promise<number | undefined>} in seconds; `Infinity` where it never expires, `undefined` where there is no
   *   entry
   */
  async ttl (key) {
    const { session, store } = this[PLACE]
    const ms = await session.attempt(VERB.GET_TIME_LEFT, { store }, () => packKey(store, key))
    // An entry that is there has a millisecond left at least.
    return ms === 0 ? Infinity : ms === undefined ? undefined : ms / MS_PER_SECOND
  }

  /**
   * Changes when an entry expires; its version and the time of its writing stay.
   *
   * @param {unknown} key
   * @param {unknown} when seconds from now, or `{ ttl }` or `{ expiresAt }`
   * @returns {Promise<boolean>} whether it was there
   */
  async expire (key, when) {
    return await this.#touch('expire', key, () => {
      if (typeof when === 'number') return { ttl: when }
      if (when === undefined) throw invalid(`expire takes a number of seconds, { ttl } or { expiresAt }, not ${kindOf(when)}`)
      return when
    })
  }

  /**
   * Lets an entry stay for ever.
   *
   * @param {unknown} key
   * @returns {Promise<boolean>} whether it was there
   */
  async persist (key) {
    return await this.#touch('persist', key, () => ({ expiresAt: null }))
  }

  /**
   * @param {string} where
   * @param {unknown} key
   * @param {() => unknown} optionsOf may throw
   * @returns {Promise<boolean>}
   */
  #touch (where, key, optionsOf) {
    const { session, store } = this[PLACE]
    return session.attempt(VERB.TOUCH, { store, isWrite: true }, () => {
      const pack = packKey(store, key)
      const { kind, ms } = toTouch(optionsOf(), where)
      return (run) => {
        pack(run)
        run.u8(kind).i64(ms)
      }
    })
  }
}

exports.Expiry = Expiry
