'use strict'

/* Waits for changes that will not come, and has nothing else to do. */

const { FlowDB } = require('../..')

async function main ([dataDir]) {
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('rows', 'id')
  const watch = db.watch()
  db.liveQuery({ store: 'rows' }).next()
  await db.put('rows', { id: 1 })
  await watch.next()
  process.stdout.write('changed once')
  await watch.next()
  process.stdout.write(', and then again')
}

main(process.argv.slice(2))
