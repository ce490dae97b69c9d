'use strict'

/*
 * Calls on many documents, and on ranges of them: each is one operation, whatever the number, and changes all that it
 * names or nothing.
 */

const { FlowDBError, reading } = require('./errors.js')
const { encodeKey, plainKey } = require('./key.js')
const { toBounds, toBoundsOf, toKeyOrBounds } = require('./key-range.js')
const { invalid, kindOf, nameBytes } = require('./names.js')
const { FORMAT, VERB } = require('./packing.js')
const { CALL_BYTES_MAX, Parcel } = require('./parcel.js')
const { encodeDocument, utf8Length } = require('./values.js')

/** So many documents are read in one call. */
const READ_IN_CALL_MAX = 256

/** @typedef {import('./session.js').Session} Session */

/**
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} keys
 * @returns {Promise<any[]>} in the order of the keys, `undefined` for each that is not there
 */
function getMany (session, store, keys) {
  try {
    session.checkUsable()
    const name = nameBytes('store', store)
    const few = fewKeys(keys)
    // For no keys there is nothing to be read, but a store that has to be there.
    const found = few === undefined || few.length === 0 ? undefined : session.readManyInCall(name, few)
    if (found !== undefined) return session.connection.resolved(found, found.length)
    return session.attempt(VERB.GET_MANY, { store }, () => packKeys('getMany', store, few ?? keys))
  } catch (error) {
    return session.refuse({ store }, error)
  }
}

/**
 * The keys of an array, read once, if it is one of no more than are read in a call.
 *
 * @param {unknown} keys
 * @returns {unknown[] | undefined}
 */
function fewKeys (keys) {
  return reading('FLOWDB_INVALID_ARGUMENT', 'the keys of getMany', () => {
    if (!Array.isArray(keys)) return undefined
    const { length } = keys
    if (length > READ_IN_CALL_MAX) return undefined
    const few = new Array(length)
    for (let place = 0; place < length; place++) few[place] = plainKey(keys[place])
    return few
  })
}

/**
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} keys
 * @returns {Promise<number>} how many were there
 */
function deleteMany (session, store, keys) {
  return session.attempt(VERB.DELETE_MANY, { store, isWrite: true }, () => packKeys('deleteMany', store, keys))
}

/**
 * @param {Session} session
 * @param {'putMany' | 'addMany'} where
 * @param {unknown} store
 * @param {unknown} documents
 * @param {unknown} keys for a store without key path
 * @returns {Promise<any[]>} the keys
 */
function putMany (session, where, store, documents, keys) {
  const verb = where === 'putMany' ? VERB.PUT_MANY : VERB.ADD_MANY
  return session.attempt(verb, { store, isWrite: true }, () => {
    const name = nameBytes('store', store)
    if (keys !== undefined) return packKeyed(where, name, documents, keys)
    const parcel = new Parcel(where)
    eachOf(`the documents of ${where}`, documents, (document) => parcel.add(undefined, encodeDocument(document)))
    return (run) => parcel.packInto(run.bytes32(name))
  })
}

/**
 * @param {'putMany' | 'addMany'} where
 * @param {Uint8Array} name of the store
 * @param {unknown} documents
 * @param {unknown} keys as many
 * @returns {import('./connection.js').Pack}
 */
function packKeyed (where, name, documents, keys) {
  const budget = new Budget(where)
  const encoded = listOf(`the documents of ${where}`, documents, (document) => budget.document(encodeDocument(document)))
  const given = toKeys(where, keys, encoded.length, budget)
  return (run) => {
    run.bytes32(name).u32(encoded.length)
    for (const [place, document] of encoded.entries()) {
      const key = given[place]
      if (key === undefined) run.absent()
      else run.bytes32(key)
      run.document(document)
    }
  }
}

/**
 * Deletes one document, or those of a range.
 *
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} key a key or a range
 * @returns {Promise<any>} whether the document was there, or how many there were in the range
 */
function deleteKeyOrRange (session, store, key) {
  let bounds
  try {
    const asked = toKeyOrBounds(key)
    if (asked.bounds === undefined) return session.delete(store, asked.key)
    bounds = asked.bounds
  } catch (error) {
    return session.refuse({ isWrite: true }, error)
  }
  return session.attempt(VERB.DELETE_RANGE, { store, isWrite: true }, () => {
    const name = nameBytes('store', store)
    return (run) => run.bytes32(name).range(bounds)
  })
}

/**
 * The first primary key that there is.
 *
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} index `undefined` for the primary keys themselves
 * @param {unknown} range a key or a range
 * @returns {Promise<any>} `undefined` where there is none
 */
function getKey (session, store, index, range) {
  // Here `null` is a key like any other, and `undefined` is a mistake and not everything.
  return session.attempt(VERB.GET_KEY, { store }, () => packRange(store, index, toBoundsOf(range)))
}

/**
 * @param {Session} session
 * @param {unknown} store
 * @param {unknown} index
 * @param {unknown} range
 * @returns {Promise<number>}
 */
function countByIndex (session, store, index, range) {
  return session.attempt(VERB.COUNT, { store }, () => {
    const bounds = toBounds(range)
    // Without this it would be the documents that are counted.
    nameBytes('index', index)
    return packRange(store, index, bounds)
  })
}

/**
 * @param {unknown} store
 * @param {unknown} index
 * @param {import('./packing.js').Bounds | undefined} bounds
 * @returns {import('./connection.js').Pack}
 */
function packRange (store, index, bounds) {
  const name = nameBytes('store', store)
  const indexName = index === undefined ? undefined : nameBytes('index', index)
  return (run) => {
    run.bytes32(name)
    if (indexName === undefined) run.absent()
    else run.bytes32(indexName)
    run.range(bounds)
  }
}

/**
 * @param {string} where
 * @param {unknown} store
 * @param {unknown} keys
 * @returns {import('./connection.js').Pack}
 */
function packKeys (where, store, keys) {
  const name = nameBytes('store', store)
  const budget = new Budget(where)
  const encoded = listOf(`the keys of ${where}`, keys, (key) => budget.key(key))
  return (run) => {
    run.bytes32(name).u32(encoded.length)
    for (const key of encoded) run.bytes32(key)
  }
}

/**
 * The keys that go with as many documents; `undefined` for a document that holds its own or gets one.
 *
 * @param {string} where
 * @param {unknown} keys
 * @param {number} count
 * @param {Budget} budget
 */
function toKeys (where, keys, count, budget) {
  let left = count
  const encoded = listOf(`the keys of ${where}`, keys, (key) => {
    if (--left < 0) throw invalid(`${where} takes a key for each document, and there are more than ${count}`)
    return key === undefined ? undefined : budget.key(key)
  })
  if (left > 0) throw invalid(`${where} takes a key for each document: ${count - left} for ${count}`)
  return encoded
}

/**
 * What `read` makes of each element of an iterable. The first that is refused ends it, however many there are.
 *
 * @template T
 * @param {string} what for messages
 * @param {unknown} elements
 * @param {(element: unknown) => T} read
 * @returns {T[]}
 */
function listOf (what, elements, read) {
  /** @type {T[]} */
  const list = []
  eachOf(what, elements, (element) => list.push(read(element)))
  return list
}

/**
 * Calls `read` with each element of an iterable. The first that is refused ends it, however many there are.
 *
 * @param {string} what for messages
 * @param {unknown} elements
 * @param {(element: unknown) => void} read
 */
function eachOf (what, elements, read) {
  reading('FLOWDB_INVALID_ARGUMENT', what, () => {
    if (typeof elements !== 'object' || elements === null || !(Symbol.iterator in elements)) {
      throw invalid(`${what} are an array or another iterable, not ${kindOf(elements)}`)
    }
    for (const element of /** @type {Iterable<unknown>} */ (elements)) read(element)
  })
}

/** Counts the bytes of a call. */
class Budget {
  #where
  #bytes = 0

  /** @param {string} where */
  constructor (where) {
    this.#where = where
  }

  /** @param {unknown} key */
  key (key) {
    const encoded = encodeKey(plainKey(key))
    this.#take(encoded.length)
    return encoded
  }

  /**
   * @param {import('./values.js').Encoded} encoded
   * @returns {import('./values.js').Encoded} that stays as it is, whatever the user does with the document
   */
  document (encoded) {
    const { format, bytes } = encoded
    this.#take(bytes === undefined ? utf8Length(encoded) : bytes.length)
    // Bytes are the user's own: an iterable may give the same buffer again, filled anew.
    if (bytes === undefined || format !== FORMAT.RAW) return encoded
    return { format, bytes: Uint8Array.prototype.slice.call(bytes) }
  }

  /** @param {number} bytes */
  #take (bytes) {
    this.#bytes += bytes
    if (this.#bytes <= CALL_BYTES_MAX) return
    const message = `${this.#where} takes at most ${CALL_BYTES_MAX} bytes of keys and documents: call it for parts of them`
    throw new FlowDBError('FLOWDB_INVALID_ARGUMENT', message)
  }
}

exports.Budget = Budget
exports.countByIndex = countByIndex
exports.deleteKeyOrRange = deleteKeyOrRange
exports.deleteMany = deleteMany
exports.eachOf = eachOf
exports.getKey = getKey
exports.getMany = getMany
exports.listOf = listOf
exports.putMany = putMany
