'use strict'

/* Watching the entries of FlashStore. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { join } = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { FlowDB, KeyRange } = require('..')
const { errorOf, flashInMemory, flashOnDisk } = require('./support')

/** So many of the next changes, without the time of writing. */
async function take (changes, count) {
  const taken = []
  while (taken.length < count) {
    const { value: { updatedAt: _updatedAt, ...change } } = await changes.next()
    taken.push(change)
  }
  return taken
}

test('watch gives what was set and deleted, in the order of the commits', async (t) => {
  const store = flashInMemory(t)
  const changes = store.watch({ oldValues: true })
  await store.set('a', 1)
  await store.set('a', new Set([2]))
  await store.set('b', undefined)
  await store.delete('a')
  await store.incr('n')
  await store.clear()
  await store.set('c', 3)

  assert.deepEqual(await take(changes, 7), [
    { type: 'set', key: 'a', version: 1, value: 1 },
    { type: 'set', key: 'a', version: 2, value: new Set([2]), oldValue: 1 },
    { type: 'set', key: 'b', version: 1, value: undefined },
    { type: 'delete', key: 'a', oldValue: new Set([2]) },
    { type: 'set', key: 'n', version: 1, value: 1 },
    { type: 'clear' },
    { type: 'set', key: 'c', version: 1, value: 3 }
  ])
})

test('watch leaves out the values where they are not wanted', async (t) => {
  const store = flashInMemory(t)
  const changes = store.watch({ values: false })
  await store.set('a', 1)
  await store.delete('a')
  assert.deepEqual(await take(changes, 2), [{ type: 'set', key: 'a', version: 1 }, { type: 'delete', key: 'a' }])
})

test('watch is of a key, a prefix or a range', async (t) => {
  const store = flashInMemory(t)
  const watches = {
    key: store.watch({ key: 'b' }),
    null: store.watch({ key: null }),
    prefix: store.watch({ prefix: 'b' }),
    array: store.watch({ prefix: ['b'] }),
    bounds: store.watch({ gte: 'b', lt: 'c' }),
    range: store.watch({ range: KeyRange.lowerBound('c') })
  }
  for (const key of ['a', 'b', 'ba', 'c', null, ['b', 1], ['c']]) await store.set(key, 1)
  await store.clear()

  const seen = {}
  for (const [name, changes] of Object.entries(watches)) {
    seen[name] = []
    for await (const { type, key } of changes) {
      if (type === 'clear') break
      seen[name].push(key)
    }
  }
  assert.deepEqual(seen, {
    key: ['b'], null: [null], prefix: ['b', 'ba'], array: [['b', 1]], bounds: ['b', 'ba'], range: ['c', ['b', 1], ['c']]
  })
})

test('watch is of one namespace, which need not be there yet and may be dropped', async (t) => {
  const store = flashInMemory(t)
  const users = store.namespace('users')
  const changes = users.watch()
  await store.set('a', 1)
  await users.namespace('inner').set('a', 2)
  await store.namespace('user').set('a', 3)
  await users.set('a', 4)
  await users.drop()
  await users.set('a', 5)
  assert.deepEqual(await take(changes, 3), [
    { type: 'set', key: 'a', version: 1, value: 4 }, { type: 'clear' }, { type: 'set', key: 'a', version: 1, value: 5 }
  ])
})

test('the changes of a transaction, of a batch and of atomic come together', async (t) => {
  const store = flashInMemory(t)
  const changes = store.watch()
  await store.transaction(async (tx) => {
    await tx.set('b', 1)
    await tx.set('a', 1)
    await tx.set('b', 2)
  })
  await store.batch([{ type: 'set', key: 'c', value: 1 }, { type: 'delete', key: 'a' }])
  await store.atomic().set('d', 1).delete('c').commit()
  await store.update('d', () => 2)
  assert.deepEqual((await take(changes, 7)).map(({ type, key, value }) => [type, key, value]), [
    ['set', 'a', 1], ['set', 'b', 2], ['delete', 'a', undefined], ['set', 'c', 1], ['delete', 'c', undefined], ['set', 'd', 1],
    ['set', 'd', 2]
  ])
})

test('an expiry is told with the change that brings it, and is no change when its time comes', async (t) => {
  const store = flashInMemory(t)
  const changes = store.watch()
  await store.set('a', 1, { ttl: 3600 })
  await store.expire('a', 7200)
  await store.set('b', 1, { ttl: 0.02 })
  while (await store.has('b')) await new Promise(setImmediate)
  await store.purgeExpired()
  await store.set('c', 1)
  const [first, touched, second, third] = await take(changes, 4)
  assert.ok(first.expiresAt > 0 && touched.expiresAt > first.expiresAt && second.expiresAt > 0)
  assert.deepEqual([first.version, touched.version, touched.type], [1, 1, 'set'])
  assert.deepEqual([second.key, third.key], ['b', 'c'])
})

test('watch sees what another thread commits', async (t) => {
  const { folder, open } = flashOnDisk(t)
  const store = open()
  const changes = store.watch({ key: 'n' })
  await changes.ready
  const worker = new Worker(join(__dirname, 'programs', 'sets-entries.js'), { workerData: { folder, count: 50 } })
  const ended = once(worker, 'exit')
  const versions = []
  for await (const { type, version, value } of changes) {
    if (type === 'delete') break
    assert.equal(version, value)
    versions.push(version)
  }
  await ended
  assert.deepEqual(versions, Array.from({ length: 50 }, (_, n) => n + 1))
})

test('watch ends with its signal, and with its store', async (t) => {
  const store = flashInMemory(t)
  const controller = new AbortController()
  const changes = store.watch({ signal: controller.signal })
  const next = changes.next()
  controller.abort()
  assert.equal((await errorOf(next)).code, 'FLOWDB_ABORTED')
  const other = store.watch()
  const last = other.next()
  await store.close()
  assert.equal((await last).done, true)
})

test('a watch that is too slow ends, or says how many changes it has lost', async (t) => {
  const store = flashInMemory(t)
  const strict = store.watch({ buffer: 2 })
  const loose = store.watch({ buffer: 2, overflow: 'drop-oldest' })
  const coalesced = store.watch({ buffer: 2, overflow: 'coalesce' })
  await strict.ready
  for (let n = 1; n <= 5; n++) await store.set('a', n)
  const error = await errorOf((async () => { for await (const change of strict) assert.ok(change) })())
  assert.equal(error.code, 'FLOWDB_OVERFLOW')
  const [lost, next] = await take(loose, 2)
  assert.deepEqual([lost.type, lost.changes], ['lost', next.version - 1])
  assert.equal((await take(coalesced, 1))[0].value, 5)
})

test('a range that another program deletes is told as one', async (t) => {
  const { folder, open } = flashOnDisk(t)
  const store = open()
  await store.setMany(Array.from({ length: 2000 }, (_, key) => [key, key]))
  const changes = store.watch()
  await changes.ready
  const db = FlowDB.open({ dataDir: folder })
  await db.delete('flash', KeyRange.upperBound(1500))
  await db.close()
  const [{ type, range }] = await take(changes, 1)
  assert.equal(type, 'deleteRange')
  assert.equal(range.upper, 1500)
})

test('what can not be watched is refused in the call', async (t) => {
  const store = flashInMemory(t)
  for (const options of [{ store: 'a' }, { key: 'a', prefix: 'a' }, { range: 'a', gt: 'a' }, { x: 1 }, { buffer: 0 },
    { overflow: 'no' }, { signal: 5 }, null, 5]) {
    assert.throws(() => store.watch(options), { code: 'FLOWDB_INVALID_ARGUMENT' }, JSON.stringify(options))
  }
  assert.throws(() => store.watch({ key: {} }), { code: 'FLOWDB_INVALID_KEY' })
})

test('a watch of what was computed wrongly is refused, and is not one of everything', async (t) => {
  const store = flashInMemory(t)
  for (const options of [{ key: undefined }, { key: undefined, values: false }]) {
    assert.throws(() => store.watch(options), { code: 'FLOWDB_INVALID_KEY' })
  }
  for (const options of [{ prefix: undefined }, { gte: undefined, lt: undefined }]) {
    assert.throws(() => store.watch(options), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  store.watch({ values: undefined, signal: undefined }).return()
})
