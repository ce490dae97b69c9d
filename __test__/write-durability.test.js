'use strict'

/* Writes with a durability of their own. What they promise to survive is tested for each durability of a database. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore, FlowDB } = require('..')
const { temporary } = require('./support')

/** A database that syncs nothing by itself, or everything. */
async function opened (t, durability) {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir, durability })
  t.after(() => db.close())
  await db.createObjectStore('items', 'id')
  const syncs = async () => (await db.stats()).syncs
  return { db, dataDir, syncs }
}

test('a strict write is synced in a database that never syncs, and so are those that share its commit', async (t) => {
  const { db, dataDir, syncs } = await opened(t, 'none')
  const store = new FlashStore({ dataDir, durability: 'none' })
  await store.set('key', 0)
  const before = await syncs()
  await db.put('items', { id: 1 })
  assert.equal(await syncs(), before)
  await db.put('items', { id: 2 }, { durability: 'strict' })
  assert.equal(await syncs(), before + 1)
  await store.set('key', 1, { durability: 'strict' })
  assert.equal(await syncs(), before + 2)
  store.setSync('key', 2, { durability: 'strict' })
  assert.equal(await syncs(), before + 3)
  // What is to be synced soon is synced at once where nobody would do it later.
  await store.set('key', 3, { durability: 'relaxed' })
  assert.equal(await syncs(), before + 4)
  await Promise.all([db.put('items', { id: 3 }), db.put('items', { id: 4 }, { durability: 'strict' }), db.put('items', { id: 5 })])
  assert.equal(await syncs(), before + 5)
  await store.close()
})

test('a write that need not be synced is not, unless it shares a commit with one that has to be', async (t) => {
  const { db, syncs } = await opened(t, 'strict')
  const before = await syncs()
  await db.put('items', { id: 1 }, { durability: 'none' })
  // The log is synced now and then all the same.
  assert.ok(await syncs() <= before + 1)
  assert.deepEqual(await db.get('items', 1), { id: 1 })
})

test('a durability that is none, and one where writes are committed together, are refused', async (t) => {
  const { db, dataDir } = await opened(t, 'none')
  const store = new FlashStore({ dataDir, durability: 'none' })
  const invalid = { code: 'FLOWDB_INVALID_ARGUMENT' }
  for (const durability of ['sync', '', 1, null, 'toString', ['strict']]) {
    await assert.rejects(store.set('key', 1, { durability }), invalid)
    await assert.rejects(db.put('items', { id: 1 }, { durability }), invalid)
  }
  await assert.rejects(store.setMany([['key', 1]], { durability: 'strict' }), invalid)
  await assert.rejects(store.batch([{ type: 'set', key: 'key', value: 1, durability: 'strict' }]), invalid)
  await assert.rejects(store.transaction((tx) => tx.set('key', 1, { durability: 'strict' })), invalid)
  await assert.rejects(db.update(['items'], (tx) => tx.put('items', { id: 1 }, { durability: 'strict' })), invalid)
  assert.equal(await store.has('key'), false)
  await store.close()
})
