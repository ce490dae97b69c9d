'use strict'

/* Scans 120 MB of documents, slowly enough for pages to pile up if they could. To be run with a small heap. */

const { FlowDB } = require('../..')

const DOCUMENTS = 30_000
const text = 'x'.repeat(4000)

async function main () {
  const db = FlowDB.open({ dataDir: process.argv[2], durability: 'none', memtableSizeMb: 8, blockCacheCapacityMb: 8 })
  await db.createObjectStore('rows', 'id')
  for (let first = 0; first < DOCUMENTS; first += 1000) {
    await Promise.all(Array.from({ length: 1000 }, (_, at) => db.put('rows', { id: first + at, text })))
  }
  let count = 0
  for await (const row of db.scan('rows')) {
    if (row.text.length === text.length) count++
    if (count % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await db.close()
  process.stdout.write(String(count))
}

main()
