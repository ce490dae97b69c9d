'use strict'

/*
 * The writes of a transaction on their way: what a user holds of each, and what the transaction keeps of it until it
 * has been answered.
 *
 * A program may issue thousands of them in one tick, so little is made for each: its promise, and one object that is
 * the request for the addon as well. All else is made where a write fails.
 */

const native = require('./native.js')

/** So many that are done are kept in the list before it is gone through. */
const DONE_KEPT = 64

const ignore = () => {}

/**
 * The promise of a write in a transaction. It knows whether anybody looked at it.
 *
 * @extends {Promise<any>}
 */
class Write extends Promise {
  isObserved = false

  static get [Symbol.species] () {
    return Promise
  }

  /**
   * @param {((value: any) => any) | null} [onFulfilled]
   * @param {((reason: any) => any) | null} [onRejected]
   */
  then (onFulfilled, onRejected) {
    this.isObserved = true
    return super.then(onFulfilled, onRejected)
  }
}

/**
 * Whose writes these are.
 *
 * @typedef {import('./native.js').Owner & { explain: (failure: unknown) => Promise<any> }} Writer
 */

/** What resolves the promise that was made last. @type {(value: any) => void} */
let lastResolve
/** @param {(value: any) => void} resolve */
const keepResolve = (resolve) => { lastResolve = resolve }

/** A write that has no answer or failed. */
class PendingWrite {
  /** The number of its request, while it has no answer: then another request may get the number. */
  number = 0
  isDone = false
  hasFailed = false

  /** @param {Writer} owner */
  constructor (owner) {
    this.promise = new Write(keepResolve)
    this.resolve = lastResolve
    this.owner = owner
  }

  /** It asks for no page. */
  get wants () {
    return 0
  }

  /** Nobody but its transaction can see it yet, so no read of the connection has to wait for it. */
  get isWrite () {
    return false
  }

  get result () {
    return native.ITS_ANSWER
  }

  /**
   * Rejects its promise; `commit` reports the failure where nobody has looked at that.
   *
   * @param {unknown} failure
   */
  reject (failure) {
    this.follow(this.owner.explain(failure))
  }

  /**
   * Settles its promise as another one.
   *
   * @param {Promise<any>} answer
   */
  follow (answer) {
    this.resolve(this.#watched(answer))
  }

  /** @param {Promise<any>} answer */
  async #watched (answer) {
    try {
      // Nothing else may wait for what is awaited here, or V8 would no longer see who called.
      return await answer
    } catch (error) {
      if (!this.promise.isObserved) this.handle()
      throw error
    }
  }

  /** Keeps a failure from being an unhandled rejection. Promise's own `then` does not count as a look. */
  handle () {
    Promise.prototype.then.call(this.promise, undefined, ignore)
  }

  /**
   * Rejects as its promise, which has been or will be rejected.
   *
   * @returns {Promise<never>}
   */
  async failure () {
    await Promise.prototype.then.call(this.promise, ignore)
    throw new TypeError('a write that failed did not reject')
  }
}

/** The writes of a transaction that have no answer or failed, in the order in which they were issued. */
class PendingWrites {
  /** Those that are done are taken out when they are half of all. @type {PendingWrite[]} */
  #list = []
  #done = 0

  /** @param {PendingWrite} write */
  add (write) {
    this.#list.push(write)
  }

  /** @param {PendingWrite} write one that has succeeded */
  done (write) {
    write.isDone = true
    this.#done++
    if (this.#done < DONE_KEPT || this.#done * 2 < this.#list.length) return
    this.#list = this.#list.filter(({ isDone }) => !isDone)
    this.#done = 0
  }

  /** Those that nobody has looked at. */
  unobserved () {
    return this.#list.filter((write) => !write.isDone && !write.promise.isObserved)
  }
}

exports.PendingWrite = PendingWrite
exports.PendingWrites = PendingWrites
