'use strict'

/*
 * Ends in the way that is asked for, with databases open: `idle`, `exit`, `throw`, `pending` or `garbage`. The
 * process must end by itself, with the right code.
 */

const { join } = require('node:path')
const { FlashStore, FlowDB } = require('../..')

const [folder, how, durability = 'strict'] = process.argv.slice(2)

async function main () {
  const db = FlowDB.open({ dataDir: join(folder, 'db'), durability })
  const store = new FlashStore({ dataDir: join(folder, 'store'), durability })
  await db.createObjectStore('rows', 'id')
  await db.put('rows', { id: 'acknowledged' })
  await store.set('acknowledged', true)
  await db.transaction('rows', 'readwrite').put('rows', { id: 'never committed' })
  await db.scan('rows').next()

  if (how === 'throw') throw new Error('thrown on purpose')
  if (how === 'idle') return process.stdout.write('idle')
  if (how === 'pending') {
    // Nobody waits for these, and the process must stay for them all the same.
    for (let id = 0; id < 1000; id++) db.put('rows', { id }).then(() => { if (id === 999) process.stdout.write('written') })
    return
  }
  for (let id = 0; id < 1000; id++) db.put('rows', { id, text: 'x'.repeat(1000) })
  if (how === 'exit') process.exit(7)
  if (how === 'exit later') setImmediate(() => process.exit(7))
}

main()
