'use strict'

/*
 * Live queries: iterating over the results of a query whenever they change.
 *
 * A change in the store, of which no more is kept than that there was one, has the query run again when somebody asks.
 */

const { setImmediate: turn } = require('node:timers/promises')
const { serialize } = require('node:v8')
const { reading } = require('./errors.js')
const { toBounds } = require('./key-range.js')
const moment = require('./moment.js')
const { checkOptions, invalid, isPlain, kindOf, nameBytes } = require('./names.js')
const { WANTS } = require('./packing.js')
const { sessionOfQuery } = require('./query.js')
const { OVERFLOWS, Subscription, Watch, checkLiveSignal } = require('./watch.js')

/** So many results are made bytes at once … */
const PORTION_ROWS = 64
/** … and the event loop turns when that has taken so long. */
const MS_BETWEEN_TURNS = 2

/** @param {import('./packing.js').Page} page */
const documentsOf = (page) => page.documents

/**
 * Runs a query, and again whenever documents of its store have changed; gives its results where they are others than
 * before.
 *
 * @param {import('./session.js').Session} session
 * @param {object} documents the database, which runs what is described
 * @param {unknown} source a query, or the description of one
 * @param {unknown} options
 * @returns {Watch<any[]>}
 */
function liveQuery (session, documents, source, options) {
  const { signal } = checkOptions('liveQuery', options, { signal: 'any' })
  const { store, bounds, run } = toSource(session, documents, source)
  const subscription = new Subscription(session, {
    store,
    bounds,
    wants: 0,
    // One change says that there are some.
    buffer: 1,
    overflow: OVERFLOWS['drop-oldest'],
    signal: checkLiveSignal('liveQuery', signal)
  })
  /** The results that were given last, as bytes, so that nobody can change them. @type {Buffer[] | undefined} */
  let last
  const read = async () => {
    const value = await run()
    return { value, bytes: await bytesOf(value) }
  }
  return new Watch(subscription, async () => {
    while (last === undefined ? await isReady(subscription) : await subscription.page() !== undefined) {
      const results = await subscription.during(read)
      if (results === undefined) {
        // Throws where its signal has ended it.
        await subscription.page()
        return undefined
      }
      const { value, bytes } = results.value
      if (last !== undefined && areSame(bytes, last)) continue
      last = bytes
      return { value }
    }
    return undefined
  })
}

/**
 * What results are, as bytes, a portion of them after the other: the event loop gets its turn in between.
 *
 * @param {unknown} results
 * @returns {Promise<Buffer[]>}
 */
async function bytesOf (results) {
  // A query of a user's may give anything.
  if (!Array.isArray(results)) return [serialize(results)]
  const portions = []
  let began = moment.now()
  for (let at = 0; at < results.length; at += PORTION_ROWS) {
    portions.push(serialize(results.slice(at, at + PORTION_ROWS)))
    if (moment.now() - began < MS_BETWEEN_TURNS) continue
    await turn()
    began = moment.now()
  }
  return portions
}

/**
 * @param {Buffer[]} bytes
 * @param {Buffer[]} others
 */
function areSame (bytes, others) {
  return bytes.length === others.length && bytes.every((portion, at) => portion.equals(others[at]))
}

/**
 * Whether a subscription has begun and goes on. What ended it before that is thrown.
 *
 * @param {Subscription} subscription
 */
async function isReady (subscription) {
  if (subscription.isOpen) await subscription.ready
  if (!subscription.isOpen) await subscription.page()
  return subscription.isOpen
}

/**
 * What is run, and what is watched for it.
 *
 * @typedef {object} Source
 * @property {Uint8Array | undefined} store
 * @property {import('./packing.js').Bounds | undefined} bounds
 * @property {() => Promise<any[]>} run
 */

/**
 * @param {import('./session.js').Session} session
 * @param {any} documents
 * @param {any} source
 * @returns {Source}
 */
function toSource (session, documents, source) {
  const query = reading('FLOWDB_INVALID_ARGUMENT', 'a query', () => {
    if (typeof source !== 'object' || source === null || typeof source.toArray !== 'function') return undefined
    return { store: typeof source.store === 'string' ? source.store : undefined }
  })
  if (query !== undefined) {
    const its = sessionOfQuery(source)
    if (its !== undefined && its !== session) {
      // What a transaction sees does not change when others write, and it ends.
      throw invalid('liveQuery takes a query of its database, not one of a transaction or of another database')
    }
    // A query that does not say its store is run again after every change.
    const store = query.store === undefined ? undefined : nameBytes('store', query.store)
    return { store, bounds: undefined, run: () => source.toArray() }
  }
  if (!reading('FLOWDB_INVALID_ARGUMENT', 'what liveQuery takes', () => isPlain(source))) throw invalid(`liveQuery takes a query or an object that describes one, not ${kindOf(source)}`)
  return toDescribed(session, documents, source)
}

/**
 * @param {import('./session.js').Session} session
 * @param {any} documents
 * @param {object} description
 * @returns {Source}
 */
function toDescribed (session, documents, description) {
  const { store, range, reverse = false, where, orderBy, select, limit = Infinity, offset } = checkOptions('liveQuery', description, {
    store: 'any',
    range: 'any',
    reverse: 'boolean',
    where: 'any',
    orderBy: 'any',
    select: 'any',
    limit: 'count',
    offset: 'count'
  })
  const name = nameBytes('store', store)
  const isQuery = [where, orderBy, select, offset].some((part) => part !== undefined)
  if (!isQuery) {
    const bounds = toBounds(range)
    const scan = { store, bounds, reverse, limit, wants: WANTS.DOCUMENTS }
    return { store: name, bounds, run: async () => await session.gather(scan, documentsOf) }
  }
  if (range !== undefined || reverse) {
    throw invalid('liveQuery takes range and reverse, or where, orderBy, select and offset, not both')
  }
  let query = documents.query(store)
  if (where !== undefined) query = query.where(where)
  if (orderBy !== undefined) query = query.orderBy(orderBy)
  if (select !== undefined) query = query.select(select)
  if (limit !== Infinity) query = query.limit(limit)
  if (offset !== undefined) query = query.offset(offset)
  return { store: name, bounds: undefined, run: () => query.toArray() }
}

exports.liveQuery = liveQuery
