'use strict'

/* Namespaces and tables of FlashStore. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore, FlowDB } = require('..')
const { errorOf, flashInMemory, flashOnDisk, gathered } = require('./support')

/** Names at the edge of what a name can be, all different. */
const ODD_NAMES = [
  '', ' ', '/', '//', '%', '%002f', 'a/b', 'a%2fb', '\0', '\n', '\x7f', '\x85', '\ud800', '\udc00', '\ud83d\ude00',
  'ü', 'user_1', 'user_10', 'userX1', '__proto__', 'constructor', '.', '..', 'flash', '\uffff'
]

test('the boundaries of a namespace are exact', async (t) => {
  const store = flashInMemory(t)
  const names = ['user_1', 'user_10', 'userX1', 'user_', 'user', 'user_1/', 'user_1%', '']
  for (const name of names) await store.namespace(name).set('key', name)
  await store.set('key', 'root')

  await store.namespace('user_1').clear()

  assert.equal(await store.namespace('user_1').size, 0)
  for (const name of names.filter((name) => name !== 'user_1')) {
    assert.deepEqual(await gathered(store.namespace(name)), [['key', name]], name)
  }
  assert.deepEqual(await gathered(store), [['key', 'root']])
})

test('any string names a namespace, and none is taken for another, nested or not, also when it is opened again', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open()
  for (const name of ODD_NAMES) {
    store.namespace(name).set('key', name)
    for (const inner of ODD_NAMES) store.namespace(name).namespace(inner).set('key', [name, inner])
  }
  await store.close()

  const again = open()
  assert.deepEqual(await again.namespaces(), [...ODD_NAMES].sort())
  for (const name of ODD_NAMES) {
    assert.deepEqual(await gathered(again.namespace(name)), [['key', name]])
    assert.deepEqual(await again.namespace(name).namespaces(), [...ODD_NAMES].sort())
    for (const inner of ODD_NAMES) {
      assert.deepEqual(await again.namespace(name).namespace(inner).get('key'), [name, inner])
    }
  }
  assert.equal(await again.size, 0)
})

test('what can not be the name of a namespace is refused', async (t) => {
  const store = flashInMemory(t)
  for (const name of [undefined, null, 1, Symbol('s'), {}, ['a'], 'x'.repeat(250), 'ü'.repeat(125), '/'.repeat(50)]) {
    assert.throws(() => store.namespace(name), { code: 'FLOWDB_INVALID_ARGUMENT' })
    await assert.rejects(store.dropNamespace(name), { code: 'FLOWDB_INVALID_ARGUMENT' })
    await assert.rejects(store.cleanupExpired(name), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  const longest = 'x'.repeat(249)
  await store.namespace(longest).set('a', 1)
  assert.deepEqual(await store.namespaces(), [longest])
  assert.throws(() => store.namespace(longest).namespace('a'), { code: 'FLOWDB_INVALID_ARGUMENT' })
  for (const options of [{ ttl: 1 }, { defaultTtl: -1 }, { defaultTtl: '1' }, { valueEncoding: 'xml' }, 5]) {
    assert.throws(() => store.namespace('a', options), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
})

test('to ask for a namespace makes nothing, and to read one that is not there gives nothing', async (t) => {
  const store = flashInMemory(t)
  const none = store.namespace('none')
  assert.equal(await none.get('a'), undefined)
  assert.equal(await none.has('a'), false)
  assert.equal(await none.size, 0)
  assert.equal(await none.count({ gt: 1 }), 0)
  assert.equal(await none.first(), undefined)
  assert.deepEqual(await none.getMany(['a', 'b']), [undefined, undefined])
  assert.deepEqual(await gathered(none), [])
  assert.deepEqual(await none.namespaces(), [])
  assert.equal(await none.delete('a'), false)
  assert.equal(await none.deleteMany(['a']), 0)
  assert.equal(await none.popFirst(), undefined)
  await none.clear()
  assert.equal(await none.drop(), false)
  assert.equal(await store.cleanupExpired('none'), 0)
  await assert.rejects(none.set('a', () => {}), { code: 'FLOWDB_NOT_CLONEABLE' })
  await assert.rejects(none.set('a', 1, { ifVersion: 3 }), { code: 'FLOWDB_CONSTRAINT' })
  await none.batch([{ type: 'delete', key: 'a' }])

  assert.deepEqual(await store.namespaces(), [])
})

test('the first write is seen by all that is asked after it, though nobody waited for it', async (t) => {
  const store = flashInMemory(t)
  const users = store.namespace('users')
  users.set('a', 1)
  users.set('b', 2)
  const asked = [users.get('a'), users.size, gathered(users), store.namespaces(), store.namespace('users').has('b')]
  assert.deepEqual(await Promise.all(asked), [1, 2, [['a', 1], ['b', 2]], ['users'], true])
})

test('a store that is read only reads namespaces that are not there as empty', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open()
  await store.namespace('a').set('key', 1)
  await store.close()

  const reader = open({ readOnly: true })
  assert.equal(await reader.size, 0)
  assert.equal(await reader.get('key'), undefined)
  assert.equal(await reader.namespace('a').get('key'), 1)
  assert.equal(await reader.namespace('b').get('key'), undefined)
  assert.deepEqual(await gathered(reader.namespace('b')), [])
  assert.deepEqual(await reader.namespaces(), ['a'])
  for (const call of [
    () => reader.namespace('b').set('key', 1), () => reader.dropNamespace('a'), () => reader.namespace('a').popFirst(),
    () => reader.namespace('a', { defaultTtl: 1 }).set('key', 2)
  ]) await assert.rejects(call(), { code: 'FLOWDB_READ_ONLY' })
  assert.equal(await reader.namespace('a').get('key'), 1)
})

test('dropping a namespace takes all that lies within it, and leaves what is beside it', async (t) => {
  const store = flashInMemory(t)
  const a = store.namespace('a')
  await a.set(1, 1)
  await a.namespace('b').set(1, 1)
  await a.namespace('b').namespace('c').set(1, 1)
  await store.namespace('ab').set(1, 1)
  await store.namespace('only inner').namespace('c').set(1, 1)
  assert.deepEqual(await store.namespaces(), ['a', 'ab', 'only inner'])

  assert.equal(await store.dropNamespace('a'), true)
  assert.equal(await store.dropNamespace('a'), false)
  assert.equal(await store.namespace('only inner').drop(), true)

  assert.deepEqual(await store.namespaces(), ['ab'])
  assert.equal(await a.namespace('b').namespace('c').size, 0)
  assert.deepEqual(await gathered(store.namespace('ab')), [[1, 1]])
  await a.namespace('b').set(2, 2)
  assert.deepEqual(await gathered(a.namespace('b')), [[2, 2]])
  assert.equal(await a.size, 0)
})

test('writes around a drop keep their order, though nobody waits', async (t) => {
  const store = flashInMemory(t)
  const users = store.namespace('users')
  users.set('a', 1)
  users.drop()
  users.set('b', 2)
  users.namespace('inner').set('c', 3)
  store.dropNamespace('users')
  users.set('d', 4)
  assert.deepEqual(await gathered(users), [['d', 4]])
  assert.deepEqual(await users.namespaces(), [])
})

test('clearing a namespace or the store leaves the namespaces in it', async (t) => {
  const store = flashInMemory(t)
  await store.set(1, 1)
  await store.namespace('a').set(1, 1)
  await store.namespace('a').namespace('b').set(1, 1)
  await store.namespace('a').clear()
  await store.clear()
  assert.deepEqual([await store.size, await store.namespace('a').size], [0, 0])
  assert.equal(await store.namespace('a').namespace('b').size, 1)
})

test('what another handle drops or makes is no failure of a write', async (t) => {
  const { open } = flashOnDisk(t)
  const [one, two] = [open(), open()]
  await one.namespace('a').set('key', 1)
  for (let round = 0; round < 30; round++) {
    const writes = Array.from({ length: 20 }, (_, key) => one.namespace('a').set(key, round))
    const others = Array.from({ length: 20 }, (_, key) => two.namespace('a').set(100 + key, round))
    await Promise.all([...writes, two.dropNamespace('a'), ...others, one.dropNamespace('a')])
  }
  await Promise.all([one.namespace('b').set(1, 1), two.namespace('b').set(2, 2)])
  assert.deepEqual(await gathered(one.namespace('b').keys()), [1, 2])
})

test('an object store of another kind under the name of a namespace is told as the reason', async (t) => {
  const { folder, open } = flashOnDisk(t)
  const db = FlowDB.open({ dataDir: folder })
  await db.createObjectStore('flash/a', 'id')
  await db.close()
  const store = open()
  await assert.rejects(store.namespace('a').get('x'), { code: 'FLOWDB_EXISTS' })
  await assert.rejects(store.namespace('a').set('x', 1), { code: 'FLOWDB_EXISTS' })
  await store.namespace('b').set('x', 1)
})

test('a store of before namespaces opens as it is', async (t) => {
  const { folder, open } = flashOnDisk(t)
  const db = FlowDB.open({ dataDir: folder })
  await db.createObjectStore('flash')
  await db.put('flash', { deep: 1 }, 'key')
  await db.close()
  const store = open()
  assert.deepEqual(await gathered(store), [['key', { deep: 1 }]])
  await store.namespace('new').set('key', 1)
  assert.deepEqual(await store.namespaces(), ['new'])
})

test('the default expiry of a namespace is its own, and is kept', async (t) => {
  const { folder, open } = flashOnDisk(t)
  const store = open({ defaultTtl: 1000 })
  const sessions = store.namespace('sessions', { defaultTtl: 0.05 })
  await Promise.all([store.set('a', 1), sessions.set('a', 1), sessions.setMany([['b', 2]]), store.namespace('c').set('a', 1)])
  await sessions.batch([{ type: 'set', key: 'c', value: 3 }, { type: 'set', key: 'd', value: 4, expiresAt: null }])
  await new Promise((resolve) => setTimeout(resolve, 80))
  assert.deepEqual(await gathered(sessions), [['d', 4]])
  assert.equal(await sessions.size, 1)
  assert.equal(await store.cleanupExpired('sessions'), 3)
  assert.equal(await store.cleanupAllExpired(), 0)
  await store.close()

  const db = FlowDB.open({ dataDir: folder })
  const ttlOf = async (name) => (await db.describe(name)).defaultTtl
  assert.deepEqual([await ttlOf('flash'), await ttlOf('flash/sessions'), await ttlOf('flash/c')], [1000, 0.05, undefined])
  await db.close()

  // Who asks for none leaves it, and who asks for another changes it for what is written from then on.
  const again = open()
  await again.namespace('sessions').set('e', 5)
  await new Promise((resolve) => setTimeout(resolve, 80))
  assert.equal(await again.namespace('sessions').has('e'), false)
  await again.namespace('sessions', { defaultTtl: null }).set('f', 6)
  await new Promise((resolve) => setTimeout(resolve, 80))
  assert.equal(await again.namespace('sessions').has('f'), true)
})

test('a namespace that was dropped comes back with the default expiry that its handle was given', async (t) => {
  const store = flashInMemory(t)
  const sessions = store.namespace('sessions', { defaultTtl: 0.03 })
  await sessions.set('a', 1)
  await sessions.drop()
  await sessions.set('b', 2)
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.equal(await sessions.has('b'), false)
})

test('a table is a namespace', async (t) => {
  const store = flashInMemory(t)
  const users = store.table('users')
  await users.set('a', { name: 'Ada' })
  await store.table('orders').setMany([[1, 'one'], [2, 'two']])
  assert.deepEqual(await store.listTables(), ['orders', 'users'])
  assert.deepEqual([await store.tableSize('orders'), await store.tableSize('none')], [2, 0])
  assert.equal(await store.deleteTable('orders'), true)
  assert.equal(await store.deleteTable('orders'), false)
  assert.deepEqual(await store.listTables(), ['users'])
  assert.deepEqual(await store.namespace('users').get('a'), { name: 'Ada' })
})

test('a closed store refuses what is asked of its namespaces, and a namespace keeps its store open', async () => {
  const store = new FlashStore({ inMemory: true })
  const inner = store.namespace('a').namespace('b')
  await inner.set(1, 1)
  await store.close()
  for (const call of [() => inner.get(1), () => inner.set(1, 1), () => inner.drop(), () => inner.namespaces()]) {
    assert.equal((await errorOf(call())).code, 'FLOWDB_CLOSED')
  }
})

test('a database of ten thousand namespaces is one like others', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open()
  const writes = []
  for (let name = 0; name < 10_000; name++) writes.push(store.namespace(`n${name}`).set('key', name))
  await Promise.all(writes)
  await store.close()

  const again = open()
  assert.equal((await again.namespaces()).length, 10_000)
  assert.equal(await again.namespace('n9999').get('key'), 9999)
  assert.equal(await again.namespace('n5').drop(), true)
  assert.equal((await again.namespaces()).length, 9999)
})
