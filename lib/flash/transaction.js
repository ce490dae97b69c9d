'use strict'

/*
 * Transactions: the calls of a store on its entries, in one that commits them together.
 *
 * Invariant: a write that failed in a transaction is never forgotten (../transaction.js says more). There the promise
 * that a write gives knows whether anybody looked at it, so it is that promise that a call has to give.
 */

const { attempt } = require('../attempts.js')
const { eachOf, invalid, kindOf } = require('../names.js')
const { PLACE, placeOf } = require('./place.js')
const { Updates } = require('./updates.js')
const { Watching } = require('./watch.js')

/** The calls that write. */
const WRITES = /** @type {const} */ ([
  'set', 'delete', 'clear', 'popFirst', 'popLast', 'setMany', 'deleteMany', 'batch', 'expire', 'persist', 'update', 'incr',
  'getOrSet'
])

/** A store or namespace as a transaction has it. */
class TransactionCalls extends Updates {}

for (const name of WRITES) {
  const call = /** @type {(...args: any[]) => Promise<any>} */ (Updates.prototype[name])
  Object.defineProperty(TransactionCalls.prototype, name, {
    /**
     * @this {TransactionCalls}
     * @param {...any} args
     */
    value (...args) {
      const { session, store } = this[PLACE]
      return session.compose({ store, isWrite: true }, () => call.apply(this, args))
    },
    configurable: true,
    writable: true
  })
}

class Transactions extends Watching {
  /**
   * Runs a function whose writes are committed together, all or none, again and again while that ends in a conflict.
   *
   * @param {unknown} first the function, which gets this store; or stores of which each is an argument of it
   * @param {unknown} [second] the function, or the options
   * @param {unknown} [third] `{ retries, signal, isolation }`
   * @returns {Promise<any>} what the function gives
   */
  async transaction (first, second, third) {
    const isOfThis = typeof first === 'function'
    const places = isOfThis ? [this[PLACE]] : toPlaces(this[PLACE], first)
    const [change, options] = isOfThis ? [first, second] : [second, third]
    if (typeof change !== 'function') throw invalid(`transaction takes a function, not ${kindOf(change)}`)
    // Each tells the addon of its own defaults.
    const [session] = places.map((place) => place.session)
    const stores = places.map((place) => place.store)
    return await attempt('transaction', session, stores, (within) => {
      return change(...places.map((place) => new TransactionCalls(place.within(within))))
    }, options)
  }
}

/**
 * @param {import('./place.js').Place} place
 * @param {unknown} stores
 * @returns {import('./place.js').Place[]}
 */
function toPlaces (place, stores) {
  const places = eachOf('the namespaces of a transaction', stores, (store) => {
    const other = placeOf(store, Transactions)
    if (other === undefined) throw invalid(`a transaction is on namespaces, not ${kindOf(store)}`)
    if (!other.isBeside(place)) throw invalid('a transaction is on namespaces of one FlashStore')
    return other
  })
  if (places === undefined) throw invalid(`transaction takes a function, or an array of namespaces, not ${kindOf(stores)}`)
  if (places.length === 0) throw invalid('a transaction is on one namespace at least')
  return places
}

exports.Transactions = Transactions
