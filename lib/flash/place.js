'use strict'

/*
 * Where entries lie: the session by which they are reached, the object store that holds them, and how values are
 * written there.
 *
 * Every class of calls on entries has a place, under a symbol that users don't have. A transaction has places of its
 * own, on the same stores by its own session.
 */

const { toDefaultTtl } = require('../definitions.js')
const { checkOptions, nameBytes } = require('../names.js')
const { VERB } = require('../packing.js')
const { encodingOf } = require('./encodings.js')
const { storeWithin } = require('./names.js')

/** The property under which calls find their place. */
const PLACE = Symbol('place')

/** The options that a store and a namespace both take. */
const DEFAULTS = /** @type {const} */ ({ defaultTtl: 'any', valueEncoding: 'any' })

/**
 * Writes a value down.
 *
 * @typedef {(value: unknown) => import('../values.js').Encoded} Encode
 */

class Place {
  #sessionOf
  /** What those have in common that can be used together: a FlashStore, or a transaction. @type {object} */
  #whole
  /** The default expiry to tell the addon of, in milliseconds. @type {number | undefined} */
  #defaultTtlMs

  /**
   * @param {() => import('../session.js').Session} sessionOf throws where nothing can be asked for any more
   * @param {string} store
   * @param {Encode} encode
   * @param {number} [defaultTtlMs] 0 for none, `undefined` where it is as it is
   * @param {object} [whole] what it is a part of, unless it begins one
   */
  constructor (sessionOf, store, encode, defaultTtlMs, whole = sessionOf) {
    this.#sessionOf = sessionOf
    this.#whole = whole
    this.#defaultTtlMs = defaultTtlMs
    this.store = store
    this.encode = encode
  }

  /**
   * The place of a store's own entries.
   *
   * @param {() => import('../session.js').Session} sessionOf
   * @param {string} store
   * @param {unknown} options
   */
  static of (sessionOf, store, options) {
    const { encode = encodingOf('auto'), defaultTtlMs } = toDefaults('FlashStore', options)
    return new Place(sessionOf, store, encode, defaultTtlMs)
  }

  /** The session; the first who asks for it opens the database. */
  get session () {
    const session = this.#sessionOf()
    const ms = this.#defaultTtlMs
    if (ms !== undefined) {
      this.#defaultTtlMs = undefined
      // Ahead of the first write, which then sees to it: to read changes nothing.
      session.connection.tell(VERB.DECLARE_DEFAULT_TTL, { isOrdered: true }, (run) => {
        run.bytes32(nameBytes('store', this.store)).i64(ms)
      })
    }
    return session
  }

  /**
   * The place of a namespace in this one.
   *
   * @param {unknown} name
   * @param {unknown} [options]
   */
  child (name, options) {
    const { encode = this.encode, defaultTtlMs } = toDefaults('namespace', options)
    return new Place(() => this.session, storeWithin(this.store, name), encode, defaultTtlMs, this.#whole)
  }

  /**
   * The same place, reached by another session.
   *
   * @param {import('../session.js').Session} session
   */
  within (session) {
    return new Place(() => session, this.store, this.encode, undefined, session)
  }

  /**
   * Whether one operation can be on both.
   *
   * @param {Place} other
   */
  isBeside (other) {
    return this.#whole === other.#whole
  }
}

/**
 * The place of an object of a class. Safe for whatever is given: a proxy may throw when it is asked for its class.
 *
 * @param {unknown} value
 * @param {Function} Class whose objects have one
 * @returns {Place | undefined}
 */
function placeOf (value, Class) {
  try {
    return value instanceof Class ? /** @type {any} */ (value)[PLACE] : undefined
  } catch {
    return undefined
  }
}

/**
 * @param {string} where
 * @param {unknown} options
 * @returns {{ encode?: Encode, defaultTtlMs?: number }}
 */
function toDefaults (where, options) {
  const { valueEncoding, defaultTtl } = checkOptions(where, options, DEFAULTS)
  return {
    encode: valueEncoding === undefined ? undefined : encodingOf(valueEncoding),
    defaultTtlMs: defaultTtl === undefined ? undefined : toDefaultTtl(defaultTtl)
  }
}

exports.DEFAULTS = DEFAULTS
exports.PLACE = PLACE
exports.Place = Place
exports.placeOf = placeOf
