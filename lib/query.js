'use strict'

/*
 * Queries: what is asked for is gathered call by call and checked there, and sent when it is run.
 *
 * Invariant: a query never changes; each call gives a new one. Nothing of a user's code runs after the call that it was
 * given to: keys are encoded and paths are texts by then.
 */

const { types } = require('node:util')
const { reading } = require('./errors.js')
const { encodeKey } = require('./key.js')
const { Rows, gather } = require('./cursor.js')
const { checkCount, checkPath, eachOf, entriesOf, invalid, kindOf, nameBytes } = require('./names.js')
const { VERB, WANTS } = require('./packing.js')

/** The limits of `src/jsondb/query`. */
const CONDITIONS_MAX = 64
const IN_KEYS_MAX = 10_000
const ORDER_PATHS_MAX = 16
const SELECTED_PATHS_MAX = 256
const PATH_BYTES_MAX = 1024
const PATH_SEGMENTS_MAX = 32

/** So many paths are remembered that were found to be ones; a program that uses more has them checked again. */
const REMEMBERED_MAX = 1000

/** @type {Set<string>} */
const remembered = new Set()

/** What a condition asks for; the numbers that `src/binding/query_packing.rs` knows. @type {Record<string, number>} */
const OPERATORS = Object.freeze(Object.assign(Object.create(null), {
  equals: 0, in: 1, gt: 2, gte: 3, lt: 4, lte: 5, prefix: 6, contains: 7
}))

/**
 * A condition with its keys encoded, so that nobody can change them any more.
 *
 * @typedef {{ path: string, operator: number, keys: Buffer[] }} Condition
 */

/**
 * @typedef {object} Asked
 * @property {unknown} store
 * @property {Condition[]} conditions
 * @property {[string, boolean][]} order paths, and whether descending
 * @property {string[] | undefined} selected
 * @property {number} offset
 * @property {number} limit
 */

/** @param {import('./packing.js').Page} page */
const documentsOf = (page) => page.documents
/** @param {import('./packing.js').Page} page */
const keysOf = (page) => page.keys

class Query {
  #session
  #asked

  /**
   * @param {import('./session.js').Session} session
   * @param {Asked} asked
   */
  constructor (session, asked) {
    this.#session = session
    this.#asked = asked
  }

  /**
   * The session that a value runs its query in, where it is a query.
   *
   * @param {object} value
   * @returns {import('./session.js').Session | undefined}
   */
  static sessionOf (value) {
    return #session in value ? value.#session : undefined
  }

  /** The store that it asks for documents of. */
  get store () {
    return this.#asked.store
  }

  /** @param {Partial<Asked>} more */
  #with (more) {
    return new Query(this.#session, { ...this.#asked, ...more })
  }

  /**
   * Leaves only documents that meet conditions.
   *
   * @param {Record<string, unknown>} conditions by path: a key, or an object of operators
   */
  where (conditions) {
    const all = [...this.#asked.conditions]
    for (const [path, condition] of entriesOf('where', conditions)) addConditions(all, path, condition)
    if (all.length > CONDITIONS_MAX) throw invalid(`a query has at most ${CONDITIONS_MAX} conditions, not ${all.length}`)
    return this.#with({ conditions: all })
  }

  /**
   * Orders documents, behind the orders that were given before.
   *
   * @param {unknown} by a path, an array of paths, or an object of paths with their directions
   * @param {unknown} [direction] of a path or an array of them
   */
  orderBy (by, direction) {
    const order = [...this.#asked.order, ...toOrder(by, direction)]
    if (order.length > ORDER_PATHS_MAX) throw invalid(`a query orders by at most ${ORDER_PATHS_MAX} paths`)
    return this.#with({ order })
  }

  /**
   * Keeps of each document only what stands at some paths.
   *
   * @param {...unknown} paths paths, or one array of them
   */
  select (...paths) {
    const given = paths.length === 1 && typeof paths[0] !== 'string' ? paths[0] : paths
    const selected = eachOf('the paths of select', given, (path) => checkQueryPath('select', path))
    if (selected === undefined) throw invalid(`select takes paths or an array of them, not ${kindOf(given)}`)
    if (selected.length > SELECTED_PATHS_MAX) throw invalid(`a query selects at most ${SELECTED_PATHS_MAX} paths`)
    return this.#with({ selected })
  }

  /**
   * Gives at most so many documents.
   *
   * @param {number} limit
   */
  limit (limit) {
    return this.#with({ limit: checkCount('a query', 'limit', limit) })
  }

  /**
   * Passes over so many of the first documents.
   *
   * @param {number} offset
   */
  offset (offset) {
    if (offset === Infinity) throw invalid('offset of a query is a whole number from 0, not the number Infinity')
    return this.#with({ offset: checkCount('a query', 'offset', offset) })
  }

  /**
   * All documents.
   *
   * @returns {Promise<any[]>}
   */
  toArray () {
    return this.#gather(WANTS.DOCUMENTS, documentsOf)
  }

  /**
   * The primary keys of all documents.
   *
   * @returns {Promise<any[]>}
   */
  keys () {
    return this.#gather(WANTS.KEYS, keysOf)
  }

  /**
   * The first document, or `undefined`.
   *
   * @returns {Promise<any>}
   */
  async first () {
    const query = this.#with({ limit: Math.min(this.#asked.limit, 1) })
    const [document] = await query.#gather(WANTS.DOCUMENTS, documentsOf)
    return document
  }

  /**
   * How many documents there are, within limit and offset.
   *
   * @returns {Promise<number>}
   */
  async count () {
    return await this.#session.issue(VERB.QUERY_COUNT, { store: this.#asked.store }, this.#pack())
  }

  /**
   * Deletes the documents, all at once.
   *
   * @returns {Promise<number>} how many they were
   */
  delete () {
    const what = { store: this.#asked.store, isWrite: true }
    try {
      // Not awaited here: a transaction has to know whether anybody looked at the promise.
      return this.#session.issue(VERB.QUERY_DELETE, what, this.#pack())
    } catch (error) {
      return this.#session.refuse(what, error)
    }
  }

  /**
   * Runs the query, and tells how, and what was read for it.
   *
   * @returns {Promise<any>}
   */
  async explain () {
    return await this.#session.issue(VERB.QUERY_EXPLAIN, { store: this.#asked.store }, this.#pack())
  }

  /**
   * Iterates over the documents as they are now.
   *
   * @returns {AsyncIterableIterator<any>}
   */
  [Symbol.asyncIterator] () {
    return new Rows(this.#session, this.#scan(WANTS.DOCUMENTS), this.#asked.store, documentsOf)
  }

  /**
   * @template T
   * @param {number} wants
   * @param {(page: import('./packing.js').Page) => T[]} select
   * @returns {Promise<T[]>}
   */
  #gather (wants, select) {
    try {
      return gather(this.#session, this.#scan(wants), this.#asked.store, select)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @param {number} wants */
  #scan (wants) {
    const pack = this.#pack()
    return {
      verb: VERB.OPEN_QUERY,
      wants,
      pack: (/** @type {import('./run.js').Run} */ run) => {
        pack(run)
        run.u8(wants)
      },
      limit: Infinity
    }
  }

  /** @returns {(run: import('./run.js').Run) => void} */
  #pack () {
    const { store, conditions, order, selected, offset, limit } = this.#asked
    const name = nameBytes('store', store)
    return (run) => {
      run.bytes32(name).u32(conditions.length)
      for (const condition of conditions) packCondition(run, condition)
      run.u32(order.length)
      for (const [path, isDescending] of order) run.text(path).u8(isDescending ? 1 : 0)
      run.u8(selected === undefined ? 0 : 1)
      if (selected !== undefined) {
        run.u32(selected.length)
        for (const path of selected) run.text(path)
      }
      run.i64(offset).u8(limit === Infinity ? 0 : 1)
      if (limit !== Infinity) run.i64(limit)
    }
  }
}

/**
 * @param {import('./run.js').Run} run
 * @param {Condition} condition
 */
function packCondition (run, { path, operator, keys }) {
  run.text(path).u8(operator)
  if (operator === OPERATORS.in) run.u32(keys.length)
  for (const key of keys) run.bytes32(key)
}

/**
 * Adds the conditions that an entry of `where` means.
 *
 * @param {Condition[]} all
 * @param {string} path
 * @param {unknown} condition
 */
function addConditions (all, path, condition) {
  checkQueryPath('where', path)
  const operators = operatorsOf(path, condition)
  if (operators === undefined) {
    all.push({ path, operator: OPERATORS.equals, keys: [encodeKey(condition)] })
    return
  }
  if (operators.length === 0) throw invalid(`the condition on ${kindOf(path)} is empty: name an operator`)
  for (const [name, operand] of operators) all.push(toCondition(path, name, operand))
}

/**
 * The operators of a condition, or `undefined` where it is a key. Keys are never plain objects.
 *
 * @param {string} path
 * @param {unknown} condition
 * @returns {[string, unknown][] | undefined}
 */
function operatorsOf (path, condition) {
  if (typeof condition !== 'object' || condition === null) return undefined
  const isKey = reading('FLOWDB_INVALID_ARGUMENT', 'a condition', () => {
    return Array.isArray(condition) || Object.prototype.toString.call(condition) !== '[object Object]'
  })
  return isKey ? undefined : entriesOf(`the condition on ${kindOf(path)}`, condition)
}

/**
 * @param {string} path
 * @param {string} name
 * @param {unknown} operand
 * @returns {Condition}
 */
function toCondition (path, name, operand) {
  const operator = OPERATORS[name]
  if (operator === undefined) {
    const known = Object.keys(OPERATORS).join(', ')
    throw invalid(`the condition on ${kindOf(path)} has the operator ${kindOf(name)}, which is none of ${known}`)
  }
  if (name === 'in') return { path, operator, keys: toKeys(operand) }
  if (name === 'prefix') checkPrefix(operand)
  return { path, operator, keys: [encodeKey(operand)] }
}

/**
 * @param {unknown} operand
 * @returns {Buffer[]}
 */
function toKeys (operand) {
  const keys = eachOf('the keys of in', operand, encodeKey)
  if (keys === undefined) throw invalid(`in takes an array of keys, not ${kindOf(operand)}`)
  if (keys.length > IN_KEYS_MAX) throw invalid(`in takes at most ${IN_KEYS_MAX} keys, not ${keys.length}`)
  return keys
}

/** @param {unknown} operand */
function checkPrefix (operand) {
  const isPrefix = typeof operand === 'string' ||
    (typeof operand === 'object' && operand !== null && !types.isDate(operand))
  if (!isPrefix) throw invalid(`prefix takes a string, bytes or an array, not ${kindOf(operand)}`)
}

/**
 * @param {unknown} by
 * @param {unknown} direction
 * @returns {[string, boolean][]}
 */
function toOrder (by, direction) {
  if (typeof by === 'string') return [[checkQueryPath('orderBy', by), isDescending(direction)]]
  const paths = eachOf('the paths of orderBy', by, (path) => checkQueryPath('orderBy', path))
  if (paths !== undefined) return paths.map((path) => [path, isDescending(direction)])
  if (direction !== undefined) throw invalid('orderBy takes directions in the object or behind the path, not both')
  return entriesOf('orderBy', by).map(([path, its]) => [checkQueryPath('orderBy', path), isDescending(its)])
}

/** @param {unknown} direction */
function isDescending (direction) {
  if (direction === undefined || direction === 'asc') return false
  if (direction === 'desc') return true
  throw invalid(`the direction of an order is "asc" or "desc", not ${kindOf(direction)}`)
}

/**
 * @param {string} where
 * @param {unknown} path
 * @returns {string}
 */
function checkQueryPath (where, path) {
  if (remembered.has(/** @type {string} */ (path))) return /** @type {string} */ (path)
  if (typeof path !== 'string') throw invalid(`a path of ${where} is a string with dots, not ${kindOf(path)}`)
  checkPath(path)
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw invalid(`a path of ${where} has at most ${PATH_BYTES_MAX} bytes`)
  const segments = path.split('.')
  if (path !== '' && segments.includes('')) throw invalid(`the path ${kindOf(path)} of ${where} has an empty segment`)
  if (segments.length > PATH_SEGMENTS_MAX) {
    throw invalid(`the path ${kindOf(path)} of ${where} has more than ${PATH_SEGMENTS_MAX} segments`)
  }
  if (remembered.size >= REMEMBERED_MAX) remembered.clear()
  // A part of a longer string would keep all of that.
  remembered.add(Buffer.from(path).toString())
  return path
}

/**
 * A query for every document of a store.
 *
 * @param {import('./session.js').Session} session
 * @param {unknown} store
 */
function queryOf (session, store) {
  nameBytes('store', store)
  return new Query(session, {
    store, conditions: [], order: [], selected: undefined, offset: 0, limit: Infinity
  })
}

exports.queryOf = queryOf
exports.sessionOfQuery = Query.sessionOf
