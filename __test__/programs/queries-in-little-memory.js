'use strict'

/* Queries over 120 MB of documents, in the order of an index and sorted without one. To be run with a small heap. */

const { FlowDB } = require('../..')

const DOCUMENTS = 30_000
const text = 'x'.repeat(4000)

async function main () {
  const db = FlowDB.open({ dataDir: process.argv[2], durability: 'none', memtableSizeMb: 8, blockCacheCapacityMb: 8 })
  await db.createObjectStore('rows', 'id')
  await db.createIndex('rows', 'by_n', 'n')
  for (let first = 0; first < DOCUMENTS; first += 1000) {
    await Promise.all(Array.from({ length: 1000 }, (_, at) => {
      return db.put('rows', { id: first + at, n: at, m: -at, text })
    }))
  }
  const counts = []
  const rows = db.query('rows').where({ text: { prefix: 'x' } })
  for (const query of [rows.orderBy('n', 'desc'), rows.orderBy('m')]) {
    let count = 0
    let last = Infinity
    for await (const { n } of query) {
      if (n <= last) count++
      last = n
      if (count % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    counts.push(count)
  }
  await db.close()
  process.stdout.write(counts.join())
}

main()
