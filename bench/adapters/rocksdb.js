'use strict'

/* @nxtedition/rocksdb: the binding of RocksDB that has a binary for Node.js 20 and newer. */

const { levelStore } = require('./level.js')

const load = () => require('@nxtedition/rocksdb')

/** @param {import('./index.js').OpenOptions} options */
async function open ({ dir, durability, cacheBytes, documents }) {
  const valueEncoding = documents ? 'json' : 'utf8'
  const db = new (load().RocksLevel)(dir, { valueEncoding, createIfMissing: true, cacheSize: cacheBytes })
  await db.open()
  const writing = { sync: durability === 'strict' }
  const store = levelStore(db, writing)
  return {
    ...store,
    // Its `put` and `del` forget the option `sync` (seen in 12.2.12); its batches don't.
    put: (key, value) => db.batch([{ type: 'put', key, value }], writing),
    delete: (key) => db.batch([{ type: 'del', key }], writing),
    get: (key) => orNothing(store.get(key))
  }
}

/**
 * A key that is not there is an error in this version of abstract-level.
 *
 * @param {Promise<unknown>} asked
 */
async function orNothing (asked) {
  try {
    return await asked
  } catch (error) {
    if (/** @type {any} */ (error).code === 'LEVEL_NOT_FOUND') return undefined
    throw error
  }
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'rocksdb',
  package: '@nxtedition/rocksdb',
  durability: { strict: '`sync: true` with each write, which are batches of one', relaxed: '`sync: false`' },
  cannot: {
    getSync: 'its documentation has none',
    has: 'abstract-level 1 has none',
    openPeople: 'it has no secondary indexes',
    opensTwice: 'its documentation has no way to share a directory between threads'
  },
  load,
  open
}
