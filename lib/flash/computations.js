'use strict'

/*
 * Values that are computed where they are missing: `getOrSet` and `wrap`.
 *
 * Every call reads first, so that it sees what was set before it. Those that find nothing share one computation, if the
 * calls overlap: the first to know begins it, and the others wait for what becomes of it, also when their own reading
 * comes late.
 *
 * Invariant: a computation that has ended is joined only by calls that were made before its end.
 */

const { isOwn } = require('../errors.js')
const { plainKey } = require('../key.js')
const { toPlace } = require('../modify.js')
const { nameBytes } = require('../names.js')
const native = require('../native.js')
const { VERB } = require('../packing.js')
const { packWriteOptions } = require('../write-options.js')
const { checkKey } = require('./entries.js')

/**
 * @typedef {import('../session.js').Session} Session
 * @typedef {import('./place.js').Place} Place
 * @typedef {import('../write-options.js').WriteOptions} WriteOptions
 */

/**
 * Calls for one key that overlap.
 *
 * @typedef {{ waiting: number, computed: Promise<unknown> | undefined }} Calls
 */

/** For each session by store and key. @type {WeakMap<Session, Map<string, Calls>>} */
const overlapping = new WeakMap()

/**
 * @param {Place} place
 * @param {unknown} key
 * @param {() => unknown} compute
 * @param {WriteOptions} options of what is set, where nothing is there
 * @returns {Promise<any>}
 */
function computeOnce (place, key, compute, options) {
  const { session, store } = place
  return session.compose({ store, isWrite: true }, async () => {
    checkKey(key)
    const plain = plainKey(key)
    const inMemory = session.readInCall(nameBytes('store', store), plain, native.tryGet)
    if (inMemory !== native.NOT_AT_HAND && inMemory !== undefined) return await session.connection.resolved(inMemory)
    const spot = toPlace(store, plain)
    return await sharing(session, `${store}\0${spot.key.toString('latin1')}`, async (calls, ended) => {
      const found = await read(session, spot)
      if (found !== undefined) return found.value
      calls.computed ??= computeAndSet(place, spot, compute, options).finally(ended)
      return await calls.computed
    })
  })
}

/**
 * @template T
 * @param {Session} session
 * @param {string} id
 * @param {(calls: Calls, ended: () => void) => Promise<T>} work `ended` lets nobody join any more
 * @returns {Promise<T>}
 */
async function sharing (session, id, work) {
  let bySession = overlapping.get(session)
  if (bySession === undefined) overlapping.set(session, bySession = new Map())
  const byId = bySession
  let calls = byId.get(id)
  if (calls === undefined) byId.set(id, calls = { waiting: 0, computed: undefined })
  const joined = calls
  const ended = () => { if (byId.get(id) === joined) byId.delete(id) }
  joined.waiting++
  try {
    return await work(joined, ended)
  } finally {
    if (--joined.waiting === 0) ended()
  }
}

/** @typedef {import('../modify.js').Place} Spot */

/**
 * The value of an entry, which may be `undefined`.
 *
 * @param {Session} session
 * @param {Spot} spot
 * @returns {Promise<{ value: unknown } | undefined>} `undefined` where there is none
 */
async function read (session, { store, name, key }) {
  return await session.issue(VERB.GET_ENTRY, { store, isStep: true }, (run) => run.bytes32(name).bytes32(key))
}

/**
 * Sets what is computed, unless somebody else has set something meanwhile: then that is the value.
 *
 * @param {Place} place
 * @param {Spot} spot
 * @param {() => unknown} compute
 * @param {WriteOptions} options
 */
async function computeAndSet ({ session, encode }, spot, compute, options) {
  const value = await compute()
  if (value === undefined) return undefined
  const encoded = encode(value)
  const { store, name, key } = spot
  try {
    await session.issue(VERB.PUT_WITH, { store, isWrite: true, isStep: true }, (run) => {
      packWriteOptions(run.bytes32(name).bytes32(key).document(encoded), options)
    })
  } catch (error) {
    if (!isOwn(error) || error.code !== 'FLOWDB_CONSTRAINT') throw error
    const found = await read(session, spot)
    return found === undefined ? value : found.value
  }
  return value
}

exports.computeOnce = computeOnce
