'use strict'

/* FlashStoreSync's calls: what a Map does, and what becomes of it on disk. */

const assert = require('node:assert/strict')
const { existsSync, mkdirSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { inspect } = require('node:util')
const { FlashStoreSync, FlowDB } = require('..')
const { runProgram, temporary } = require('./support')

/** A store in memory, closed after the test. */
function syncInMemory (t) {
  const store = new FlashStoreSync({ inMemory: true })
  t.after(() => store.close())
  return store
}

/** What a store in a folder has. */
async function storedIn (folder) {
  const store = await FlashStoreSync.open(folder)
  const entries = [...store]
  await store.close()
  return entries
}

/** How many batches have been stored in a folder, and how many documents there are. */
async function batchesIn (folder) {
  const db = FlowDB.open({ dataDir: folder })
  const [batches, documents] = [await db.get('flash-sync', null), await db.count('flash-sync')]
  await db.close()
  return { batches, documents }
}

test('every call of a Map does what it does there', (t) => {
  for (const map of [new Map(), syncInMemory(t)]) {
    assert.equal(map.size, 0)
    assert.equal(map.get('a'), undefined)
    assert.equal(map.has('a'), false)
    assert.equal(map.set('a', 1), map)
    map.set('b', 2).set('c', undefined)
    assert.equal(map.size, 3)
    assert.equal(map.get('c'), undefined)
    assert.equal(map.has('c'), true)
    assert.deepEqual([...map], [['a', 1], ['b', 2], ['c', undefined]])
    assert.deepEqual([[...map.keys()], [...map.values()]], [['a', 'b', 'c'], [1, 2, undefined]])
    assert.deepEqual([...map.entries()], [...map])

    map.set('a', 'again')
    assert.deepEqual([...map.keys()], ['a', 'b', 'c'], 'an entry that is there keeps its place')
    assert.equal(map.delete('a'), true)
    assert.equal(map.delete('a'), false)
    map.set('a', 'at the end')
    assert.deepEqual([...map.keys()], ['b', 'c', 'a'])

    const calls = []
    assert.equal(map.forEach(function (value, key, its) { calls.push([this.name, value, key, its === map]) }, { name: 'x' }), undefined)
    assert.deepEqual(calls, [['x', 2, 'b', true], ['x', undefined, 'c', true], ['x', 'at the end', 'a', true]])
    assert.equal(map.clear(), undefined)
    assert.equal(map.size, 0)
    assert.deepEqual([...map], [])
  }
})

test('keys are told apart as in a Map', (t) => {
  const store = syncInMemory(t)
  const keys = [0, NaN, '0', 0n, '', null, undefined, true, false, 'null', -1.5, Infinity, 10n ** 50n, '\ud800']
  keys.forEach((key, value) => store.set(key, value))
  keys.forEach((key, value) => assert.equal(store.get(key), value, String(key)))
  assert.equal(store.size, keys.length)
  store.set(-0, 'zero')
  assert.deepEqual([...store.keys()], keys)
  assert.ok(Object.is([...store.keys()][0], 0))
  assert.equal(store.get(0), 'zero')
})

test('iterators live while the map changes', (t) => {
  for (const map of [new Map(), syncInMemory(t)]) {
    map.set('a', 1).set('b', 2).set('c', 3)
    const seen = []
    for (const [key] of map) {
      seen.push(key)
      if (key === 'a') map.delete('b')
      if (key === 'c') map.set('d', 4) && map.delete('a')
      if (key === 'd') map.set('a', 5)
    }
    assert.deepEqual(seen, ['a', 'c', 'd', 'a'])
    const keys = map.keys()
    map.clear()
    map.set('new', 1)
    assert.deepEqual([...keys], ['new'])
  }
})

test('it shows itself, and goes where a Map goes', (t) => {
  const store = syncInMemory(t)
  assert.equal(inspect(store), 'FlashStoreSync <loading>')
  store.set('a', 1)
  assert.deepEqual(new Map(store), new Map([['a', 1]]))
  assert.equal(Object.prototype.toString.call(store), '[object FlashStoreSync]')
  assert.equal(inspect(store), "FlashStoreSync Map(1) { 'a' => 1 }")
})

test('getOrInsert and getOrInsertComputed give what is there, or set it', (t) => {
  const store = syncInMemory(t)
  assert.equal(store.getOrInsert('a', 1), 1)
  assert.equal(store.getOrInsert('a', 2), 1)
  assert.equal(store.getOrInsertComputed('b', (key) => `${key}!`), 'b!')
  assert.equal(store.getOrInsertComputed('b', () => assert.fail()), 'b!')
  assert.throws(() => store.getOrInsertComputed('c', 1), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.deepEqual([...store], [['a', 1], ['b', 'b!']])
})

test('entries come back in their order, with keys and values as they were', async (t) => {
  const folder = temporary(t)
  const store = new FlashStoreSync(folder)
  const values = [
    1, -0, NaN, 'text', '\ud800', true, null, undefined, 12345678901234567890n, new Date(5),
    new Map([['a', new Set([1])]]), /x/gi, [1, [2, { a: 'b' }]], { a: undefined }, new Uint8Array([1, 2, 3])
  ]
  const keys = ['z', 3, 'a', NaN, null, undefined, 0, -1, 2n, true, '', Infinity, '\udc00', 1, 'long '.repeat(10_000)]
  keys.forEach((key, place) => store.set(key, values[place]))
  store.set('a', 'overwritten')
  store.delete(3)
  store.set(3, 'moved to the end')
  const entries = [...store]
  await store.close()

  assert.deepStrictEqual(await storedIn(folder), entries)
  const again = FlashStoreSync.openSync(folder)
  again.set('new', 1).set('z', 'still the first')
  assert.deepEqual([...again.keys()], [...entries.map(([key]) => key), 'new'])
  await again.close()
  assert.deepEqual((await storedIn(folder))[0], ['z', 'still the first'])
})

test('what is stored is the value as it was when it was set', async (t) => {
  const folder = temporary(t)
  const store = await FlashStoreSync.open(folder)
  const value = { list: [1] }
  store.set('a', value)
  value.list.push(2)
  assert.equal(store.get('a'), value)
  await store.close()
  assert.deepEqual(await storedIn(folder), [['a', { list: [1] }]])
})

test('bad keys and values are refused and change nothing', (t) => {
  const store = syncInMemory(t)
  store.set('key', 'before')
  for (const key of [{}, [], new Date(), Symbol('s'), () => {}]) {
    assert.throws(() => store.set(key, 1), { code: 'FLOWDB_INVALID_KEY' })
    assert.equal(store.has(key), false)
    assert.equal(store.get(key), undefined)
    assert.equal(store.delete(key), false)
  }
  for (const value of [() => {}, Symbol('s'), { f () {} }, Promise.resolve()]) {
    assert.throws(() => store.set('key', value), { code: 'FLOWDB_NOT_CLONEABLE' })
  }
  const closing = { get value () { throw new Error('thrown by a getter') } }
  assert.throws(() => store.set('key', closing), { code: 'FLOWDB_INVALID_VALUE' })
  assert.throws(() => store.forEach('no function'), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.deepEqual([...store], [['key', 'before']])
  assert.throws(() => new FlashStoreSync({ dataDirr: 'x' }), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('it loads in the background, and says so', async (t) => {
  const folder = temporary(t)
  const store = new FlashStoreSync(folder)
  assert.equal(store.state, 'loading')
  assert.equal(await store.ready, undefined)
  assert.equal(store.state, 'open')
  store.set('a', 1)
  const closing = store.close()
  assert.equal(store.state, 'closed')
  await closing
})

test('a call before the end of loading ends it, wherever it was', async (t) => {
  const folder = temporary(t)
  const first = new FlashStoreSync(folder)
  for (let key = 0; key < 20_000; key++) first.set(key, `value ${key} ${'x'.repeat(50)}`)
  await first.close()

  for (let turns = 0; turns < 12; turns++) {
    const store = new FlashStoreSync(folder)
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(store.size, 20_000)
    assert.equal(store.state, 'open')
    let expected = 0
    for (const key of store.keys()) assert.equal(key, expected++)
    assert.equal(store.get(12_345), `value 12345 ${'x'.repeat(50)}`)
    // What comes of the reading in the background is too late to bring anything back.
    const last = store.get(19_999)
    store.delete(19_999)
    store.set(3, 'changed')
    await store.ready
    assert.deepEqual([store.size, store.get(3)], [19_999, 'changed'])
    store.set(3, `value 3 ${'x'.repeat(50)}`).set(19_999, last)
    await store.close()
  }
})

test('what is written before the end of loading is never undone by it', async (t) => {
  const folder = temporary(t)
  const seed = (entries) => {
    const store = new FlashStoreSync(folder)
    store.clear()
    entries.forEach(([key, value]) => store.set(key, value))
    return store.close()
  }
  const ways = [
    [(store) => store.set('b', 'new').set('d', 4), [['a', 1], ['b', 'new'], ['c', 3], ['d', 4]]],
    [(store) => store.set('d', 1).set('a', 2).set('d', 3), [['a', 2], ['b', 2], ['c', 3], ['d', 3]]],
    [(store) => store.clear(), []],
    [(store) => { store.set('x', 1); store.clear(); store.set('c', 'again').set('a', 'too') }, [['c', 'again'], ['a', 'too']]],
    [(store) => { store.set('d', 4); store.delete('a'); store.set('a', 5) }, [['b', 2], ['c', 3], ['d', 4], ['a', 5]]]
  ]
  const ends = [(store) => store.ready, (store) => store.size, (store) => store.flush(), () => {}]
  for (const [write, expected] of ways) {
    for (const end of ends) {
      await seed([['a', 1], ['b', 2], ['c', 3]])
      const store = new FlashStoreSync(folder)
      write(store)
      await end(store)
      await store.close()
      assert.deepEqual(await storedIn(folder), expected)
    }
  }
})

test('many writes before the end of loading are applied, while more are made', async (t) => {
  const folder = temporary(t)
  const store = new FlashStoreSync(folder)
  const map = new Map()
  const both = (key, value) => {
    store.set(key, value)
    map.set(key, value)
  }
  for (let key = 0; key < 30_000; key++) both(key % 20_000, key)
  for (let turn = 0; turn < 20; turn++) {
    both(turn, 'meanwhile')
    both(`new ${turn}`, turn)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await store.ready
  assert.deepEqual([...store], [...map])
  await store.close()
  assert.deepEqual(await storedIn(folder), [...map])
})

test('a store that can\'t be loaded has failed, and says why in every call', async (t) => {
  const file = join(temporary(t), 'file')
  writeFileSync(file, '')
  for (const isEarly of [true, false]) {
    const store = new FlashStoreSync(file)
    if (isEarly) store.set('early', 1)
    await assert.rejects(store.ready, { code: 'FLOWDB_IO' })
    assert.equal(store.state, 'failed')
    const calls = [() => store.get(1), () => store.set(1, 1), () => store.size, () => store.keys(), () => store.clear()]
    for (const call of calls) assert.throws(call, { code: 'FLOWDB_IO' })
    await assert.rejects(store.flush(), { code: 'FLOWDB_IO' })
    if (isEarly) await assert.rejects(store.close(), { code: 'FLOWDB_IO' }, 'something was set')
    else await store.close()
    assert.equal(store.state, 'closed')
  }
  const store = new FlashStoreSync(file)
  assert.throws(() => store.size, { code: 'FLOWDB_IO' })
  await assert.rejects(store.ready, { code: 'FLOWDB_IO' })
  assert.throws(() => FlashStoreSync.openSync(file), { code: 'FLOWDB_IO' })
  await assert.rejects(FlashStoreSync.open(file), { code: 'FLOWDB_IO' })
})

test('a closed store refuses everything, and closing twice is harmless', async (t) => {
  const store = syncInMemory(t)
  store.set('a', 1)
  await Promise.all([store.close(), store.close()])
  const calls = [
    () => store.get('a'), () => store.set('a', 1), () => store.has('a'), () => store.delete('a'), () => store.clear(),
    () => store.size, () => store.keys(), () => store.forEach(() => {}), () => store.flushSync()
  ]
  for (const call of calls) assert.throws(call, { code: 'FLOWDB_CLOSED' })
  await assert.rejects(store.flush(), { code: 'FLOWDB_CLOSED' })
  await assert.rejects(store.drain(), { code: 'FLOWDB_CLOSED' })
  const unused = new FlashStoreSync({ inMemory: true })
  await unused.close()
  await assert.rejects(unused.ready, { code: 'FLOWDB_CLOSED' })
})

test('a value whose getter closes the store is refused', async (t) => {
  const store = await FlashStoreSync.open({ inMemory: true })
  const value = { get a () { return store.close() && 1 } }
  assert.throws(() => store.set('key', value), { code: 'FLOWDB_CLOSED' })
  await store.close()
})

test('dispose stores what was set before it returns, in both forms', async (t) => {
  const folder = temporary(t)
  const store = new FlashStoreSync(folder)
  store.set('a', 1)
  store[Symbol.dispose]()
  store[Symbol.dispose]()
  assert.equal(store.state, 'closed')
  await store.close()
  assert.deepEqual(await storedIn(folder), [['a', 1]])
  const other = new FlashStoreSync(folder)
  other.set('b', 2)
  await other[Symbol.asyncDispose]()
  assert.deepEqual(await storedIn(folder), [['a', 1], ['b', 2]])
})

test('a read-only store refuses to write at once', async (t) => {
  const folder = temporary(t)
  const store = new FlashStoreSync(folder)
  store.set('a', 1)
  await store.close()
  const reader = new FlashStoreSync({ dataDir: folder, readOnly: true })
  for (const call of [() => reader.set('b', 1), () => reader.delete('a'), () => reader.clear()]) {
    assert.throws(call, { code: 'FLOWDB_READ_ONLY' })
  }
  assert.deepEqual([...reader], [['a', 1]])
  await reader.flush()
  await reader.close()
})

test('destroy removes the files, and the folder when it is empty', async (t) => {
  const folder = join(temporary(t), 'store')
  mkdirSync(folder)
  const store = new FlashStoreSync(folder)
  store.set('a', 1)
  await store.destroy()
  assert.equal(existsSync(folder), false)
})

test('a process ends by itself when everything that was set is stored', async (t) => {
  const folder = temporary(t)
  const { code, errors } = await runProgram('sets-and-ends.js', [folder])
  assert.deepEqual({ code, errors }, { code: 0, errors: '' })
  assert.equal((await storedIn(folder)).length, 50_000)
})

test('a store that is forgotten stores what was set, and is closed when it is collected', async (t) => {
  const folder = temporary(t)
  const { code, output, errors } = await runProgram('forgets-a-map.js', [folder], { flags: ['--expose-gc'] })
  assert.deepEqual({ code, output, errors }, { code: 0, output: 'closed', errors: '' })
  assert.equal((await storedIn(folder)).length, 20_000)
})

test('overwriting one entry many times writes only what is needed', async (t) => {
  const folder = temporary(t)
  const store = await FlashStoreSync.open(folder)
  for (let count = 0; count < 200_000; count++) store.set('key', `value ${count}`)
  for (let count = 0; count < 20_000; count++) {
    store.set(count, 1)
    store.delete(count)
  }
  await store.close()
  const { batches, documents } = await batchesIn(folder)
  assert.equal(documents, 2, 'there is one for the entry, and the head')
  assert.ok(batches <= 3, `${batches} batches`)
  assert.deepEqual(await storedIn(folder), [['key', 'value 199999']])
})

test('setting the primitive that is there writes nothing', async (t) => {
  const folder = temporary(t)
  const store = await FlashStoreSync.open(folder)
  store.set('a', 'same').set('b', NaN).set('c', 0)
  await store.flush()
  store.set('a', 'same').set('b', NaN)
  await store.flush()
  assert.equal(store.pendingBytes, 0)
  store.set('c', -0)
  await store.close()
  assert.equal((await batchesIn(folder)).batches, 2)
  assert.deepEqual((await storedIn(folder))[2], ['c', -0])
})
