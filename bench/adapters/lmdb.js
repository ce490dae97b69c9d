'use strict'

/* lmdb: reads in the call from a mapped file, writes in a thread that commits all puts of a turn together. */

const lmdb = () => require('lmdb')

/**
 * @param {import('./index.js').OpenOptions} options
 * @returns {Promise<import('./index.js').Store>}
 */
async function open ({ dir, durability, documents }) {
  const db = lmdb().open({
    path: dir,
    encoding: documents ? 'msgpack' : 'string',
    // So a put resolves when its commit is synced. By default it resolves before, and waiting for `flushed` is slower.
    overlappingSync: false,
    noSync: durability === 'relaxed'
  })
  return {
    put: (key, value) => db.put(key, value),
    putMany: (entries) => db.batch(() => {
      for (const [key, value] of entries) db.put(key, value)
    }),
    get: async (key) => db.get(key),
    getMany: (keys) => db.getMany(keys),
    getSync: (key) => db.get(key),
    has: async (key) => db.doesExist(key),
    delete: (key) => db.remove(key),
    iterate: () => /** @type {any} */ (db.getRange().map(({ key, value }) => [key, value])),
    pages: (size) => pagesOf(db, size),
    range: async (from, limit) => pageOf(db, { start: from, limit }),
    close: () => db.close()
  }
}

/**
 * @param {any} db
 * @param {number} size
 */
async function * pagesOf (db, size) {
  let page = pageOf(db, { limit: size })
  while (page.length > 0) {
    yield page
    page = pageOf(db, { start: page[page.length - 1][0], exclusiveStart: true, limit: size })
  }
}

/**
 * @param {any} db
 * @param {object} options
 * @returns {[string, any][]}
 */
const pageOf = (db, options) => Array.from(db.getRange(options), ({ key, value }) => [key, value])

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'lmdb',
  package: 'lmdb',
  durability: { strict: '`overlappingSync: false`: a put resolves when its commit is synced', relaxed: '`noSync: true`' },
  cannot: { openPeople: 'it has no secondary indexes' },
  load: lmdb,
  open,
  opensTwice: true
}
