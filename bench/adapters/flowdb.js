'use strict'

/* FlowDB itself, by its path: FlashStore for keys and values, FlowDB for documents with indexes. */

const { join } = require('node:path')

const ROOT = join(__dirname, '..', '..')
const MIB = 1024 * 1024

const flowdb = () => require(ROOT)

/** @param {import('./index.js').OpenOptions} options */
const settings = ({ dir, durability, cacheBytes }) => {
  return { dataDir: dir, durability, blockCacheCapacityMb: cacheBytes / MIB }
}

/** @param {import('./index.js').OpenOptions} options */
async function open (options) {
  const store = await flowdb().FlashStore.open(settings(options))
  /** @type {any} */
  const calls = {
    put: (key, value) => store.set(key, value),
    get: (key) => store.get(key),
    has: (key) => store.has(key),
    delete: (key) => store.delete(key),
    iterate: () => store.entries(),
    close: () => store.close()
  }
  if (store.setMany) calls.putMany = (entries) => store.setMany(entries)
  if (store.getMany) calls.getMany = (keys) => store.getMany(keys)
  if (store.getSync) calls.getSync = (key) => store.getSync(key)
  if (store.first) {
    calls.range = (from, limit) => entriesOf(store, { gte: from, limit })
    calls.pages = (size) => pagesOf(store, size)
  }
  return calls
}

/**
 * @param {any} store
 * @param {number} size
 */
async function * pagesOf (store, size) {
  let page = await entriesOf(store, { limit: size })
  while (page.length > 0) {
    yield page
    page = await entriesOf(store, { gt: page[page.length - 1][0], limit: size })
  }
}

/**
 * @param {any} store
 * @param {object} options
 * @returns {Promise<[string, any][]>}
 */
const entriesOf = (store, options) => store.getAllEntries(options)

/** @param {import('./index.js').OpenOptions} options */
async function openPeople (options) {
  const { FlowDB, KeyRange } = flowdb()
  const db = FlowDB.open(settings(options))
  await db.createObjectStore('people', 'id')
  await db.createIndex('people', 'email', 'email', { unique: true })
  await db.createIndex('people', 'score', 'score')
  return {
    put: (person) => db.put('people', person),
    putMany: (people) => db.putMany('people', people),
    byEmail: async (email) => (await db.getByIndex('people', 'email', email))[0],
    byScore: (least, most) => db.getAllByIndex('people', 'score', KeyRange.bound(least, most)),
    activeByScore: (least, limit) => {
      return db.query('people').where({ score: { gte: least }, active: true }).orderBy('score').limit(limit).toArray()
    },
    close: () => db.close()
  }
}

/** @param {string} dir */
async function openRequests (dir) {
  const { FlowDB } = flowdb()
  const db = FlowDB.open({ dataDir: dir, durability: 'strict' })
  await db.createObjectStore('people', 'id')
  await db.createIndex('people', 'score', 'score')
  return {
    putAll: async (people) => {
      const tx = db.transaction(['people'], 'readwrite')
      for (const person of people) tx.put('people', person)
      await tx.commit()
    },
    get: (id) => db.get('people', id),
    cursor: async () => {
      const people = []
      for await (const cursor of db.cursor('people', { index: 'score' })) people.push(cursor.value)
      return people
    },
    close: () => db.close()
  }
}

/** @type {Record<string, import('./index.js').Reopening>} */
const reopenings = {
  FlashStore: {
    fill: async (dir, entries) => {
      const store = await flowdb().FlashStore.open({ dataDir: dir, durability: 'relaxed' })
      await Promise.all(Array.from(entries, ([key, value]) => store.set(key, value)))
      await store.close()
    },
    open: async (dir, key) => {
      const store = await flowdb().FlashStore.open(dir)
      return [await store.get(key), () => store.close()]
    }
  },
  FlashStoreSync: {
    fill: async (dir, entries) => {
      const store = await flowdb().FlashStoreSync.open(dir)
      for (const [key, value] of entries) store.set(key, value)
      await store.close()
    },
    open: async (dir, key) => {
      const store = await flowdb().FlashStoreSync.open(dir)
      return [store.get(key), () => store.close()]
    }
  }
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'flowdb',
  durability: { strict: '`durability: "strict"`', relaxed: '`durability: "relaxed"`, which syncs each 100 ms' },
  load: flowdb,
  open,
  openPeople,
  openRequests,
  reopenings,
  opensTwice: true
}
