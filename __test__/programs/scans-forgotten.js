'use strict'

/* Scans a database that only the scan holds. */

const { FlowDB } = require('../..')

async function scan () {
  const db = FlowDB.open({ inMemory: true })
  await db.createObjectStore('rows', 'id')
  await Promise.all(Array.from({ length: 3000 }, (_, id) => db.put('rows', { id, text: 'x'.repeat(500) })))
  return db.scan('rows')
}

async function main () {
  let count = 0
  for await (const row of await scan()) {
    if (row.id % 100 === 0) {
      global.gc()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    count++
  }
  process.stdout.write(String(count))
}

main()
