'use strict'

/*
 * Where a facade's operations go: straight to the database, or into one of its transactions.
 *
 * Invariant: a session never throws where it should reject; facades pass its promises on as they are.
 */

const { plainKey } = require('./key.js')
const { nameBytes } = require('./names.js')
const { VERB } = require('./packing.js')
const { Rows, gather } = require('./cursor.js')
const { toBounds } = require('./key-range.js')
const { isOptions, packWriteOptions, toTouch, toWriteOptions } = require('./write-options.js')

const ignore = () => {}

/** @type {FinalizationRegistry<import('./connection.js').Connection>} */
const forgotten = new FinalizationRegistry((connection) => connection.close().catch(ignore))

/**
 * What a session has to know of an operation.
 *
 * @typedef {object} What
 * @property {unknown} [store] the store that it names
 * @property {boolean} [isWrite]
 * @property {boolean} [isStep] it is a part of a call that is held, and goes on although the database is being closed
 * @property {boolean} [isOrdered] it is no write, and keeps its place among them
 * @property {boolean} [isFree] it belongs to a cursor that has been opened
 * @property {boolean} [isTried] it could not be answered in the call
 * @property {number} [wants]
 * @property {unknown} [result] what it resolves to in place of its answer, on the database itself
 * @property {() => void} [settled] on the database itself, called with the answer, before anybody goes on who waits
 *   for it
 */

/**
 * Packs where a document goes, and the document.
 *
 * @param {import('./run.js').Run} run
 * @param {Uint8Array} name of the store
 * @param {unknown} plain its key, or `undefined` where it holds it or it is generated
 * @param {import('./values.js').Encoded} encoded
 */
function packDocument (run, name, plain, encoded) {
  run.bytes32(name)
  if (plain === undefined) run.absent()
  else run.key(plain)
  run.document(encoded)
}

/** Operations on the database itself, each a transaction of its own. */
class Session {
  /** @param {import('./connection.js').Connection} connection */
  constructor (connection) {
    this.connection = connection
  }

  /**
   * A session that closes its connection when nobody holds it any more. Transactions and cursors hold it.
   *
   * @param {import('./connection.js').Connection} connection
   */
  static owning (connection) {
    const session = new Session(connection)
    forgotten.register(session, connection)
    return session
  }

  /** Whether each of its writes is a commit of its own: then it can have a durability of its own, and a result. */
  get commitsEach () {
    return true
  }

  /** Throws when nothing can be issued any more. */
  checkUsable () {
    this.checkOpen()
  }

  /** Throws when the database takes nothing any more. */
  checkOpen () {
    this.connection.checkOpen()
  }

  /**
   * Issues an operation.
   *
   * @param {number} verb
   * @param {What} what
   * @param {import('./connection.js').Pack} pack
   * @returns {Promise<any>}
   */
  issue (verb, what, pack) {
    return this.connection.issue(verb, what, pack)
  }

  /**
   * Does an operation in the call, behind all that was issued before it.
   *
   * @param {number} verb
   * @param {What} what
   * @param {import('./connection.js').Pack} pack
   * @returns {any}
   */
  issueSync (verb, what, pack) {
    return this.connection.issueSync(verb, what, pack)
  }

  /**
   * Issues an operation whose answer nobody waits for.
   *
   * @param {number} verb
   * @param {import('./connection.js').Pack} pack
   */
  tell (verb, pack) {
    this.connection.tell(verb, {}, pack)
  }

  /**
   * @param {number} verb
   * @param {What} what
   * @param {() => import('./connection.js').Pack} prepare checks the arguments
   * @returns {Promise<any>}
   */
  #try (verb, what, prepare) {
    try {
      this.checkOpen()
      return this.issue(verb, what, prepare())
    } catch (error) {
      return this.refuse(what, error)
    }
  }

  /**
   * Issues an operation once its arguments have been checked; it never throws.
   *
   * @param {number} verb
   * @param {What} what
   * @param {() => import('./connection.js').Pack} prepare checks the arguments
   * @returns {Promise<any>}
   */
  attempt (verb, what, prepare) {
    return this.#try(verb, what, prepare)
  }

  /**
   * Makes one call of several operations, its steps.
   *
   * @param {What} what
   * @param {() => Promise<any>} work may throw
   * @returns {Promise<any>}
   */
  async compose (what, work) {
    this.checkUsable()
    return await this.connection.hold(work)
  }

  /**
   * Rejects an operation that could not be issued.
   *
   * @param {What} _what
   * @param {unknown} error
   * @returns {Promise<any>}
   */
  refuse (_what, error) {
    return Promise.reject(error)
  }

  /**
   * Stores a document. It is the most frequent write, and makes nothing that it can do without.
   *
   * @param {boolean} overwrite
   * @param {unknown} store
   * @param {(document: unknown) => import('./values.js').Encoded} encode may run a user's code
   * @param {unknown} document
   * @param {unknown} [key] `undefined` where the document holds it or it is generated
   * @param {unknown} [result] what it resolves to in place of the key, where the session `commitsEach`
   * @returns {Promise<any>} the key
   */
  put (overwrite, store, encode, document, key, result) {
    const what = { store, isWrite: true, result }
    try {
      this.checkOpen()
      const name = nameBytes('store', store)
      const plain = plainKey(key)
      const encoded = encode(document)
      return this.issue(overwrite ? VERB.PUT : VERB.ADD, what, (run) => { packDocument(run, name, plain, encoded) })
    } catch (error) {
      return this.refuse(what, error)
    }
  }

  /**
   * A put with options, or with a third argument that may be options or a key.
   *
   * @param {'put' | 'add' | 'set'} where
   * @param {unknown} store
   * @param {() => import('./values.js').Encoded} encode
   * @param {unknown} key
   * @param {unknown} options
   * @returns {Promise<import('./key.js').Key>}
   */
  putWith (where, store, encode, key, options) {
    return this.#try(VERB.PUT_WITH, { store, isWrite: true }, () => {
      const name = nameBytes('store', store)
      const isKey = options !== undefined || !isOptions(key)
      const asked = toWriteOptions(where, isKey ? options : key, this.commitsEach)
      const plain = isKey ? plainKey(key) : undefined
      const encoded = encode()
      return (run) => {
        packDocument(run, name, plain, encoded)
        packWriteOptions(run, asked)
      }
    })
  }

  /**
   * @param {unknown} store
   * @param {unknown} key
   * @param {unknown} options
   * @returns {Promise<boolean>} whether it was there
   */
  touch (store, key, options) {
    return this.#try(VERB.TOUCH, { store, isWrite: true }, () => {
      const pack = packKey(store, key)
      const { kind, ms } = toTouch(options)
      return (run) => {
        pack(run)
        run.u8(kind).i64(ms)
      }
    })
  }

  /**
   * @param {unknown} store
   * @param {unknown} key
   * @returns {Promise<import('./packing.js').Entry | undefined>}
   */
  getEntry (store, key) {
    return this.#try(VERB.GET_ENTRY, { store }, () => packKey(store, key))
  }

  /**
   * @param {unknown} store
   * @param {unknown} key
   * @returns {Promise<any>}
   */
  get (store, key) {
    return this.#read(VERB.GET, store, key)
  }

  /**
   * @param {unknown} store
   * @param {unknown} key
   * @returns {Promise<boolean>}
   */
  has (store, key) {
    return this.#read(VERB.HAS, store, key)
  }

  /**
   * @param {number} verb
   * @param {unknown} store
   * @param {unknown} key
   * @returns {Promise<any>}
   */
  #read (verb, store, key) {
    try {
      this.checkOpen()
      const name = nameBytes('store', store)
      const plain = plainKey(key)
      return this.readSoon(name, plain, verb === VERB.HAS) ?? this.#readLater(verb, store, name, plain)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * @param {number} verb
   * @param {unknown} store
   * @param {Uint8Array} name
   * @param {unknown} plain
   * @returns {Promise<any>}
   */
  #readLater (verb, store, name, plain) {
    return this.issue(verb, { store }, (run) => run.bytes32(name).key(plain))
  }

  /**
   * @param {Uint8Array} name
   * @param {unknown} key from `plainKey`
   * @param {boolean} isHas
   * @returns {Promise<any> | undefined} `undefined` where it is not at hand
   */
  readSoon (name, key, isHas) {
    return this.connection.readSoon(name, key, isHas)
  }

  /**
   * @param {Uint8Array} name
   * @param {readonly unknown[]} keys from `plainKey`
   * @returns {unknown[] | undefined} `undefined` where any of them is not at hand
   */
  readManyInCall (name, keys) {
    return this.connection.readManyInCall(name, keys)
  }

  /**
   * @param {Uint8Array} name
   * @param {unknown} key from `plainKey`
   * @param {typeof import('./native.js').tryGet | typeof import('./native.js').tryHas} read
   * @returns {any}
   */
  readInCall (name, key, read) {
    return this.connection.readInCall(name, key, read)
  }

  /**
   * Finds the document that has a key in a unique index in the call if it lies in memory.
   *
   * @param {unknown} store
   * @param {unknown} index
   * @param {unknown} key from `plainKey`
   * @returns {any} the document, `undefined` where there is none, or `native.NOT_AT_HAND`
   */
  findInCall (store, index, key) {
    this.checkUsable()
    return this.connection.findInCall(nameBytes('store', store), nameBytes('index', index), key)
  }

  /**
   * Does a read in the call if that is soon done.
   *
   * @param {number} verb
   * @param {number} wants what the page that it asks for carries
   * @param {import('./connection.js').Pack} pack
   * @returns {any} its answer, or `native.NOT_AT_HAND`; then it has to be issued
   */
  answerInCall (verb, wants, pack) {
    return this.connection.answerInCall(verb, wants, pack)
  }

  /**
   * @param {unknown} store
   * @param {unknown} key
   * @returns {Promise<boolean>} whether it was there
   */
  delete (store, key) {
    return this.#try(VERB.DELETE, { store, isWrite: true }, () => packKey(store, key))
  }

  /**
   * @param {unknown} store
   * @returns {Promise<void>}
   */
  clear (store) {
    return this.#try(VERB.CLEAR, { store, isWrite: true }, () => {
      const name = nameBytes('store', store)
      return (run) => run.bytes32(name)
    })
  }

  /**
   * @param {unknown} store
   * @param {unknown} range
   * @returns {Promise<number>}
   */
  count (store, range) {
    return this.#try(VERB.COUNT, { store }, () => {
      const name = nameBytes('store', store)
      const bounds = toBounds(range)
      return (run) => run.bytes32(name).absent().range(bounds)
    })
  }

  /**
   * Forgets what has expired.
   *
   * @param {() => unknown} storeOf the store, or `undefined` for all of them; may throw
   * @returns {Promise<number>} how many documents they were
   */
  purge (storeOf) {
    return this.#try(VERB.PURGE, { isWrite: true }, () => {
      const store = storeOf()
      const name = store === undefined ? undefined : nameBytes('store', store)
      return (run) => {
        if (name === undefined) run.absent()
        else run.bytes32(name)
      }
    })
  }

  /**
   * Starts to read rows; they are as they are now, whatever is written meanwhile.
   *
   * @template T
   * @param {NamedScan} scan
   * @param {(page: import('./packing.js').Page) => readonly T[]} select what of a page is iterated over
   * @returns {Rows<T>}
   */
  rows (scan, select) {
    return new Rows(this, toNamed(scan), scan.store, select)
  }

  /**
   * Reads all rows, as they are now.
   *
   * @template T
   * @param {NamedScan} scan
   * @param {(page: import('./packing.js').Page) => T[]} select what of a page is wanted
   * @returns {Promise<T[]>}
   */
  gather (scan, select) {
    return gather(this, toNamed(scan), scan.store, select)
  }
}

/**
 * A scan that names its store and its index.
 *
 * @typedef {Omit<import('./cursor.js').Scan, 'store' | 'index'> & { store: unknown, index?: unknown }} NamedScan
 */

/**
 * @param {NamedScan} scan
 * @returns {import('./cursor.js').Scan}
 */
function toNamed (scan) {
  // What a scan has not, it has not by Object.prototype either.
  const own = Object.assign(Object.create(null), scan)
  const store = nameBytes('store', own.store)
  const index = own.index === undefined ? undefined : nameBytes('index', own.index)
  const { bounds, reverse, distinct, limit, offset, wants, isGathered } = own
  return { store, index, bounds, reverse, distinct, limit, offset, wants, isGathered }
}

/**
 * @param {unknown} store
 * @param {unknown} key
 * @returns {import('./connection.js').Pack}
 */
function packKey (store, key) {
  const name = nameBytes('store', store)
  const plain = plainKey(key)
  return (run) => run.bytes32(name).key(plain)
}

exports.Session = Session
exports.packDocument = packDocument
exports.packKey = packKey
