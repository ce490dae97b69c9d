'use strict'

/* flash-store: a Map on LevelDB, and one that is copied into memory. */

const load = () => require('flash-store')

/** @param {import('./index.js').OpenOptions} options */
async function open ({ dir }) {
  const store = new (load().FlashStore)(dir)
  // It opens by itself; its first answer says that it has.
  await store.get('-')
  return {
    put: (key, value) => store.set(key, value),
    get: (key) => store.get(key),
    has: (key) => store.has(key),
    delete: (key) => store.delete(key),
    iterate: () => store.entries(),
    close: () => store.close()
  }
}

/**
 * @param {string} dir
 * @param {Iterable<[string, any]>} entries
 */
async function fill (dir, entries) {
  const store = new (load().FlashStore)(dir)
  await Promise.all(Array.from(entries, ([key, value]) => store.set(key, value)))
  await store.close()
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'flash-store',
  package: 'flash-store',
  durability: { relaxed: 'as it is: it never syncs a write' },
  cannot: {
    strict: 'it never syncs a write, and has no setting for that',
    putMany: 'it has none',
    getMany: 'it has none',
    getSync: 'everything is a promise; FlashStoreSync is a Map in memory',
    pages: 'it has none',
    range: 'its `gte` does not work, as its README says',
    openPeople: 'it has no secondary indexes',
    opensTwice: 'a directory is opened by one thread at a time'
  },
  load,
  open,
  reopenings: {
    FlashStore: {
      fill,
      open: async (dir, key) => {
        const store = new (load().FlashStore)(dir)
        return [await store.get(key), () => store.close()]
      }
    },
    FlashStoreSync: {
      // The files are the same. Its own `set` takes quadratic time where it is not waited for.
      fill,
      open: async (dir, key) => {
        const store = new (load().FlashStoreSync)(dir)
        await store.ready()
        return [store.get(key), () => store.close()]
      }
    }
  }
}
