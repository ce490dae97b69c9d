'use strict'

/* Exits with a hundred thousand writes in flight. */

const { FlowDB } = require('../..')

const [dataDir] = process.argv.slice(2)
const db = FlowDB.open({ dataDir })

async function main () {
  await db.createObjectStore('s', 'id')
  for (let id = 0; id < 100_000; id++) db.put('s', { id, text: 'x'.repeat(1000) })
  setImmediate(() => process.exit(7))
}

main()
