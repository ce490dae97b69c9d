'use strict'

/*
 * Where entries lie: the session by which they are reached, the object store that holds them, and how values are
 * written there.
 *
 * Every class of calls on entries has a place, under a symbol that users don't have. A transaction has places of its
 * own, on the same stores by its own session.
 */

/** The property under which calls find their place. */
const PLACE = Symbol('place')

/**
 * Writes a value down.
 *
 * @typedef {(value: unknown) => import('../values.js').Encoded} Encode
 */

class Place {
  #sessionOf

  /**
   * @param {() => import('../session.js').Session} sessionOf throws where nothing can be asked for any more
   * @param {string} store
   * @param {Encode} encode
   */
  constructor (sessionOf, store, encode) {
    this.#sessionOf = sessionOf
    this.store = store
    this.encode = encode
  }

  /** The session; the first who asks for it opens the database. */
  get session () {
    return this.#sessionOf()
  }

  /**
   * The same place, reached by another session.
   *
   * @param {import('../session.js').Session} session
   */
  within (session) {
    return new Place(() => session, this.store, this.encode)
  }
}

exports.PLACE = PLACE
exports.Place = Place
