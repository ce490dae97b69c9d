'use strict'

/* Reading, changing and writing an entry of FlashStore in one step; and values that are computed once. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { join } = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { FlashStore } = require('..')
const { errorOf, flashInMemory, flashOnDisk, gathered } = require('./support')

const HOUR = 3600
const THREADS = 4
const CALLS = 50
const KEYS = 10

/** Runs the calls of __test__/programs/updates-counters.js in several threads, and gives what was counted. */
async function counted (t, way) {
  const { folder, open } = flashOnDisk(t)
  const store = open({ durability: 'relaxed' })
  const workerData = { folder, calls: CALLS, keys: KEYS, way }
  const program = join(__dirname, 'programs', 'updates-counters.js')
  await Promise.all(Array.from({ length: THREADS }, () => once(new Worker(program, { workerData }), 'exit')))
  return await gathered(store)
}

const EXPECTED = Array.from({ length: KEYS }, (_, key) => [key, THREADS * CALLS / KEYS])

for (const way of ['update', 'slowly', 'incr', 'transaction']) {
  test(`no increment of four threads is lost that count up ten keys by ${way}`, async (t) => {
    assert.deepEqual(await counted(t, way), EXPECTED)
  })
}

test('update sets an entry to what a function makes of its value, and gives that', async (t) => {
  const store = flashInMemory(t)
  assert.equal(await store.update('a', (value) => value === undefined ? 'new' : 'old'), 'new')
  assert.deepEqual(await store.update('a', (value) => new Set([value])), new Set(['new']))
  assert.deepEqual(await store.update('a', async (value) => [...value, 2n]), ['new', 2n])
  assert.deepEqual(await gathered(store), [['a', ['new', 2n]]])
})

test('update leaves an entry as it is for undefined, and deletes it for FlashStore.DELETE', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  assert.equal(await store.update('a', () => undefined), 1)
  assert.equal(await store.update('none', () => undefined), undefined)
  assert.equal(await store.has('none'), false)
  assert.equal((await store.getEntry('a')).version, 1)
  assert.equal(await store.update('a', () => FlashStore.DELETE), undefined)
  assert.equal(await store.size, 0)
})

test('update keeps the expiry of an entry', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1, { ttl: HOUR })
  await store.update('a', (value) => value + 1)
  assert.ok(await store.ttl('a') <= HOUR)
})

test('what the function of update throws rejects, and nothing is changed', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  const thrown = new Error('mine')
  assert.equal(await errorOf(store.update('a', () => { throw thrown })), thrown)
  assert.equal((await errorOf(store.update('a', () => () => {}))).code, 'FLOWDB_NOT_CLONEABLE')
  assert.equal((await errorOf(store.update('a', 5))).code, 'FLOWDB_INVALID_ARGUMENT')
  assert.equal((await errorOf(store.update(undefined, () => 1))).code, 'FLOWDB_INVALID_KEY')
  assert.equal(await store.get('a'), 1)
})

test('update writes by the encoding of its store', async (t) => {
  const store = new FlashStore({ inMemory: true, valueEncoding: 'utf8' })
  t.after(() => store.close())
  await store.update('a', () => 'text')
  assert.equal(await store.update('a', (text) => text + '!'), 'text!')
  assert.equal((await errorOf(store.update('a', () => 5))).code, 'FLOWDB_INVALID_VALUE')
  assert.equal(await store.get('a'), 'text!')
})

test('incr counts from 1, or by what is given, and gives the number', async (t) => {
  const store = flashInMemory(t)
  assert.equal(await store.incr('a'), 1)
  assert.equal(await store.incr('a'), 2)
  assert.equal(await store.incr('a', -5), -3)
  assert.equal(await store.incr('a', 0.5), -2.5)
  assert.equal(await store.incr('b', 10n), 10n)
  assert.equal(await store.incr('b', 2n ** 70n), 2n ** 70n + 10n)
  assert.equal(await store.namespace('n').incr('a'), 1)
  assert.equal((await store.getEntry('a')).version, 4)
})

test('increments that are not awaited are all counted, in their order', async (t) => {
  const store = flashInMemory(t)
  const counts = await Promise.all(Array.from({ length: 1000 }, () => store.incr('a')))
  assert.deepEqual(counts, Array.from({ length: 1000 }, (_, n) => n + 1))
})

test('getOrSet gives what is there, and sets what is computed where nothing is', async (t) => {
  const store = flashInMemory(t)
  let computed = 0
  const compute = () => ({ n: ++computed })
  assert.deepEqual(await store.getOrSet('a', compute, { ttl: HOUR }), { n: 1 })
  assert.deepEqual(await store.getOrSet('a', compute), { n: 1 })
  assert.ok(await store.ttl('a') <= HOUR)
  for (const value of [0, '', false, null, undefined]) {
    await store.set('falsy', value)
    assert.equal(await store.getOrSet('falsy', compute), value)
  }
  assert.equal(computed, 1)
  assert.deepEqual(await store.getOrSet('b', async () => new Date(5)), new Date(5))
  assert.deepEqual(await store.get('b'), new Date(5))
})

test('calls of getOrSet that come together share one computation', async (t) => {
  const store = flashInMemory(t)
  let computed = 0
  const compute = async () => {
    await new Promise(setImmediate)
    return ++computed
  }
  const first = Array.from({ length: 50 }, () => store.getOrSet('a', compute))
  await new Promise(setImmediate)
  const more = Array.from({ length: 50 }, () => store.getOrSet('a', compute))
  assert.deepEqual(await Promise.all([...first, ...more]), Array(100).fill(1))
  assert.equal(await store.getOrSet('b', compute), 2)
  const other = store.namespace('other')
  assert.equal(await other.getOrSet('a', compute), 3)
})

test('a computation that fails rejects all who wait for it, and is not kept', async (t) => {
  const store = flashInMemory(t)
  const thrown = new Error('mine')
  let computed = 0
  const fails = async () => {
    computed++
    await new Promise(setImmediate)
    throw thrown
  }
  const settled = await Promise.allSettled(Array.from({ length: 10 }, () => store.getOrSet('a', fails)))
  assert.ok(settled.every(({ reason }) => reason === thrown))
  assert.equal(computed, 1)
  assert.equal(await store.has('a'), false)
  assert.equal(await store.getOrSet('a', () => 'there'), 'there')
  assert.equal((await errorOf(store.getOrSet('b', () => () => {}))).code, 'FLOWDB_NOT_CLONEABLE')
})

test('undefined is given to who waits for it, and is not set', async (t) => {
  const store = flashInMemory(t)
  let computed = 0
  const nothing = () => { computed++ }
  assert.deepEqual(await Promise.all([store.getOrSet('a', nothing), store.getOrSet('a', nothing)]), [undefined, undefined])
  assert.equal(computed, 1)
  assert.equal(await store.has('a'), false)
  await store.getOrSet('a', nothing)
  assert.equal(computed, 2)
})

test('what was set while a value was computed is kept, and given', async (t) => {
  const store = flashInMemory(t)
  const value = await store.getOrSet('a', async () => {
    await store.set('a', 'set')
    return 'computed'
  })
  assert.equal(value, 'set')
  assert.equal(await store.get('a'), 'set')
})

test('getOrSet sees a set that was not awaited', async (t) => {
  const store = flashInMemory(t)
  store.set('a', 1)
  assert.equal(await store.getOrSet('a', () => 2), 1)
  store.delete('a')
  assert.equal(await store.getOrSet('a', () => 2), 2)
})

test('wrap gives a function that works once for the same arguments', async (t) => {
  const store = flashInMemory(t)
  const calls = []
  const add = store.namespace('add').wrap(async (a, b) => {
    calls.push([a, b])
    return a + b
  }, { ttl: HOUR })
  assert.deepEqual(await Promise.all([add(1, 2), add(1, 2), add(2, 1), add('1', 2)]), [3, 3, 3, '12'])
  assert.equal(await add(1, 2), 3)
  assert.deepEqual(calls, [[1, 2], [2, 1], ['1', 2]])
  assert.ok(await store.namespace('add').ttl([1, 2]) <= HOUR)
  await store.namespace('add').delete([1, 2])
  await add(1, 2)
  assert.equal(calls.length, 4)
})

test('wrap takes the key from a function of the arguments, and keeps this', async (t) => {
  const store = flashInMemory(t)
  const service = {
    prefix: 'user ',
    load: store.wrap(function (user) { return this.prefix + user.id }, { key: (user) => `u${user.id}` })
  }
  assert.equal(await service.load({ id: 7 }), 'user 7')
  assert.equal(await store.get('u7'), 'user 7')
  assert.equal((await errorOf(store.wrap(() => 1)({ id: 7 }))).code, 'FLOWDB_INVALID_KEY')
})

test('what getOrSet and wrap can not do with is refused', async (t) => {
  const store = flashInMemory(t)
  for (const call of [
    store.getOrSet('a', 5), store.getOrSet('a'), store.getOrSet('a', () => 1, { ttl: -1 }), store.getOrSet('a', () => 1, { x: 1 }),
    store.incr('a', 1, {}).then(() => store.getOrSet('a', () => 1, { ifAbsent: true }))
  ]) assert.equal((await errorOf(call)).code, 'FLOWDB_INVALID_ARGUMENT')
  assert.equal((await errorOf(store.getOrSet(undefined, () => 1))).code, 'FLOWDB_INVALID_KEY')
  assert.throws(() => store.wrap(5), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => store.wrap(() => 1, { key: 'k' }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => store.wrap(() => 1, { ttl: 'long' }), { code: 'FLOWDB_INVALID_ARGUMENT' })
})
