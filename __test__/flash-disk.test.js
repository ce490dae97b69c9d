'use strict'

/* What a FlashStore takes on disk. */

const assert = require('node:assert/strict')
const { readdirSync, statSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStore } = require('..')
const { temporary } = require('./support')

const AT_A_TIME = 1_000

/** The bytes that the files of a directory hold. */
function bytesIn (folder) {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

async function setInTurns (store, count, entryOf) {
  for (let first = 0; first < count; first += AT_A_TIME) {
    await Promise.all(Array.from({ length: AT_A_TIME }, (_, at) => store.set(...entryOf(first + at))))
  }
}

test('100,000 like objects take less than flash-store takes for them', async (t) => {
  const folder = temporary(t)
  const store = new FlashStore({ dataDir: folder, durability: 'relaxed' })
  await setInTurns(store, 100_000, (id) => [`key${id}`, {
    id, name: `User ${id}`, email: `user${id}@example.com`, age: 18 + id % 60, tags: [`tag${id % 10}`, `tag${id % 7}`]
  }])
  await store.close()

  // What flash-store 1.3.5 takes for the same.
  assert.ok(bytesIn(folder) < 5_500_000, `${bytesIn(folder)} bytes`)
})

test('overwriting one key again and again does not make the directory grow', async (t) => {
  const folder = temporary(t)
  const MEMTABLE = 1 << 20
  const options = { dataDir: folder, durability: 'relaxed', memtableSizeMb: 1, walSegmentSizeMb: 1 }
  const store = new FlashStore(options)
  let most = 0
  for (let turn = 0; turn < 200; turn++) {
    // Half of them one after the other, so that each is a write of its own and none is lost in a group.
    await setInTurns(store, AT_A_TIME, (at) => ['key', { at, turn, text: 'x'.repeat(100) }])
    for (let at = 0; at < 50; at++) await store.set('key', { at, turn, text: 'y'.repeat(100) })
    most = Math.max(most, bytesIn(folder))
  }
  await store.close()

  assert.ok(most < 6 * MEMTABLE, `${most} bytes at the most`)
  assert.ok(bytesIn(folder) < MEMTABLE, `${bytesIn(folder)} bytes at the end`)
})
