'use strict'

/* Ranges of FlashStore, and its two ends. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { KeyRange } = require('..')
const { flashInMemory, flashOnDisk, gathered } = require('./support')

/** A key of every type, in order. */
const KEYS = [null, false, true, -1, 0, 1n, 2.5, new Date(0), '', 'a', 'ab', 'abc', 'b', new Uint8Array([1]), [], ['a'], ['a', 1], ['b']]

async function filled (t) {
  const store = flashInMemory(t)
  await store.setMany(KEYS.map((key, place) => [key, place]))
  return store
}

test('keys of every type are in one order, and come back as they went in', async (t) => {
  const store = await filled(t)
  assert.deepEqual(await gathered(store.values()), KEYS.map((_, place) => place))
  assert.deepEqual(await gathered(store.keys()), KEYS)
  for (const [place, key] of KEYS.entries()) assert.equal(await store.get(key), place)
})

test('null is a key like any other, and not everything', async (t) => {
  const store = await filled(t)
  assert.deepEqual(await gathered(store.keys({ range: null })), [null])
  assert.equal(await store.count(null), 1)
  assert.deepEqual([await store.first(null), await store.last(null)], [[null, 0], [null, 0]])
  assert.deepEqual(await store.popLast(null), [null, 0])
  assert.deepEqual([await store.popFirst(null), await store.first(null)], [undefined, undefined])
  assert.equal(await store.count(null), 0)
  assert.equal(await store.count(), KEYS.length - 1)
})

test('a range is named by prefix, gt, gte, lt and lte among the other options', async (t) => {
  const store = await filled(t)
  const from = async (options) => await gathered(store.values(options))
  const places = (low, high) => KEYS.map((_, place) => place).slice(low, high)
  assert.deepEqual(await from({ prefix: 'ab' }), [10, 11])
  assert.deepEqual(await from({ prefix: ['a'] }), [15, 16])
  assert.deepEqual(await from({ gt: 'a', lte: 'b' }), places(10, 13))
  assert.deepEqual(await from({ gte: null, lt: 0 }), places(0, 4))
  assert.deepEqual(await from({ gt: null }), places(1))
  assert.deepEqual(await from({ lt: null }), [])
  assert.deepEqual(await from({ lte: null }), [0])
  assert.deepEqual(await from({ range: KeyRange.bound('a', 'b'), reverse: true }), places(9, 13).reverse())
  assert.deepEqual(await from({ range: 'a' }), [9])
  assert.deepEqual(await from({ gte: 'a', reverse: true, limit: 2, offset: 1 }), [16, 15])
  assert.deepEqual(await gathered(store.keys({ prefix: 'ab', limit: 1 })), ['ab'])
  assert.deepEqual(await gathered(store.entries({ prefix: 'ab', offset: 1 })), [['abc', 11]])
})

test('what an iteration gives comes in one array, too, however many pages it takes', async (t) => {
  const store = await filled(t)
  const one = { gt: 'a', reverse: true, limit: 2, offset: 1 }
  const several = [undefined, {}, { prefix: 'ab' }, one, { range: null }, { limit: 0 }]
  for (const options of several) {
    assert.deepEqual(await store.getAllKeys(options), await gathered(store.keys(options)))
    assert.deepEqual(await store.getAll(options), await gathered(store.values(options)))
    assert.deepEqual(await store.getAllEntries(options), await gathered(store.entries(options)))
  }
  assert.deepEqual(await store.namespace('other').getAllEntries(), [])

  const long = store.namespace('long')
  const entries = Array.from({ length: 2000 }, (_, key) => [key, { text: 'x'.repeat(500) }])
  await long.setMany(entries)
  const all = long.getAllEntries()
  const some = long.getAllEntries({ gte: 10, limit: 1500 })
  const none = long.clear()
  assert.deepEqual(await all, entries)
  assert.deepEqual(await some, entries.slice(10, 1510))
  await none
  assert.deepEqual(await long.getAll(), [])
})

test('arrays in a transaction have what it has written, and are refused as iterations are', async (t) => {
  const store = flashInMemory(t)
  await store.setMany([['a', 1], ['c', 3]])
  await store.transaction(async (tx) => {
    tx.set('b', 2)
    tx.delete('c')
    assert.deepEqual(await tx.getAllEntries(), [['a', 1], ['b', 2]])
  })
  await assert.rejects(store.getAll({ gt: undefined }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(store.getAllKeys({ gt: {} }), { code: 'FLOWDB_INVALID_KEY' })
  await store.close()
  await assert.rejects(store.getAllEntries(), { code: 'FLOWDB_CLOSED' })
})

test('keys of one type and of several come back from pages as they went in', async (t) => {
  const store = flashInMemory(t)
  const plain = Array.from({ length: 300 }, (_, at) => `key ${String(at).padStart(4, '0')}`)
  const numbers = [-Infinity, -1e300, -7, 0, 0.1, ...Array.from({ length: 300 }, (_, at) => at + 1), 2 ** 53, Infinity]
  const kinds = { plain, numbers, quoted: [...plain, 'key "', 'k\u0000', 'kü'].sort(), mixed: [...numbers, ...plain] }
  for (const [name, keys] of Object.entries(kinds)) {
    const place = store.namespace(name)
    await place.setMany(keys.map((key, at) => [key, at % 7 === 6 ? new Map([[at, 'v']]) : `value ${at}`]))
    assert.deepEqual(await place.getAllKeys(), keys, name)
    assert.deepEqual(await gathered(place.keys({ reverse: true })), [...keys].reverse(), name)
    const entries = await place.getAllEntries()
    assert.deepEqual(entries.map(([key]) => key), keys, name)
    entries.forEach(([, value], at) => assert.deepEqual(value, at % 7 === 6 ? new Map([[at, 'v']]) : `value ${at}`))
  }
})

test('offset passes over entries, however many, in both directions', async (t) => {
  const store = flashInMemory(t)
  const keys = Array.from({ length: 5000 }, (_, key) => key)
  await store.setMany(keys.map((key) => [key, 'x'.repeat(50)]))
  const places = [[0, 3], [1, 3], [999, 2], [1000, 2], [1001, 2], [2500, 3000], [4999, 5], [5000, 5], [9e15, 5]]
  for (const [offset, limit] of [...places, [Infinity, 1]]) {
    assert.deepEqual(await gathered(store.keys({ offset, limit })), keys.slice(offset, offset + limit), `${offset}`)
    const reversed = [...keys].reverse().slice(offset, offset + limit)
    assert.deepEqual(await gathered(store.keys({ offset, limit, reverse: true })), reversed, `${offset} from the end`)
  }
  assert.deepEqual(await gathered(store.keys({ gte: 100, lt: 110, offset: 8 })), [108, 109])
})

test('a range that says nothing, too much or the wrong thing is refused, and never means everything', async (t) => {
  const store = await filled(t)
  for (const options of [
    { gt: undefined }, { prefix: undefined }, { gt: 1, gte: 1 }, { lt: 1, lte: 2 }, { prefix: 'a', gt: 'b' },
    { prefix: 1 }, { gt: 2, lt: 1 }, { range: KeyRange.only(1), gt: 1 }, { limit: -1 }, { offset: 1.5 }, { reverse: 1 },
    { from: 1 }, 7, new Map()
  ]) assert.throws(() => store.keys(options), { code: 'FLOWDB_INVALID_ARGUMENT' }, JSON.stringify(options))
  assert.throws(() => store.keys({ gt: {} }), { code: 'FLOWDB_INVALID_KEY' })
  for (const call of ['first', 'last', 'popFirst', 'popLast', 'count']) {
    await assert.rejects(store[call]({ gt: undefined }), { code: 'FLOWDB_INVALID_ARGUMENT' })
    await assert.rejects(store[call]({}), { code: 'FLOWDB_INVALID_KEY' })
  }
  assert.equal(await store.size, KEYS.length)
})

test('count, first and last are those of the range', async (t) => {
  const store = await filled(t)
  assert.equal(await store.count(), KEYS.length)
  assert.equal(await store.count({ prefix: 'a' }), 3)
  assert.equal(await store.count('a'), 1)
  assert.deepEqual(await store.first(), [null, 0])
  assert.deepEqual(await store.last(), [['b'], 17])
  assert.deepEqual(await store.first({ prefix: 'a' }), ['a', 9])
  assert.deepEqual(await store.last({ lt: 'a' }), ['', 8])
  assert.equal(await store.first({ gt: ['b'] }), undefined)
  assert.equal(await store.last('none'), undefined)
})

test('popFirst and popLast take out what first and last give', async (t) => {
  const store = flashInMemory(t)
  await store.setMany([[1, 'one'], [2, undefined], [3, 'three'], ['a', 'text']])
  assert.deepEqual(await store.popFirst(), [1, 'one'])
  assert.deepEqual(await store.popLast({ lt: 'a' }), [3, 'three'])
  assert.deepEqual(await store.popFirst(), [2, undefined])
  assert.deepEqual(await store.popLast(), ['a', 'text'])
  assert.equal(await store.popFirst(), undefined)
  assert.equal(await store.popLast(), undefined)
  assert.equal(await store.size, 0)
})

test('a hundred pops at once take the first hundred entries, each once', async (t) => {
  const store = flashInMemory(t)
  await store.setMany(Array.from({ length: 150 }, (_, key) => [key, key]))
  const popped = await Promise.all(Array.from({ length: 100 }, () => store.popFirst()))
  assert.deepEqual(popped.map(([key]) => key), Array.from({ length: 100 }, (_, key) => key))
  assert.equal(await store.size, 50)
})

test('pops of several threads give no entry twice and miss none', async (t) => {
  const { folder, open } = flashOnDisk(t)
  const store = open()
  const count = 1200
  await store.setMany(Array.from({ length: count }, (_, key) => [key, `value of ${key}`]))
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { FlashStore } = require(workerData.root)
    const take = async (store, way) => {
      const taken = []
      for (let entry = await store[way](); entry !== undefined; entry = await store[way]()) taken.push(entry)
      return taken
    }
    async function main () {
      const store = new FlashStore(workerData.folder)
      const taken = (await Promise.all([take(store, 'popFirst'), take(store, workerData.way)])).flat()
      await store.close()
      parentPort.postMessage(taken)
    }
    main()`
  const root = require.resolve('..')
  const workers = ['popFirst', 'popLast', 'popFirst'].map((way) => {
    return new Worker(program, { eval: true, workerData: { root, folder, way } })
  })
  const taken = (await Promise.all(workers.map((worker) => once(worker, 'message')))).flat(2)

  assert.deepEqual(taken.sort(([a], [b]) => a - b), Array.from({ length: count }, (_, key) => [key, `value of ${key}`]))
  assert.equal(await store.size, 0)
})

test('an iteration over a range sees the entries as they were when it was begun', async (t) => {
  const store = flashInMemory(t)
  await store.setMany(Array.from({ length: 3000 }, (_, key) => [key, 'x'.repeat(100)]))
  const keys = store.keys({ gte: 10, reverse: true })
  await keys.next()
  await store.clear()
  assert.equal((await gathered(keys)).length, 2989)
})
