'use strict'

/* Makes databases of every kind with a umask that holds nothing back. */

const { chmodSync, mkdirSync } = require('node:fs')
const { join } = require('node:path')
const { FlashStore, FlashStoreSync, FlowDB } = require('../..')

const [folder] = process.argv.slice(2)

async function fill (dataDir) {
  const db = FlowDB.open({ dataDir, valueThresholdBytes: 1000 })
  await db.createObjectStore('rows', 'id')
  await db.put('rows', { id: 1, text: 'x'.repeat(5000) })
  await db.compact()
  await db.put('rows', { id: 2 })
  return db
}

async function main () {
  process.umask(0)
  mkdirSync(join(folder, 'there'))
  chmodSync(join(folder, 'there'), 0o755)
  const db = await fill(join(folder, 'new', 'db'))
  await db.checkpoint(join(folder, 'new', 'copy'))
  await db.close()
  await (await fill(join(folder, 'there'))).close()
  const store = new FlashStore(join(folder, 'new', 'store'))
  await store.set(1, 1)
  await store.close()
  const map = new FlashStoreSync(join(folder, 'new', 'map'))
  map.set(1, 1)
  await map.close()
}

main()
