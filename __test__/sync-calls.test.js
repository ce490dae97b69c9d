'use strict'

/* FlashStore's calls that are done when they return. */

const assert = require('node:assert/strict')
const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { createContext, runInContext } = require('node:vm')
const { Worker } = require('node:worker_threads')
const { FlashStore, FlowDB } = require('..')
const { Connection } = require('../lib/connection')
const { Calls } = require('../lib/flash/namespace')
const { PLACE } = require('../lib/flash/place')
const { readOptions } = require('../lib/options')
const { VERB } = require('../lib/packing')
const { TransactionSession } = require('../lib/transaction')
const { flashInMemory, gathered, runProgram, temporary } = require('./support')

test('the calls do what their names say, and give it at once', (t) => {
  const store = flashInMemory(t)
  assert.equal(store.getSync('a'), undefined)
  assert.equal(store.hasSync('a'), false)
  assert.equal(store.setSync('a', { deep: [1, new Date(5)] }), store)
  assert.deepEqual(store.getSync('a'), { deep: [1, new Date(5)] })
  assert.equal(store.setSync('b', undefined).hasSync('b'), true)
  assert.equal(store.deleteSync('a'), true)
  assert.equal(store.deleteSync('a'), false)
  assert.equal(store.hasSync('a'), false)
})

test('a call sees every write before it, and later ones see its own', async (t) => {
  const store = flashInMemory(t)
  const rounds = Array.from({ length: 200 }, (_, round) => round)
  const [sets, gets, deletes] = [[], [], []]
  for (const round of rounds) {
    store.set('key', round).then(() => sets.push(round))
    assert.equal(store.getSync('key'), round)
    store.get('key').then((value) => gets.push(value))
    store.setSync('key', `sync ${round}`)
    if (round % 2 === 0) store.delete('key').then((wasThere) => deletes.push(wasThere))
    assert.equal(store.hasSync('key'), round % 2 === 1)
  }
  assert.equal(sets.length, 0, 'a promise can only be settled later')
  assert.equal(await store.get('key'), 'sync 199')
  await store.set('key', 'after all')

  assert.deepEqual([sets, gets], [rounds, rounds])
  assert.deepEqual(deletes, Array(100).fill(true))
})

test('many writes that nobody waited for are done before a call that reads', async (t) => {
  const store = new FlashStore(temporary(t))
  for (let key = 0; key < 20_000; key++) store.set(key, `value ${key}`)
  assert.equal(store.getSync(19_999), 'value 19999')
  store.setSync('last', true)
  assert.equal(await store.size, 20_001)
  await store.close()
})

test('the first call opens the store, and reads what is only on disk', async (t) => {
  const folder = temporary(t)
  const store = new FlashStore(folder)
  const large = 'x'.repeat(200_000)
  store.setSync('large', large)
  await store.close()

  const again = new FlashStore(folder)
  assert.equal(again.getSync('large'), large)
  assert.equal(again.hasSync('nothing'), false)
  await again.close()
})

test('what setSync has set is there after the process was killed behind the call', async (t) => {
  for (const durability of ['strict', 'relaxed']) {
    const folder = temporary(t)
    const { signal, errors } = await runProgram('sets-and-is-killed.js', [folder, durability])
    assert.equal(signal, 'SIGKILL', errors)
    const store = new FlashStore({ dataDir: folder, durability })
    assert.deepEqual(await gathered(store), [['kept', [1, 2, 3]], ['seen', 'by the way']])
    await store.close()
  }
})

test('a call throws typed errors from where it was called, and they change nothing', async (t) => {
  const store = flashInMemory(t)
  store.setSync('key', 'before')
  assert.throws(() => store.setSync('key', () => {}), { code: 'FLOWDB_NOT_CLONEABLE' })
  assert.throws(() => store.setSync('key', 1, { ifAbsent: true }), { code: 'FLOWDB_CONSTRAINT' })
  assert.throws(() => store.setSync('key', 1, { ifVersion: 7 }), { code: 'FLOWDB_CONSTRAINT' })
  assert.throws(() => store.setSync('key', 1, { ttl: -1 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  for (const key of [undefined, NaN, {}, Symbol('s')]) {
    assert.throws(() => store.setSync(key, 1), { code: 'FLOWDB_INVALID_KEY' })
    assert.throws(() => store.getSync(key), { code: 'FLOWDB_INVALID_KEY' })
    assert.throws(() => store.hasSync(key), { code: 'FLOWDB_INVALID_KEY' })
    assert.throws(() => store.deleteSync(key), { code: 'FLOWDB_INVALID_KEY' })
  }
  assert.equal(store.getSync('key'), 'before')

  const file = join(temporary(t), 'file')
  writeFileSync(file, '')
  const broken = new FlashStore(file)
  const thrown = thrownBy(() => broken.getSync('key'))
  assert.equal(thrown.code, 'FLOWDB_IO')
  assert.match(thrown.stack, /sync-calls\.test\.js/)
  assert.throws(() => broken.setSync('key', 1), { code: 'FLOWDB_IO' })
  await broken.close()

  await store.close()
  for (const call of ['getSync', 'hasSync', 'setSync', 'deleteSync']) {
    assert.throws(() => store[call]('key', 1), { code: 'FLOWDB_CLOSED' })
  }
})

test('a call during a close that waits is refused, and the writes before are done', async (t) => {
  const folder = temporary(t)
  const store = new FlashStore(folder)
  for (let key = 0; key < 1000; key++) store.set(key, key)
  const closing = store.close()
  assert.throws(() => store.getSync(1), { code: 'FLOWDB_CLOSED' })
  await closing
  assert.equal(await countIn(folder), 1000)
})

test('a call waits for no transaction that is open on the database', async (t) => {
  const folder = temporary(t)
  const [db, store] = [FlowDB.open({ dataDir: folder }), new FlashStore(folder)]
  store.setSync('key', 1)
  const tx = db.transaction('flash', 'readwrite')
  assert.equal(await tx.get('flash', 'key'), 1)
  tx.put('flash', 3, 'other')

  store.setSync('key', 2)

  assert.equal(store.getSync('key'), 2)
  assert.equal(store.getSync('other'), undefined)
  await assert.rejects(tx.commit(), { code: 'FLOWDB_CONFLICT' })
  await Promise.all([db.close(), store.close()])
})

test('a call within the function of modify is done, and modify takes what it wrote', async (t) => {
  const folder = temporary(t)
  const [db, store] = [FlowDB.open({ dataDir: folder }), new FlashStore(folder)]
  store.setSync('count', 1)
  let attempts = 0
  const changed = await db.modify('flash', 'count', (count) => {
    if (++attempts === 1) store.setSync('count', 10)
    return count + 1
  })
  assert.deepEqual({ changed, attempts, now: store.getSync('count') }, { changed: 11, attempts: 2, now: 11 })
  await Promise.all([db.close(), store.close()])
})

test('while an upgrade of the connection is under way, a call is refused and not waited for', async (t) => {
  const options = readOptions('test', { inMemory: true })
  let refused
  const connection = new Connection(options, undefined, async () => {
    refused = thrownBy(() => connection.issueSync(VERB.SCHEMA, {}, () => {}))
    return 1
  })
  const early = thrownBy(() => connection.issueSync(VERB.SCHEMA, {}, () => {}))
  await connection.ready
  assert.deepEqual([early.code, refused.code], ['FLOWDB_BUSY', 'FLOWDB_BUSY'])
  assert.deepEqual(connection.issueSync(VERB.SCHEMA, {}, () => {}), [])
  await connection.close()
})

test('a call is done although the threads are busy with reads and long work', async (t) => {
  const folder = temporary(t)
  const store = new FlashStore(folder)
  for (let key = 0; key < 5000; key++) store.set(key, 'x'.repeat(500))
  const db = FlowDB.open({ dataDir: folder })
  const busy = [db.verify(), db.compact(), ...Array.from({ length: 50 }, () => gathered(store.values()))]
  for (let round = 0; round < 50; round++) {
    store.setSync('key', round)
    assert.equal(store.getSync('key'), round)
  }
  await Promise.all(busy)
  await Promise.all([store.close(), db.close()])
})

test('a worker thread that does nothing but such calls can be terminated', async (t) => {
  const folder = temporary(t)
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { FlashStore } = require(workerData.index)
    const store = new FlashStore(workerData.folder)
    for (let count = 1; ; count++) {
      store.set('fired', count)
      store.setSync('count', count)
      if (count === 20) parentPort.postMessage('running')
    }`
  const workerData = { index: join(__dirname, '..'), folder }
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(program, { eval: true, workerData })
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    await worker.terminate()
  }
  const store = new FlashStore(folder)
  assert.ok(store.getSync('count') >= 20)
  await store.close()
})

test('a call that is broken off by a time limit leaves the store sound', async (t) => {
  const store = new FlashStore(temporary(t))
  const context = createContext({ store, count: 0 })
  for (let round = 0; round < 10; round++) {
    for (let key = 0; key < 2000; key++) store.set(key, 'x'.repeat(500))
    const endless = 'for (;;) store.setSync("count", ++count)'
    assert.throws(() => runInContext(endless, context, { timeout: 10 }), { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' })
  }
  const [stored, { count }] = [store.getSync('count'), context]
  assert.ok(stored === count || stored === count - 1, `${stored} is stored of ${count}`)
  await store.close()
})

test('namespaces have the calls, with their own encodings', async (t) => {
  const store = flashInMemory(t)
  const texts = store.namespace('texts', { valueEncoding: 'utf8' })
  assert.equal(texts.getSync('a'), undefined)
  assert.equal(texts.deleteSync('a'), false)
  assert.equal(texts.setSync('a', 'text').getSync('a'), 'text')
  assert.throws(() => texts.setSync('a', 1), { code: 'FLOWDB_INVALID_VALUE' })
  assert.equal(store.hasSync('a'), false)
  store.namespace('other').set('b', 1)
  assert.equal(store.namespace('other').getSync('b'), 1)
  assert.deepEqual(await store.namespaces(), ['other', 'texts'])
})

test('in a transaction the calls belong to it', async (t) => {
  const store = flashInMemory(t)
  store.setSync('key', 'before')
  const place = store[PLACE]
  const begin = (isReadOnly) => {
    const session = new TransactionSession(place.session, ['flash'], isReadOnly, false)
    return { session, calls: new Calls(place.within(session)) }
  }
  const [writing, reading] = [begin(false), begin(true)]
  assert.equal(writing.calls.setSync('key', 'within').getSync('key'), 'within')
  assert.equal(writing.calls.deleteSync('nothing'), false)
  assert.equal(store.getSync('key'), 'before')
  assert.equal(reading.calls.getSync('key'), 'before')
  assert.throws(() => reading.calls.setSync('key', 1), { code: 'FLOWDB_READ_ONLY' })
  await writing.session.commit()

  assert.equal(store.getSync('key'), 'within')
  assert.equal(reading.calls.getSync('key'), 'before')
  assert.throws(() => writing.calls.getSync('key'), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
  await reading.session.abort()
})

test('two threads that wait in calls on one directory don\'t wait for each other', async (t) => {
  const folder = temporary(t)
  const program = `
    const { workerData } = require('node:worker_threads')
    const { FlashStore } = require(workerData.index)
    const store = new FlashStore(workerData.folder)
    for (let count = 1; count <= 300; count++) store.setSync('worker', count)
    store.close()`
  const store = new FlashStore(folder)
  const worker = new Worker(program, { eval: true, workerData: { index: join(__dirname, '..'), folder } })
  const ended = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
  for (let count = 1; count <= 300; count++) store.setSync('main', count)
  assert.equal(await ended, 0)
  assert.deepEqual([store.getSync('main'), store.getSync('worker')], [300, 300])
  await store.close()
})

test('a read-only store reads in the call and refuses to write', async (t) => {
  const folder = temporary(t)
  const store = new FlashStore(folder)
  store.setSync('key', 1)
  await store.close()

  const reader = new FlashStore({ dataDir: folder, readOnly: true })
  assert.equal(reader.getSync('key'), 1)
  assert.throws(() => reader.setSync('key', 2), { code: 'FLOWDB_READ_ONLY' })
  assert.throws(() => reader.deleteSync('key'), { code: 'FLOWDB_READ_ONLY' })
  await reader.close()
})

/** What a function throws. */
function thrownBy (call) {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('it should have thrown')
}

/** How many entries the store in a folder has. */
async function countIn (folder) {
  const store = new FlashStore(folder)
  const size = await store.size
  await store.close()
  return size
}
