'use strict'

/* `watch` and `liveQuery`, one promise a test. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { setTimeout: sleep, setImmediate: turn } = require('node:timers/promises')
const { Worker } = require('node:worker_threads')
const { FlowDB, KeyRange } = require('..')
const { collectGarbage, errorOf, openInMemory, runProgram, temporary } = require('./support')

/** The next so many things that an iterator gives. */
async function take (iterator, count) {
  const taken = []
  while (taken.length < count) {
    const { value, done } = await iterator.next()
    if (done) break
    taken.push(value)
  }
  return taken
}

/** A change in short. */
const shown = ({ type, store, key, version }) => [type, store, key, version].filter((part) => part !== undefined).join(' ')

test('committed changes come in their order, those of a transaction together, and others never', async (t) => {
  const db = await openInMemory(t, { users: 'id', notes: null })
  await db.put('users', { id: 1 })
  const watch = db.watch()
  db.put('users', { id: 2 })
  await db.update(['users', 'notes'], async (tx) => {
    await tx.put('notes', { text: 'b' }, 'b')
    await tx.put('users', { id: 3 })
    await tx.put('users', { id: 1 })
    await tx.delete('users', 2)
  })
  await assert.rejects(db.add('users', { id: 1 }))
  const aborted = db.transaction('users', 'readwrite')
  await aborted.put('users', { id: 4 })
  await aborted.abort()
  await db.clear('users')
  await db.deleteObjectStore('notes')

  assert.deepEqual((await take(watch, 7)).map(shown), [
    'put users 2 1', 'put users 1 2', 'delete users 2', 'put users 3 1', 'put notes b 1', 'clear users', 'drop notes'
  ])
})

test('new and old documents come where they are asked for, and the expiry always', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.put('users', { id: 1, n: 1 })
  const [plain, both] = [db.watch(), db.watch({ store: 'users', values: true, oldValues: true })]
  const expiresAt = Date.now() + 60_000
  await db.put('users', { id: 1, n: 2 }, { expiresAt })
  await db.delete('users', 1)

  const [put, gone] = await take(both, 2)
  const { updatedAt } = put
  assert.deepEqual(put, {
    type: 'put', store: 'users', key: 1, version: 2, updatedAt, expiresAt, value: { id: 1, n: 2 }, oldValue: { id: 1, n: 1 }
  })
  assert.ok(Math.abs(updatedAt - Date.now()) < 60_000)
  assert.deepEqual(gone, { type: 'delete', store: 'users', key: 1, oldValue: { id: 1, n: 2 } })
  assert.deepEqual(await take(plain, 2), [
    { type: 'put', store: 'users', key: 1, version: 2, updatedAt, expiresAt }, { type: 'delete', store: 'users', key: 1 }
  ])
})

test('only the store and the range that are watched come', async (t) => {
  const db = await openInMemory(t, { users: 'id', others: 'id' })
  const watch = db.watch({ store: 'users', range: KeyRange.bound('b', 'd', false, true) })
  for (const id of ['a', 'b', 'c', 'd']) {
    await db.put('users', { id })
    await db.put('others', { id })
  }
  await db.put('users', { id: 'c' })

  assert.deepEqual((await take(watch, 3)).map(shown), ['put users b 1', 'put users c 1', 'put users c 2'])
})

test('watching from the start of an opening misses no write that is issued after it', async (t) => {
  const db = FlowDB.open({ inMemory: true })
  t.after(() => db.close())
  const watch = db.watch()
  db.createObjectStore('users', 'id')
  for (let id = 0; id < 2500; id++) db.put('users', { id })

  assert.deepEqual((await take(watch, 2500)).map(({ key }) => key), Array.from({ length: 2500 }, (_, id) => id))
})

test('too many changes end a watch behind those that waited', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const watch = db.watch({ buffer: 2 })
  for (let id = 0; id < 5; id++) await db.put('users', { id })

  assert.deepEqual((await take(watch, 2)).map(shown), ['put users 0 1', 'put users 1 1'])
  await assert.rejects(watch.next(), { code: 'FLOWDB_OVERFLOW' })
  assert.deepEqual(await watch.next(), { value: undefined, done: true })
})

test('the oldest are dropped and counted, or changes are coalesced, where that is chosen', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const oldest = db.watch({ buffer: 2, overflow: 'drop-oldest' })
  const coalesced = db.watch({ buffer: 2, overflow: 'coalesce', values: true })
  for (let n = 0; n < 50; n++) await db.put('users', { id: n % 2, n })

  assert.deepEqual((await take(oldest, 3)).map((change) => change.type === 'lost' ? change : shown(change)), [
    { type: 'lost', changes: 48 }, 'put users 0 25', 'put users 1 25'
  ])
  assert.deepEqual((await take(coalesced, 2)).map(({ value }) => value), [{ id: 0, n: 48 }, { id: 1, n: 49 }])
})

test('a loop that is left ends its watch, and one that waits ends with return', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const watch = db.watch()
  await db.put('users', { id: 1 })
  for await (const change of watch) {
    assert.equal(change.key, 1)
    break
  }
  assert.deepEqual(await watch.next(), { value: undefined, done: true })

  const waiting = db.watch()
  const next = waiting.next()
  await waiting.ready
  await turn()
  await waiting.return()
  assert.deepEqual(await next, { value: undefined, done: true })
  const error = new Error('mine')
  assert.equal(await errorOf(db.watch().throw(error)), error)
  const disposed = db.watch()
  assert.equal(disposed[Symbol.asyncIterator](), disposed)
  await disposed[Symbol.asyncDispose]()
  assert.deepEqual(await disposed.next(), { value: undefined, done: true })
})

test('a signal ends a watch, before it, while it waits, and between its changes', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const reason = new Error('enough')
  assert.throws(() => db.watch({ signal: AbortSignal.abort(reason) }), (error) => {
    return error.code === 'FLOWDB_ABORTED' && error.cause === reason
  })

  const waits = new AbortController()
  const waiting = db.watch({ signal: waits.signal })
  const next = waiting.next()
  await waiting.ready
  waits.abort(reason)
  assert.equal((await errorOf(next)).cause, reason)
  assert.deepEqual(await waiting.next(), { value: undefined, done: true })

  const between = new AbortController()
  const seen = []
  await db.put('users', { id: 0 })
  const looping = (async () => {
    for await (const { key } of db.watch({ signal: between.signal })) {
      seen.push(key)
      if (seen.length === 2) between.abort(reason)
    }
  })()
  for (let id = 1; id < 6; id++) db.put('users', { id })
  assert.equal((await errorOf(looping)).code, 'FLOWDB_ABORTED')
  assert.deepEqual(seen, [1, 2])
})

test('closing the database ends every watch, waits for none, and another opener watches on', async (t) => {
  const dataDir = temporary(t)
  const [first, second] = [FlowDB.open({ dataDir }), FlowDB.open({ dataDir })]
  await first.createObjectStore('users', 'id')
  const [waiting, untouched, other] = [first.watch(), first.watch(), second.watch()]
  await other.ready
  const next = waiting.next()
  await waiting.ready
  await turn()
  await first.close()

  assert.deepEqual(await next, { value: undefined, done: true })
  assert.deepEqual(await untouched.next(), { value: undefined, done: true })
  assert.throws(() => first.watch(), { code: 'FLOWDB_CLOSED' })
  assert.throws(() => first.liveQuery({ store: 'users' }), { code: 'FLOWDB_CLOSED' })
  await second.put('users', { id: 1 })
  assert.deepEqual((await take(other, 1)).map(shown), ['put users 1 1'])
  await second.close()
})

test('what worker threads commit comes to every thread, each change once and in order', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir, durability: 'none' })
  await db.createObjectStore('rows', 'id')
  const watches = [db.watch({ store: 'rows' }), db.watch({ values: true })]
  await Promise.all(watches.map(({ ready }) => ready))
  const workers = [1, 2, 3].map((worker) => new Worker(join(__dirname, 'programs', 'writes-rows.js'), { workerData: { dataDir, worker } }))
  const exits = workers.map((worker) => new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve)))
  const [changes, valued] = await Promise.all(watches.map((watch) => take(watch, 600)))

  assert.deepEqual(await Promise.all(exits), [0, 0, 0])
  assert.deepEqual(changes.map(shown), valued.map(shown))
  for (const worker of [1, 2, 3]) {
    const own = valued.filter(({ key }) => key === worker)
    assert.deepEqual(own.map(({ version }) => version), Array.from({ length: 200 }, (_, at) => at + 1))
    assert.deepEqual(own.map(({ value }) => value.n), Array.from({ length: 200 }, (_, n) => n))
  }
  await db.close()
})

test('an open watch does not keep the process alive', async (t) => {
  const { code, signal, output, errors } = await runProgram('watches-and-ends.js', [temporary(t)])
  assert.deepEqual({ code, signal, output, errors }, { code: 0, signal: null, output: 'changed once', errors: '' })
})

test('a watch that is forgotten is collected and ends, one that somebody waits for is not', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const forget = async () => {
    const watch = db.watch()
    await watch.ready
    return new WeakRef(watch)
  }
  const references = []
  for (let turns = 0; turns < 20; turns++) references.push(await forget())
  const next = db.watch().next()
  for (let turns = 0; turns < 50 && references.some((reference) => reference.deref()); turns++) {
    await sleep(5)
    collectGarbage()
  }
  assert.equal(references.filter((reference) => reference.deref()).length, 0)
  await db.put('users', { id: 1 })
  assert.equal(shown((await next).value), 'put users 1 1')
})

test('concurrent calls of next get the changes in their order', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const watch = db.watch()
  const calls = Promise.all([watch.next(), watch.next(), watch.next()])
  for (let id = 0; id < 3; id++) await db.put('users', { id })
  assert.deepEqual((await calls).map(({ value }) => value.key), [0, 1, 2])
})

test('watch and liveQuery refuse what they can not watch', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  for (const options of [
    'users', { stores: 'users' }, { store: '' }, { store: 3 }, { range: KeyRange.only(1) }, { buffer: 0 }, { buffer: 1.5 },
    { buffer: 1_000_001 }, { buffer: '5' }, { overflow: 'none' }, { overflow: 1 }, { overflow: 'toString' }, { values: 1 },
    { signal: {} }
  ]) assert.throws(() => db.watch(options), { code: 'FLOWDB_INVALID_ARGUMENT' }, JSON.stringify(options))
  assert.throws(() => db.watch({ store: 'users', range: NaN }), { code: 'FLOWDB_INVALID_KEY' })
  for (const [query, options] of [
    [undefined], ['users'], [{}], [{ store: 'users', limit: -1 }], [{ store: 'users', range: 1, where: { id: 1 } }],
    [{ store: 'users', every: 1 }], [{ store: 'users' }, { signal: 1 }], [[]]
  ]) assert.throws(() => db.liveQuery(query, options), { code: 'FLOWDB_INVALID_ARGUMENT' }, JSON.stringify(query))
  const other = await openInMemory(t, { users: 'id' })
  await db.view('users', async (tx) => {
    for (const query of [tx.query('users'), tx.query('users').limit(3), other.query('users')]) {
      assert.throws(() => db.liveQuery(query), { code: 'FLOWDB_INVALID_ARGUMENT' })
    }
  })

  const nowhere = db.watch({ store: 'nowhere' })
  await assert.rejects(nowhere.ready, { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(nowhere.next(), { code: 'FLOWDB_NOT_FOUND' })
  assert.deepEqual(await nowhere.next(), { value: undefined, done: true })
  await assert.rejects(db.liveQuery({ store: 'nowhere' }).next(), { code: 'FLOWDB_NOT_FOUND' })
  const unopened = FlowDB.open({ dataDir: temporary(t), createIfMissing: false })
  await assert.rejects(unopened.watch().next(), { code: 'FLOWDB_NOT_FOUND' })
  await unopened.close()
})

test('a live query gives its results, and again when they have changed', async (t) => {
  const db = await openInMemory(t, { users: 'id', others: 'id' })
  await db.put('users', { id: 1 })
  const live = db.liveQuery({ store: 'users', range: KeyRange.upperBound(10), reverse: true, limit: 2 })
  assert.deepEqual((await live.next()).value, [{ id: 1 }])

  const next = live.next()
  await db.put('users', { id: 1 })
  await db.put('users', { id: 11 })
  await db.put('others', { id: 1 })
  await db.put('users', { id: 2 })
  assert.deepEqual((await next).value, [{ id: 2 }, { id: 1 }])
  // What was given may be changed by whoever got it.
  const results = live.next()
  await db.put('users', { id: 3 })
  const { value } = await results
  value.length = 0
  await db.clear('users')
  assert.deepEqual((await live.next()).value, [])
  await live.return()
  assert.deepEqual(await live.next(), { value: undefined, done: true })
})

test('changes that come while nobody asks are one new result', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const live = db.liveQuery({ store: 'users' })
  assert.deepEqual((await live.next()).value, [])
  for (let id = 0; id < 100; id++) await db.put('users', { id })

  assert.equal((await live.next()).value.length, 100)
  const next = live.next()
  await db.delete('users', 5)
  assert.equal((await next).value.length, 99)
})

test('a live query runs any query, and again for the store that this names', async (t) => {
  const db = await openInMemory(t, { users: 'id', others: 'id' })
  let runs = 0
  const query = (store) => ({ store, toArray: async () => [(runs++, await db.count('users'))] })
  const live = db.liveQuery(query('users'))
  assert.deepEqual((await live.next()).value, [0])
  const next = live.next()
  await db.put('others', { id: 1 })
  await db.put('users', { id: 1 })
  assert.deepEqual((await next).value, [1])
  assert.equal(runs, 2)

  const everything = db.liveQuery(query(undefined))
  assert.deepEqual((await everything.next()).value, [1])
  await db.put('others', { id: 2 })
  await db.put('users', { id: 2 })
  assert.deepEqual((await everything.next()).value, [2])

  const error = new Error('mine')
  const failing = db.liveQuery({ store: 'users', toArray: () => { throw error } })
  assert.equal(await errorOf(failing.next()), error)
  assert.deepEqual(await failing.next(), { value: undefined, done: true })
})

test('an object that describes a query is made one', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const calls = []
  const query = new Proxy({}, {
    get: (_, name) => name === 'toArray' ? async () => calls : (...args) => { calls.push([name, ...args]); return query }
  })
  db.query = (store) => { calls.push(['query', store]); return query }
  const live = db.liveQuery({ store: 'users', where: { n: 1 }, orderBy: 'n', select: ['n'], limit: 3, offset: 1 })

  assert.deepEqual((await live.next()).value, [
    ['query', 'users'], ['where', { n: 1 }], ['orderBy', 'n'], ['select', ['n']], ['limit', 3], ['offset', 1]
  ])
  await live.return()
})

test('a signal and the end of the database end a live query', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('users', 'id')
  const controller = new AbortController()
  const live = db.liveQuery({ store: 'users' }, { signal: controller.signal })
  await live.next()
  const next = live.next()
  await turn()
  controller.abort()
  await assert.rejects(next, { code: 'FLOWDB_ABORTED' })

  const other = db.liveQuery({ store: 'users' })
  await other.next()
  const last = other.next()
  await turn()
  await db.close()
  assert.deepEqual(await last, { value: undefined, done: true })
})

test('a live query ends while its query is run, however long that takes', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const controller = new AbortController()
  const never = { toArray: () => new Promise(() => {}) }
  const aborted = db.liveQuery(never, { signal: controller.signal })
  const [left, closed] = [db.liveQuery(never), db.liveQuery(never)]
  const failing = db.liveQuery({ toArray: () => new Promise((_resolve, reject) => setImmediate(reject, new Error('late'))) })
  const nexts = [aborted.next(), left.next(), closed.next(), failing.next()]
  await Promise.all([aborted.ready, left.ready, closed.ready, failing.ready])

  controller.abort('enough')
  await left.return()
  await failing.return()
  const asked = db.liveQuery({ store: 'users' }).next()
  const closing = db.close()

  await assert.rejects(nexts[0], { code: 'FLOWDB_ABORTED', cause: 'enough' })
  for (const next of [...nexts.slice(1), asked]) assert.deepEqual(await next, { value: undefined, done: true })
  await closing
  assert.deepEqual(await aborted.next(), { value: undefined, done: true })
})

test('comparing large results of a live query lets the event loop turn', async (t) => {
  const db = await openInMemory(t)
  const rows = Array.from({ length: 50_000 }, (_, id) => ({ id, text: 'x'.repeat(1000) }))
  let turns = 0
  const toArray = async () => {
    setImmediate(() => turns++)
    return rows
  }

  const live = db.liveQuery({ toArray })
  assert.equal((await live.next()).value, rows)

  assert.equal(turns, 1)
  await live.return()
})
