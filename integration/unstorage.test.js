'use strict'

/* flowdb/unstorage under createStorage: what the documentation of unstorage promises of a driver. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { setTimeout: delay } = require('node:timers/promises')
const { inspect } = require('node:util')
const { createStorage, prefixStorage, restoreSnapshot, snapshot } = require('unstorage')
const memory = require('unstorage/drivers/memory')
const { closedAfter, errorOf, temporary } = require('../__test__/support.js')
const { Keyspace } = require('../lib/keyspace.js')
const flowdbDriver = require('../lib/unstorage.js')

const KEYS = 3_000

/** A storage on a driver, disposed of after the test. */
function storageWith (t, options) {
  const storage = createStorage({ driver: flowdbDriver(options) })
  return closedAfter(t, storage, () => storage.dispose())
}

const inMemory = (t) => storageWith(t, { inMemory: true })

test('an item is there from when it was set until it is removed', async (t) => {
  const storage = inMemory(t)
  assert.equal(await storage.hasItem('s1:a'), false)
  assert.equal(await storage.getItem('s1:a'), null)
  await storage.setItem('s1:a', 'value')
  assert.equal(await storage.hasItem('s1/a'), true)
  assert.equal(await storage.getItem('s1:a'), 'value')
  await storage.removeItem('s1:a')
  assert.deepEqual([await storage.hasItem('s1:a'), await storage.getItem('s1:a')], [false, null])
  await storage.setItem('s1:a', 'value')
  await storage.setItem('s1:a', undefined)
  assert.equal(await storage.hasItem('s1:a'), false)
})

test('values come back as they were set: texts, numbers, objects, and what has a toJSON', async (t) => {
  const storage = inMemory(t)
  const values = ['', 'ünïcödé 😀', 'half \ud800', 0, -1.5, true, false, null, [1, { a: [] }], { deep: { er: 1 } }]
  for (const [place, value] of values.entries()) {
    await storage.setItem(`v:${place}`, value)
    assert.deepEqual(await storage.getItem(`v:${place}`), value)
  }
  await storage.setItem('custom', { toJSON: () => ({ custom: 'written' }) })
  assert.deepEqual(await storage.getItem('custom'), { custom: 'written' })
})

test('raw values come back as they were set, bytes among them', async (t) => {
  const storage = inMemory(t)
  const bytes = new Uint8Array([0, 1, 2, 254, 255])
  await storage.setItemRaw('bytes', bytes)
  assert.deepEqual(new Uint8Array(await storage.getItemRaw('bytes')), bytes)
  await storage.setItemRaw('map', new Map([['a', new Date(0)]]))
  assert.deepEqual(await storage.getItemRaw('map'), new Map([['a', new Date(0)]]))
  await storage.setItemRaw('text', 'as it is: 1')
  assert.equal(await storage.getItemRaw('text'), 'as it is: 1')
  await storage.setItemRaw('utf8', Buffer.from('text in bytes'))
  assert.equal(await storage.getItem('utf8'), 'text in bytes')
  assert.equal(await storage.getItemRaw('missing'), null)
})

test('keys are those below a base and no others, in their order', async (t) => {
  const storage = inMemory(t)
  const keys = ['s1:a', 's1:b:c', 's1', 's10:a', 's2:a', 's1a:b']
  await storage.setItems(keys.map((key) => ({ key, value: key })))
  assert.deepEqual(await storage.getKeys('s1'), ['s1:a', 's1:b:c'])
  assert.deepEqual(await storage.getKeys(), [...keys].sort())
  assert.deepEqual(await storage.getKeys('nowhere'), [])
})

test('keys of a depth are found, however much lies deeper', async (t) => {
  const storage = inMemory(t)
  const deep = Array.from({ length: KEYS }, (_, number) => ({ key: `dir:sub:file${number}`, value: number }))
  const others = ['a', 'dir', 'dir:file', 'dir:sub', 'dir:sub2', 'dir;', 'z:y'].map((key) => ({ key, value: key }))
  await storage.setItems([...deep, ...others])
  assert.deepEqual(await storage.getKeys('', { maxDepth: 0 }), ['a', 'dir', 'dir;'])
  assert.deepEqual(await storage.getKeys('', { maxDepth: 1 }), ['a', 'dir', 'dir:file', 'dir:sub', 'dir:sub2', 'dir;', 'z:y'])
  assert.equal((await storage.getKeys('', { maxDepth: 2 })).length, KEYS + others.length)
  assert.deepEqual(await storage.getKeys('dir', { maxDepth: 1 }), ['dir:file', 'dir:sub', 'dir:sub2'])
  assert.equal((await storage.getKeys('dir')).length, KEYS + 3)
})

test('what lies below a base is cleared, and nothing that only begins like it', async (t) => {
  const storage = inMemory(t)
  const keys = ['s1:a', 's1:b:c', 's1', 's1a', 's10:a', 's1;']
  await storage.setItems(keys.map((key) => ({ key, value: 1 })))
  // Of a storage's own drivers `storage.clear(base)` clears those that are mounted below the base.
  await storage.getMount().driver.clear('s1:')
  assert.deepEqual((await storage.getKeys()).sort(), ['s1', 's10:a', 's1;', 's1a'])
  await storage.clear()
  assert.deepEqual(await storage.getKeys(), [])
})

test('many items are set and read together, in the order that was asked for', async (t) => {
  const storage = inMemory(t)
  await storage.setItems([{ key: 'a', value: 1 }, { key: 'b', value: { c: 2 } }])
  assert.deepEqual(await storage.getItems(['b', 'missing', { key: 'a' }]), [
    { key: 'b', value: { c: 2 } }, { key: 'missing', value: null }, { key: 'a', value: 1 }
  ])
})

test('items of many that can\'t all be set are not set at all', async (t) => {
  const storage = inMemory(t)
  const items = [{ key: 'a', value: 1 }, { key: 'k'.repeat(20_000), value: 2 }]
  assert.equal((await errorOf(storage.setItems(items))).code, 'FLOWDB_INVALID_KEY')
  assert.deepEqual(await storage.getKeys(), [])
})

test('an item expires after its ttl or that of the driver, and meta data tell what is left', async (t) => {
  const storage = storageWith(t, { inMemory: true, ttl: 1_000 })
  const before = Date.now()
  await storage.setItem('driver', 'value')
  await storage.setItem('own', 'value', { ttl: 0.05 })
  await storage.setItems([{ key: 'many', value: 'value', options: { ttl: 0.05 } }, { key: 'ever', value: 1, options: { ttl: 0 } }])
  const { ttl, mtime, size } = await storage.getMeta('driver')
  assert.ok(ttl > 0 && ttl <= 1_000, `${ttl} s are left`)
  assert.ok(mtime.getTime() >= before && mtime.getTime() <= Date.now())
  assert.equal(size, 'value'.length)
  assert.equal((await storage.getMeta('ever')).ttl, undefined)
  assert.deepEqual({ ...await storage.getMeta('missing') }, {})
  await delay(100)
  assert.deepEqual(await storage.getKeys(), ['driver', 'ever'])
  assert.equal(await storage.hasItem('own'), false)
  assert.equal(await storage.getItem('many'), null)
})

test('meta data of a user\'s go with the item', async (t) => {
  const storage = inMemory(t)
  await storage.setItem('a', 1)
  await storage.setMeta('a', { owner: 'Ada' })
  assert.equal((await storage.getMeta('a')).owner, 'Ada')
  assert.deepEqual(await storage.getKeys(), ['a'])
  await storage.removeItem('a', { removeMeta: true })
  assert.deepEqual({ ...await storage.getMeta('a') }, {})
})

test('drivers with bases share a database and keep apart', async (t) => {
  const dataDir = temporary(t)
  const root = storageWith(t, { dataDir })
  const [a, ab] = ['a', 'ab'].map((base) => storageWith(t, { dataDir, base }))
  await a.setItem('key', 'of a')
  await ab.setItem('key', 'of ab')
  await a.clear()
  assert.deepEqual([await a.getItem('key'), await ab.getItem('key')], [null, 'of ab'])
  assert.deepEqual(await root.getKeys(), ['ab:key'])
  assert.deepEqual(await ab.getKeys(), ['key'])
})

test('it is mounted beside other drivers, under prefixes, and in snapshots', async (t) => {
  const storage = createStorage({ driver: memory() })
  closedAfter(t, storage, () => storage.dispose())
  storage.mount('disk', flowdbDriver({ inMemory: true }))
  await storage.setItem('disk:a:b', 1)
  await storage.setItem('elsewhere', 2)
  assert.deepEqual((await storage.getKeys()).sort(), ['disk:a:b', 'elsewhere'])
  assert.equal(await prefixStorage(storage, 'disk:a').getItem('b'), 1)
  const copy = await snapshot(storage, 'disk')
  assert.deepEqual(copy, { 'a:b': 1 })
  await storage.clear('disk')
  assert.deepEqual(await storage.getKeys(), ['elsewhere'])
  await restoreSnapshot(storage, copy, 'disk')
  assert.equal(await storage.getItem('disk:a:b'), 1)
})

test('whoever watches a storage is told of its changes', async (t) => {
  const storage = inMemory(t)
  const told = []
  const unwatch = await storage.watch((event, key) => told.push(`${event} ${key}`))
  await storage.setItem('s1:a', 1)
  await storage.removeItem('s1:a')
  await unwatch()
  await storage.setItem('s1:b', 1)
  assert.deepEqual(told, ['update s1:a', 'remove s1:a'])
})

test('items are there after a reopening, and the instance is the keyspace that they are in', async (t) => {
  const dataDir = temporary(t)
  const first = storageWith(t, dataDir)
  await first.setItem('a:b', { c: 1 })
  await first.dispose()
  const second = storageWith(t, dataDir)
  assert.deepEqual(await second.getItem('a:b'), { c: 1 })
  const { driver } = second.getMount()
  assert.equal(driver.name, 'flowdb')
  assert.ok(driver.getInstance() instanceof Keyspace)
})

test('a disposed driver says that it is closed', async (t) => {
  const storage = inMemory(t)
  await storage.dispose()
  assert.equal((await errorOf(storage.getItem('a'))).code, 'FLOWDB_CLOSED')
})

test('options that make no sense are refused at once, and a ttl or maxDepth that is none by the call', async (t) => {
  const wrong = [{ base: 7 }, { base: null }, { ttl: -1 }, { ttl: '1' }, { tableau: 1 }, { path: 'x' }, { maxDepth: 1 }, { Base: 'b' }]
  const withDirectory = wrong.map((option) => ({ dataDir: 'x', ...option }))
  for (const options of [undefined, null, 7, {}, [], ...withDirectory]) {
    assert.throws(() => flowdbDriver(options), { code: 'FLOWDB_INVALID_ARGUMENT' }, inspect(options))
  }
  const storage = inMemory(t)
  for (const ttl of [-1, NaN, 'soon', true, {}]) {
    for (const call of [
      storage.setItem('a', 1, { ttl }), storage.setItemRaw('a', 1, { ttl }), storage.setItems([{ key: 'a', value: 1, options: { ttl } }])
    ]) assert.equal((await errorOf(call)).code, 'FLOWDB_INVALID_ARGUMENT')
  }
  for (const maxDepth of [-1, NaN, 0.5, '1', null, -Infinity]) {
    assert.equal((await errorOf(storage.getKeys('', { maxDepth }))).code, 'FLOWDB_INVALID_ARGUMENT', String(maxDepth))
  }
  assert.equal(await storage.hasItem('a'), false)
  await storage.setItem('b:c', 1)
  assert.deepEqual(await storage.getKeys('', { maxDepth: Infinity }), ['b:c'])
  assert.deepEqual(await storage.getKeys('', { maxDepth: undefined }), ['b:c'])
})

test('a base is written in any of the ways that unstorage takes, and what Nitro adds to the options is no matter', async (t) => {
  const root = flowdbDriver({ driver: 'flowdb/unstorage', inMemory: true, base: '/a\\\\b:' })
  closedAfter(t, root, () => root.dispose())
  await root.setItem('k', '1')
  await root.setItem('s1:a', '1')
  await root.setItem('s10:a', '1')
  assert.deepEqual(await root.getKeys('s1'), ['s1:a'])
  await root.clear('s1')
  assert.deepEqual(await root.getKeys(), ['k', 's10:a'])
})
