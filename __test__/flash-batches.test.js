'use strict'

/* Calls of FlashStore on many entries. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { flashInMemory, flashOnDisk, gathered } = require('./support')

test('getMany gives values in the order of the keys', async (t) => {
  const store = flashInMemory(t)
  await store.setMany(new Map([['a', 1], ['b', undefined], [1n, new Date(5)]]))
  assert.deepEqual(await store.getMany(['b', 1n, 'none', 'a', 'a']), [undefined, new Date(5), undefined, 1, 1])
  assert.deepEqual(await store.getMany(new Set()), [])
})

test('getMany sees the writes before it and is of one moment, whether in the call or not', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open({ blockCacheCapacityMb: 0 })
  const keys = Array.from({ length: 600 }, (_, n) => `key ${n}`)
  await store.setMany(keys.map((key) => [key, 0]))
  for (const count of [1, 100, 256, 257, 600]) {
    const some = keys.slice(0, count)
    const set = store.setMany(some.map((key) => [key, count]))
    const seen = store.getMany(some)
    const later = store.setMany(some.map((key) => [key, -1]))
    assert.deepEqual(await seen, some.map(() => count))
    await Promise.all([set, later])
    const read = store.getMany(some)
    const after = store.setMany(some.map((key) => [key, -2]))
    assert.deepEqual(await read, some.map(() => -1))
    await after
  }
})

test('getMany refuses keys that are none, whatever it is that gives them', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  const throwing = new Proxy(['a'], { get: () => { throw new Error('of a user') } })
  for (const keys of [['a', undefined], ['a', NaN], [{}], new Set([Symbol('s')])]) {
    await assert.rejects(store.getMany(keys), { code: 'FLOWDB_INVALID_KEY' })
  }
  for (const keys of [7, undefined, 'a', throwing]) {
    await assert.rejects(store.getMany(keys), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
})

test('setMany sets what any iterable of pairs gives, and resolves to the store', async (t) => {
  const store = flashInMemory(t)
  assert.equal(await store.setMany([['a', 1], ['a', 2], ['b', new Map()]]), store)
  assert.deepEqual(await gathered(store), [['a', 2], ['b', new Map()]])
  await store.setMany([], {})
  await store.setMany([['c', 1]], { ttl: 100 })
  assert.equal(await store.size, 3)
})

test('entries that are made by calls of the same kind are none of theirs', async (t) => {
  const store = flashInMemory(t)
  const inner = []
  function * entries () {
    for (const key of ['a', 'b', 'c']) {
      yield [key, { toJSON: undefined, key }]
      inner.push(store.setMany([[`${key} 1`, key.repeat(9)], [`${key} 2`, new Map([[1, key]])]]), store.set(key, 'single'))
    }
  }

  await store.setMany(entries())
  await Promise.all(inner)

  assert.deepEqual(await store.getMany(['a', 'b 1', 'c 2']), [{ toJSON: undefined, key: 'a' }, 'bbbbbbbbb', new Map([[1, 'c']])])
  assert.equal(await store.size, 9)
  await assert.rejects(store.setMany([['d', 1], ['e', { get x () { throw new Error('no') } }]]), { code: 'FLOWDB_INVALID_VALUE' })
  await store.setMany([['f', 1]])
  assert.deepEqual(await store.getMany(['d', 'f']), [undefined, 1])
})

test('setMany and batch change all or nothing', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  const entries = (last) => [['a', 2], ['b', 2], last]
  await assert.rejects(store.setMany(entries([undefined, 1])), { code: 'FLOWDB_INVALID_KEY' })
  await assert.rejects(store.setMany(entries(['c', () => {}])), { code: 'FLOWDB_NOT_CLONEABLE' })
  await assert.rejects(store.setMany(entries(['c'])), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(store.setMany(entries('c1')), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(store.setMany([['b', 1], ['a', 1]], { ifAbsent: true }), { code: 'FLOWDB_CONSTRAINT' })
  await assert.rejects(store.setMany(7), { code: 'FLOWDB_INVALID_ARGUMENT' })
  const set = { type: 'set', key: 'b', value: 2 }
  await assert.rejects(store.batch([set, { type: 'set', key: 'a', value: 1, ifVersion: 9 }]), { code: 'FLOWDB_CONSTRAINT' })
  for (const operation of [
    undefined, 5, {}, { type: 'update', key: 'a' }, { type: 'delete', key: 'a', value: 1 }, { type: 'del', key: 'a', ttl: 1 },
    { ...set, sublevel: 1 }, { ...set, ttl: 1, expiresAt: 1 }, { ...set, ttl: 'x' }
  ]) await assert.rejects(store.batch([set, operation]), { code: 'FLOWDB_INVALID_ARGUMENT' }, JSON.stringify(operation))
  await assert.rejects(store.batch([set, { type: 'set', value: 1 }]), { code: 'FLOWDB_INVALID_KEY' })
  await assert.rejects(store.batch([set, { type: 'delete' }]), { code: 'FLOWDB_INVALID_KEY' })

  assert.deepEqual(await gathered(store), [['a', 1]])
})

test('batch sets and deletes in the order given', async (t) => {
  const store = flashInMemory(t)
  await store.setMany([['a', 1], ['b', 1]])
  const result = await store.batch([
    { type: 'set', key: 'c', value: 1 },
    { type: 'delete', key: 'a' },
    { type: 'put', key: 'a', value: 2 },
    { type: 'del', key: 'b' },
    { type: 'set', key: 'd', value: undefined },
    { type: 'delete', key: 'none' },
    { type: 'set', key: 'e', value: 1, ifAbsent: true, ttl: 100 }
  ])
  assert.equal(result, undefined)
  assert.deepEqual(await gathered(store), [['a', 2], ['c', 1], ['d', undefined], ['e', 1]])
  await store.batch([])
})

test('deleteMany tells how many were there', async (t) => {
  const store = flashInMemory(t)
  await store.setMany([['a', 1], ['b', 1], ['c', 1]])
  assert.equal(await store.deleteMany(['a', 'none', 'c', 'a']), 2)
  await assert.rejects(store.deleteMany(['b', undefined]), { code: 'FLOWDB_INVALID_KEY' })
  assert.deepEqual(await gathered(store.keys()), ['b'])
})

test('what is set in a batch is seen by all that is asked after it, though nobody waited for it', async (t) => {
  const store = flashInMemory(t)
  store.setMany([['a', 1]])
  store.batch([{ type: 'set', key: 'b', value: 2 }])
  store.deleteMany(['a'])
  assert.deepEqual(await gathered(store), [['b', 2]])
})
