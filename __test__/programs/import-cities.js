'use strict'

/*
 * A process to be killed: imports the cities of the demo into the folder given as argument, and writes the number
 * of each batch to its output once the batch is acknowledged.
 */

const { writeSync } = require('node:fs')
const { FlowDB } = require('../..')
const { INDEXES, STORE } = require('../../examples/demo/cities')
const { importCities } = require('../../examples/demo/import')

async function main () {
  const db = FlowDB.open({ dataDir: process.argv[2] })
  await db.createObjectStore(STORE, 'id')
  // The indexes first, so that a torn batch could show in them too.
  for (const { name, keyPath, unique } of INDEXES) await db.createIndex(STORE, name, keyPath, unique)
  await importCities(db, (batch) => writeSync(1, `${batch}\n`))
  await db.close()
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
