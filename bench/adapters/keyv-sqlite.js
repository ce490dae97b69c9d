'use strict'

/* Keyv with @keyv/sqlite. */

const load = () => [require('keyv'), require('@keyv/sqlite')]

/** @param {import('./index.js').OpenOptions} options */
async function open ({ dir }) {
  const [{ Keyv }, { default: KeyvSqlite }] = load()
  const backend = new KeyvSqlite({ uri: `sqlite://${dir}/data.db`, busyTimeout: 10000, iterationLimit: 1000 })
  const store = new Keyv({ store: backend })
  store.on('error', (/** @type {Error} */ error) => { throw error })
  return {
    put: (key, value) => store.set(key, value),
    get: (key) => store.get(key),
    getMany: (keys) => store.getMany(keys),
    has: (key) => store.has(key),
    delete: (key) => store.delete(key),
    iterate: () => store.iterator(undefined),
    close: () => store.disconnect()
  }
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'keyv-sqlite',
  package: '@keyv/sqlite',
  isUnordered: true,
  durability: { strict: 'as it is: it syncs each write' },
  cannot: {
    relaxed: 'it syncs each write, and has no setting for that',
    putMany: 'its `setMany` is so many sets, and not all or nothing',
    getSync: 'everything is a promise',
    pages: 'it has none',
    range: 'it has no order',
    openPeople: 'it has no secondary indexes'
  },
  load,
  open,
  opensTwice: true
}
