'use strict'

/* classic-level: LevelDB. */

const { levelStore } = require('./level.js')

const load = () => require('classic-level')

/** @param {import('./index.js').OpenOptions} options */
async function open ({ dir, durability, cacheBytes, documents, isShared }) {
  const db = new (load().ClassicLevel)(dir, {
    valueEncoding: documents ? 'json' : 'utf8',
    cacheSize: cacheBytes,
    multithreading: isShared
  })
  await db.open()
  const store = levelStore(db, { sync: durability === 'strict' })
  return {
    ...store,
    getSync: (key) => db.getSync(key),
    has: (key) => db.has(key)
  }
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'classic-level',
  package: 'classic-level',
  durability: { strict: '`sync: true` with each write', relaxed: '`sync: false`' },
  cannot: { openPeople: 'it has no secondary indexes' },
  load,
  open,
  opensTwice: true
}
