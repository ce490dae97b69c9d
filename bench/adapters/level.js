'use strict'

/* The calls that databases of abstract-level share. */

const PAGE_BYTES_MAX = 1 << 20

/**
 * @param {any} db
 * @param {{ sync: boolean }} writing
 * @returns {import('./index.js').Store}
 */
function levelStore (db, writing) {
  return {
    put: (key, value) => db.put(key, value, writing),
    putMany: (entries) => db.batch(entries.map(([key, value]) => ({ type: 'put', key, value })), writing),
    get: (key) => db.get(key),
    getMany: (keys) => db.getMany(keys),
    delete: (key) => db.del(key, writing),
    iterate: () => db.iterator(),
    pages: (size) => pagesOf(db, size),
    range: (from, limit) => db.iterator({ gte: from, limit }).all(),
    close: () => db.close()
  }
}

/**
 * @param {any} db
 * @param {number} size
 */
async function * pagesOf (db, size) {
  // By default a page ends at 16 KiB.
  const iterator = db.iterator({ highWaterMarkBytes: PAGE_BYTES_MAX })
  try {
    for (let page = await iterator.nextv(size); page.length > 0; page = await iterator.nextv(size)) yield page
  } finally {
    await iterator.close()
  }
}

exports.levelStore = levelStore
