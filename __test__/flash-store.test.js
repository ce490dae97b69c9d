'use strict'

/* FlashStore's calls, one promise a test. */

const assert = require('node:assert/strict')
const { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStore, FlowDB, KeyRange } = require('..')
const { errorOf, flashInMemory, gathered, temporary } = require('./support')

test('set resolves to the store, so calls can follow each other', async (t) => {
  const store = flashInMemory(t)
  assert.equal(await store.set('a', 1), store)
  assert.equal(await (await (await store.set('b', 2)).set('c', 3)).size, 3)
})

test('get gives what was set, and undefined where there is nothing', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', { deep: [1, 'x', null] })
  assert.deepEqual(await store.get('a'), { deep: [1, 'x', null] })
  assert.equal(await store.get('b'), undefined)
})

test('has tells an entry from none, whatever its value', async (t) => {
  const store = flashInMemory(t)
  for (const value of [0, '', false, null, undefined, NaN]) {
    await store.set('key', value)
    assert.equal(await store.has('key'), true, String(value))
  }
  assert.equal(await store.has('other'), false)
})

test('delete and del tell whether the entry was there', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  assert.equal(await store.delete('a'), true)
  assert.equal(await store.delete('a'), false)
  await store.set('a', 1)
  assert.equal(await store.del('a'), true)
  assert.equal(await store.has('a'), false)
})

test('clear removes every entry and size counts them', async (t) => {
  const store = flashInMemory(t)
  assert.equal(await store.size, 0)
  await Promise.all(Array.from({ length: 100 }, (_, key) => store.set(key, key)))
  assert.equal(await store.size, 100)
  await store.clear()
  assert.equal(await store.size, 0)
  assert.deepEqual(await gathered(store), [])
})

test('keys keep their type: 1 is not \'1\'', async (t) => {
  const store = flashInMemory(t)
  await store.set(1, 'number')
  await store.set('1', 'string')
  await store.set(1n, 'bigint')
  await store.set([1], 'array')
  assert.deepEqual(await gathered(store), [[1, 'number'], [1n, 'bigint'], ['1', 'string'], [[1], 'array']])
})

test('values come back as they went in', async (t) => {
  const store = flashInMemory(t)
  const cyclic = { name: 'cyclic' }
  cyclic.self = cyclic
  const sparse = [1, , 3] // eslint-disable-line no-sparse-arrays
  const extended = Object.assign([1, 2], { more: true })
  const proto = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}')
  const values = [
    1, -0, 0, NaN, Infinity, 'text', '\ud800', '', true, null, undefined, 12345678901234567890n,
    new Date(5), new Map([['a', new Set([1])]]), /x/gi, [1, [2, { a: 'b' }]], [undefined], sparse, extended,
    { a: undefined }, { a: -0, b: [NaN] }, new Uint8Array([1, 2, 3]), new Float64Array([0.5, -0]),
    new Uint8Array(8).buffer, Buffer.from('bytes'), cyclic, proto, { toString: 1, constructor: 2 }, new Error('text')
  ]
  await Promise.all(values.map((value, key) => store.set(key, value)))

  for (const [key, value] of values.entries()) {
    assert.deepStrictEqual(await store.get(key), value, `read alone: ${String(key)}`)
  }
  assert.deepStrictEqual(await gathered(store.values()), values)
  assert.equal({}.polluted, undefined)
})

test('a typed array that was read is a copy of its own', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', new Uint8Array([1, 2, 3]))
  const [one, two] = [await store.get('a'), await store.get('a')]
  one.fill(9)
  await store.set('b', new Uint8Array(1000).fill(7))
  await store.get('b')
  assert.deepEqual(two, new Uint8Array([1, 2, 3]))
  assert.ok(one.buffer.byteLength < 100, 'it holds more memory than it needs')
})

test('what can\'t be cloned is refused and changes nothing', async (t) => {
  const store = flashInMemory(t)
  await store.set('key', 'before')
  for (const value of [() => {}, Symbol('s'), { f () {} }, [Symbol('s')], new Map([[1, () => {}]]), Promise.resolve()]) {
    const error = await errorOf(store.set('key', value))
    assert.equal(error.code, 'FLOWDB_NOT_CLONEABLE')
    assert.ok(error.cause instanceof Error)
  }
  assert.equal(await store.get('key'), 'before')
})

test('what can\'t be a key is refused', async (t) => {
  const store = flashInMemory(t)
  for (const key of [undefined, NaN, {}, Symbol('s'), () => {}, new Date(NaN), [undefined]]) {
    await assert.rejects(store.set(key, 1), { code: 'FLOWDB_INVALID_KEY' })
    await assert.rejects(store.get(key), { code: 'FLOWDB_INVALID_KEY' })
    await assert.rejects(store.has(key), { code: 'FLOWDB_INVALID_KEY' })
    await assert.rejects(store.delete(key), { code: 'FLOWDB_INVALID_KEY' })
  }
  assert.equal(await store.size, 0)
})

test('keys, values, entries and the store itself iterate in key order', async (t) => {
  const store = flashInMemory(t)
  for (const key of ['b', 'a', 2, 'c', 1]) await store.set(key, `value of ${key}`)
  const keys = [1, 2, 'a', 'b', 'c']
  const entries = keys.map((key) => [key, `value of ${key}`])

  assert.deepEqual(await gathered(store.keys()), keys)
  assert.deepEqual(await gathered(store.values()), entries.map(([, value]) => value))
  assert.deepEqual(await gathered(store.entries()), entries)
  assert.deepEqual(await gathered(store), entries)
  assert.deepEqual(await gathered(store.keys({ reverse: true, limit: 2 })), ['c', 'b'])
  assert.deepEqual(await gathered(store.keys({ range: KeyRange.bound(2, 'a') })), [2, 'a'])
})

test('an iteration sees the entries as they were when it was begun', async (t) => {
  const store = flashInMemory(t)
  for (let key = 0; key < 3000; key++) store.set(key, 'x'.repeat(100))
  await store.size
  const keys = store.keys()
  const first = await keys.next()
  await store.clear()
  await store.set('new', 1)

  assert.deepEqual(first, { value: 0, done: false })
  assert.equal((await gathered(keys)).length, 2999)
  assert.deepEqual(await gathered(store), [['new', 1]])
})

test('forEach calls with value, key and store, one after the other', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  await store.set('b', 2)
  const calls = []
  let running = 0
  await store.forEach(async function (value, key, its) {
    assert.equal(running++, 0, 'two calls at a time')
    await new Promise((resolve) => setImmediate(resolve))
    running--
    calls.push([this.name, value, key, its === store])
  }, { name: 'this' })

  assert.deepEqual(calls, [['this', 1, 'a', true], ['this', 2, 'b', true]])
  await assert.rejects(store.forEach('no function'), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('a store opens at its first use and keeps its entries', async (t) => {
  const folder = join(temporary(t), 'store')
  const store = new FlashStore(folder)
  assert.equal(existsSync(folder), false, 'nothing was asked of it yet')
  await store.set('a', new Map([[1, 2]]))
  await store.close()

  const again = new FlashStore({ dataDir: folder })
  assert.deepEqual(await again.get('a'), new Map([[1, 2]]))
  await again.close()
})

test('a closed store refuses everything, and closing twice is harmless', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  await Promise.all([store.close(), store.close()])
  await store.close()
  for (const call of [
    () => store.get('a'), () => store.set('a', 1), () => store.has('a'), () => store.delete('a'), () => store.clear(),
    () => store.size, async () => store.keys()
  ]) await assert.rejects(call(), { code: 'FLOWDB_CLOSED' })
  const unused = new FlashStore({ inMemory: true })
  await unused.close()
  await assert.rejects(unused.get('a'), { code: 'FLOWDB_CLOSED' })
})

test('destroy removes the files of the store, and its folder when that is empty', async (t) => {
  const folder = join(temporary(t), 'store')
  const store = new FlashStore(folder)
  await store.set('a', 1)
  await store.destroy()
  assert.equal(existsSync(folder), false)
  await assert.rejects(store.get('a'), { code: 'FLOWDB_CLOSED' })

  const fresh = new FlashStore(folder)
  assert.equal(await fresh.size, 0)
  await fresh.close()
  await fresh.destroy()
  assert.equal(existsSync(folder), false)
  await new FlashStore(folder).destroy()
})

test('destroy leaves files that are not ours', async (t) => {
  const folder = join(temporary(t), 'store')
  mkdirSync(folder)
  writeFileSync(join(folder, 'notes.txt'), 'mine')
  const store = new FlashStore(folder)
  await store.set('a', 1)
  await store.destroy()
  assert.deepEqual(readdirSync(folder), ['notes.txt'])
})

test('a store that another handle has open is not destroyed', async (t) => {
  const folder = temporary(t)
  const [one, two] = [new FlashStore(folder), new FlashStore(folder)]
  await one.set('a', 1)
  assert.equal(await two.get('a'), 1)

  await assert.rejects(one.destroy(), { code: 'FLOWDB_LOCKED' })
  assert.equal(await two.get('a'), 1)
  await two.set('b', 2)
  await two.close()
})

test('an object store of another kind in its place is told as the reason', async (t) => {
  const folder = temporary(t)
  const db = FlowDB.open({ dataDir: folder })
  await db.createObjectStore('flash', 'id')
  await db.close()

  const store = new FlashStore(folder)
  await assert.rejects(store.get('a'), { code: 'FLOWDB_EXISTS' })
  await assert.rejects(store.set('a', 1), { code: 'FLOWDB_EXISTS' })
  await store.close()
})

test('open resolves when the store is open, and rejects when it can\'t be', async (t) => {
  const folder = temporary(t)
  const store = await FlashStore.open({ dataDir: join(folder, 'store'), durability: 'relaxed' })
  assert.ok(store instanceof FlashStore)
  assert.ok(existsSync(join(folder, 'store')))
  await store.set('a', 1)
  await store.close()
  writeFileSync(join(folder, 'file'), 'no directory')
  await assert.rejects(FlashStore.open(join(folder, 'file')), { code: 'FLOWDB_IO' })
  await assert.rejects(FlashStore.open({ dataDir: join(folder, 'none'), readOnly: true }), { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(FlashStore.open(), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(FlashStore.open({ dataDir: folder, valueEncoding: 1 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('size is exact with entries that expire', async (t) => {
  const store = flashInMemory(t)
  const keys = Array.from({ length: 100 }, (_, key) => key)
  await store.setMany(keys.map((key) => [key, key]), { ttl: 0.03 })
  await store.setMany(keys.map((key) => [-1 - key, key]))
  await store.set(0, 'for good')
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.equal(await store.size, 101)
  await store.delete(0)
  await store.set(1, 'again')
  assert.equal(await store.size, 101)
  assert.equal(await store.count(), (await gathered(store)).length)
  await store.cleanupAllExpired()
  assert.equal(await store.size, 101)
})

test('flush makes durable what was written before it, whatever the durability', async (t) => {
  const folder = temporary(t)
  const store = new FlashStore({ dataDir: join(folder, 'store'), durability: 'none' })
  for (let key = 0; key < 500; key++) store.set(key, key)
  await store.flush()
  cpSync(join(folder, 'store'), join(folder, 'copy'), { recursive: true })
  await store.close()

  const copy = new FlashStore({ dataDir: join(folder, 'copy'), readOnly: true })
  assert.equal(await copy.size, 500)
  await copy.flush()
  await copy.close()
  await assert.rejects(store.flush(), { code: 'FLOWDB_CLOSED' })
})
