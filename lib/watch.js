'use strict'

/*
 * Watching: iterating over committed changes.
 *
 * The addon keeps the changes that wait. They are taken page by page; when there are none it sends a notice as soon as
 * there are, so that nothing is under way meanwhile and the process may end.
 *
 * Invariant: who waits for a change is held by the notice that will come, and nobody else is: an iterator that is
 * forgotten is collected, and its subscription ends.
 */

const { FlowDBError } = require('./errors.js')
const { Iteration } = require('./iteration.js')
const { toBounds } = require('./key-range.js')
const { checkOptions, checkSignal, invalid, kindOf, nameBytes } = require('./names.js')
const native = require('./native.js')
const { VERB } = require('./packing.js')

const BUFFER_DEFAULT = 10_000
const BUFFER_MAX = 1_000_000

/** How much is taken at once. */
const PAGE_ROWS = 1000
const PAGE_BYTES = 64 * 1024

const WANTS_VALUES = 1
const WANTS_OLD_VALUES = 2

/**
 * What is done with too many changes; the numbers that `src/binding/watching.rs` knows.
 *
 * @type {Record<string, number>}
 */
const OVERFLOWS = Object.freeze(Object.assign(Object.create(null), { error: 0, 'drop-oldest': 1, coalesce: 2 }))

const ignore = () => {}

/** @type {FinalizationRegistry<Subscription>} */
const forgotten = new FinalizationRegistry((subscription) => subscription.close())

/**
 * What is watched.
 *
 * @typedef {object} Watched
 * @property {Uint8Array | undefined} store every one where there is none
 * @property {import('./packing.js').Bounds | undefined} bounds
 * @property {number} wants
 * @property {number} buffer
 * @property {number} overflow
 * @property {AbortSignal | undefined} signal
 */

/** A watch in the addon. */
class Subscription {
  #session
  #number
  #signal
  #isOpen = true
  /** Whether a notice has come since changes were last asked for. */
  #isCalled = false
  #call = ignore
  /** Told of the end by whoever works for it meanwhile. */
  #onEnd = ignore
  /** @type {FlowDBError | undefined} */
  #failure

  /**
   * @param {import('./session.js').Session} session held, so that the database stays open while somebody watches
   * @param {Watched} watched
   */
  constructor (session, { store, bounds, wants, buffer, overflow, signal }) {
    session.checkUsable()
    this.#session = session
    this.#signal = signal
    const number = native.watch(this.#onNotice)
    this.#number = number
    try {
      /** Resolves when nothing that is committed from then on will be missed. @type {Promise<void>} */
      this.ready = session.connection.issue(VERB.WATCH, { isOrdered: true }, (run) => {
        run.u32(number)
        if (store === undefined) run.absent()
        else run.bytes32(store)
        run.range(bounds).u8(wants).u32(buffer).u8(overflow)
      })
    } catch (error) {
      native.unwatch(number)
      throw error
    }
    // Who does not ask for it learns of a failure from the first change that he asks for.
    this.ready.catch(ignore)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Whether it goes on, as far as is known here. */
  get isOpen () {
    return this.#isOpen
  }

  #onNotice = () => {
    this.#isCalled = true
    this.#call()
  }

  #onAbort = () => {
    this.#failure = abortedBy(/** @type {AbortSignal} */ (this.#signal))
    this.close()
  }

  /**
   * Waits for changes, and takes those that there are; `undefined` at the end.
   *
   * @returns {Promise<import('./change-reader.js').Change[] | undefined>}
   */
  async page () {
    try {
      if (this.#isOpen) await this.ready
      while (this.#isOpen) {
        this.#isCalled = false
        const { changes, hasEnded } = await this.#take()
        if (!this.#isOpen) break
        if (changes.length > 0) return changes
        if (hasEnded) this.close()
        else await this.#notice()
      }
    } catch (error) {
      this.close()
      if (!this.#hasEndedWith(error)) throw error
    }
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
    return undefined
  }

  /** @returns {Promise<{ changes: import('./change-reader.js').Change[], hasEnded: boolean }>} */
  #take () {
    return this.#session.connection.issue(VERB.TAKE_CHANGES, { isFree: true }, (run) => {
      run.u32(this.#number).u32(PAGE_ROWS).u32(PAGE_BYTES)
    })
  }

  /** Resolves when there is something to be taken, or it has been closed. */
  async #notice () {
    if (this.#isCalled || !this.#isOpen) return
    await new Promise((resolve) => { this.#call = () => resolve(undefined) })
    this.#call = ignore
  }

  /**
   * What `work` gives, or `undefined` where the end comes first: its own, or that of the database. Then nobody waits
   * for the work any more, and how that ends is nobody's business.
   *
   * @template T
   * @param {() => PromiseLike<T> | T} work
   * @returns {Promise<{ value: T } | undefined>}
   */
  async during (work) {
    const { connection } = this.#session
    if (!this.#isOpen || connection.isClosed) return undefined
    /** @type {Promise<undefined>} */
    const ended = new Promise((resolve) => { this.#onEnd = () => resolve(undefined) })
    const forget = connection.onClose(this.#onEnd)
    try {
      const done = await Promise.race([toValue(work), ended])
      return this.#isOpen && !connection.isClosed ? done : undefined
    } catch (error) {
      if (this.#isOpen && !connection.isClosed) throw error
      return undefined
    } finally {
      forget()
      this.#onEnd = ignore
    }
  }

  /**
   * Whether an error says no more than that the watch has ended with its database.
   *
   * @param {unknown} error
   */
  #hasEndedWith (error) {
    return this.#failure !== undefined ||
      (this.#session.connection.isClosed && error instanceof FlowDBError && error.code === 'FLOWDB_CLOSED')
  }

  /** Ends it; who waits is told. */
  close () {
    if (!this.#isOpen) return
    this.#isOpen = false
    native.unwatch(this.#number)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    // Behind the operation that opens it.
    this.#session.connection.tell(VERB.UNWATCH, { isOrdered: true }, (run) => run.u32(this.#number))
    this.#call()
    this.#onEnd()
  }
}

/**
 * @template T
 * @param {() => PromiseLike<T> | T} work
 * @returns {Promise<{ value: T }>}
 */
async function toValue (work) {
  return { value: await work() }
}

/**
 * Iterates over what is made of the changes of a subscription.
 *
 * @template T
 * @extends {Iteration<T>}
 * @implements {AsyncIterableIterator<T>}
 */
class Watch extends Iteration {
  #subscription
  #produce
  /** Ends when all calls of `next` have. @type {Promise<unknown>} */
  #last = Promise.resolve()

  /**
   * @param {Subscription} subscription must not lead to `produce`
   * @param {() => Promise<{ value: T } | undefined>} produce the next thing, or `undefined` at the end
   */
  constructor (subscription, produce) {
    super(() => this.#end())
    this.#subscription = subscription
    this.#produce = produce
    forgotten.register(this, subscription, subscription)
  }

  /**
   * Resolves when nothing that anybody commits from then on will be missed.
   *
   * @returns {Promise<void>}
   */
  get ready () {
    return this.#subscription.ready
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  next () {
    const next = this.#nextAfter(this.#last)
    this.#last = next.catch(ignore)
    return next
  }

  /**
   * @param {Promise<unknown>} before
   * @returns {Promise<IteratorResult<T, undefined>>}
   */
  async #nextAfter (before) {
    await before
    try {
      const produced = await this.#produce()
      if (produced !== undefined) return { value: produced.value, done: false }
    } catch (error) {
      this.#end()
      throw error
    }
    this.#end()
    return { value: undefined, done: true }
  }

  #end () {
    this.#subscription.close()
    forgotten.unregister(this.#subscription)
  }

  async [Symbol.asyncDispose] () {
    this.#end()
  }
}

/**
 * Watches committed changes.
 *
 * @param {import('./session.js').Session} session
 * @param {unknown} options
 * @param {(change: import('./change-reader.js').Change) => object} [present] what is made of each
 * @returns {Watch<object>}
 */
function watch (session, options, present = (change) => change) {
  const subscription = new Subscription(session, toWatched(options))
  /** @type {import('./change-reader.js').Change[]} */
  let page = []
  let at = 0
  return new Watch(subscription, async () => {
    if (at >= page.length || !subscription.isOpen) {
      page = await subscription.page() ?? []
      at = 0
    }
    return at < page.length ? { value: present(page[at++]) } : undefined
  })
}

/**
 * @param {unknown} options
 * @returns {Watched}
 */
function toWatched (options) {
  const asked = checkOptions('watch', options, {
    store: 'any', range: 'any', values: 'boolean', oldValues: 'boolean', buffer: 'any', overflow: 'any', signal: 'any'
  })
  const { store, range, values = false, oldValues = false, buffer = BUFFER_DEFAULT, overflow = 'error', signal } = asked
  if (!Number.isSafeInteger(buffer) || buffer < 1 || buffer > BUFFER_MAX) {
    throw invalid(`buffer of watch is a whole number from 1 to ${BUFFER_MAX}, not ${kindOf(buffer)}`)
  }
  const policy = typeof overflow === 'string' ? OVERFLOWS[overflow] : undefined
  if (policy === undefined) {
    const known = Object.keys(OVERFLOWS).map((name) => `"${name}"`).join(', ')
    throw invalid(`overflow of watch is one of ${known}, not ${kindOf(overflow)}`)
  }
  const bounds = toBounds(range)
  if (bounds !== undefined && store === undefined) throw invalid('watch takes a range of keys of a store: name the store')
  return {
    store: store === undefined ? undefined : nameBytes('store', store),
    bounds,
    wants: (values ? WANTS_VALUES : 0) | (oldValues ? WANTS_OLD_VALUES : 0),
    buffer,
    overflow: policy,
    signal: checkLiveSignal('watch', signal)
  }
}

/**
 * @param {string} where
 * @param {unknown} signal
 * @returns {AbortSignal | undefined}
 */
function checkLiveSignal (where, signal) {
  const checked = checkSignal(where, signal)
  if (checked?.aborted) throw abortedBy(checked)
  return checked
}

/** @param {AbortSignal} signal */
function abortedBy (signal) {
  return new FlowDBError('FLOWDB_ABORTED', 'the watch was aborted by its signal', { cause: signal.reason })
}

exports.OVERFLOWS = OVERFLOWS
exports.Subscription = Subscription
exports.Watch = Watch
exports.checkLiveSignal = checkLiveSignal
exports.watch = watch
