'use strict'

/* What FlowLevel has beyond what abstract-level's own suite asks (level-suite.test.js). */

const assert = require('node:assert/strict')
const { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { ClassicLevel } = require('classic-level')
const { FlowLevel } = require('flowdb/level')
const { FlowDB } = require('..')
const { FlowDBError } = require('../lib/errors.js')
const { Keyspace } = require('../lib/keyspace.js')
const { closedAfter, errorOf, randomSource, seedOf, temporary } = require('./support.js')

/** A database that is closed after the test. */
const open = (t, location, options) => closedAfter(t, new FlowLevel(location, options))

const inMemory = (t, options) => open(t, '', { inMemory: true, ...options })

/** So many keys of six digits. */
async function fill (db, count, value = 'v') {
  const key = (number) => String(number).padStart(6, '0')
  await db.batch(Array.from({ length: count }, (_, number) => ({ type: 'put', key: key(number), value })))
}

/** The code of an error, that of its cause, and so on. */
const codesOf = (error) => error === undefined ? [] : [error.code, ...codesOf(error.cause)]

const syncsOf = (db) => JSON.parse(db.getProperty('flowdb.stats')).syncs

test('what is put is there after a close, in all encodings', async (t) => {
  const location = temporary(t)
  const db = open(t, location)
  const bytes = Uint8Array.of(0, 255, 128)
  await db.put(bytes, { a: 'ä' }, { keyEncoding: 'view', valueEncoding: 'json' })
  await db.put('text', Buffer.from(bytes), { valueEncoding: 'buffer' })
  await db.close()
  await db.open()

  assert.deepEqual(await db.get(Buffer.from(bytes), { keyEncoding: 'buffer', valueEncoding: 'json' }), { a: 'ä' })
  assert.deepEqual(db.getSync('text', { valueEncoding: 'view' }), Buffer.from(bytes))
  assert.deepEqual(await db.keys({ keyEncoding: 'buffer' }).all(), [Buffer.from(bytes), Buffer.from('text')])
  assert.deepEqual(await db.values({ valueEncoding: 'utf8' }).all(), ['{"a":"ä"}', Buffer.from(bytes).toString()])
})

test('a location that is none is refused at once', () => {
  for (const location of [undefined, '', 7, null]) assert.throws(() => new FlowLevel(location), TypeError)
  assert.throws(() => new FlowLevel('somewhere', { inMemory: 'yes' }), TypeError)
})

test('a write with sync is on the disk when it resolves, and one without it as the durability says', async (t) => {
  const db = open(t, temporary(t), { syncIntervalMs: 60_000 })
  await db.put('a', '1')
  const writes = [
    [0, () => db.put('a', '2')],
    [1, () => db.put('a', '3', { sync: true })],
    [1, () => db.del('a', { sync: true })],
    [1, () => db.batch([{ type: 'put', key: 'b', value: '1' }], { sync: true })],
    [1, () => db.batch().put('c', '1').write({ sync: true })],
    [1, () => db.clear({ gte: 'c', sync: true })],
    [0, () => db.batch([{ type: 'put', key: 'b', value: '2' }], { sync: false })]
  ]
  for (const [syncs, write] of writes) {
    const before = syncsOf(db)
    await write()
    assert.equal(syncsOf(db) - before, syncs, String(write))
  }
  const strict = open(t, temporary(t), { durability: 'strict' })
  await strict.put('a', '1')
  const before = syncsOf(strict)
  await strict.put('a', '2')
  assert.equal(syncsOf(strict) - before, 1)
  const { cause } = await errorOf(open(t, temporary(t)).open({ durability: 'much' }))
  assert.deepEqual([cause.code, cause.cause.code], ['LEVEL_NOT_SUPPORTED', 'FLOWDB_INVALID_ARGUMENT'])
})

test('createIfMissing and errorIfExists say what an opening expects', async (t) => {
  const location = join(temporary(t), 'db')
  const db = open(t, location, { createIfMissing: false })
  const missing = await errorOf(db.open())
  assert.deepEqual(codesOf(missing), ['LEVEL_DATABASE_NOT_OPEN', 'LEVEL_IO_ERROR', 'FLOWDB_NOT_FOUND'])
  assert.match(missing.cause.message, /does not exist/)
  assert.equal(existsSync(location), false)

  await db.open({ createIfMissing: true, errorIfExists: true })
  await db.close()
  const exists = await errorOf(db.open({ errorIfExists: true }))
  assert.deepEqual(codesOf(exists), ['LEVEL_DATABASE_NOT_OPEN', 'LEVEL_NOT_SUPPORTED', 'FLOWDB_EXISTS'])
  assert.match(exists.cause.message, /exists/)
  await db.open({ createIfMissing: false })
})

test('the options of classic-level mean what they mean there, or are refused', async (t) => {
  const taken = {
    compression: false, cacheSize: 1 << 20, writeBufferSize: 1, blockSize: 4096, maxOpenFiles: 1, maxFileSize: 1 << 40,
    multithreading: true
  }
  const db = open(t, temporary(t), { ...taken, optionOfSomebodyElse: {} })
  await db.open()
  await fill(db, 1000)
  const refused = [
    ['FLOWDB_UNSUPPORTED', { blockRestartInterval: 16 }],
    ['FLOWDB_INVALID_ARGUMENT', { cacheSize: '8mb' }],
    ['FLOWDB_INVALID_ARGUMENT', { writeBufferSize: -1 }],
    ['FLOWDB_INVALID_ARGUMENT', { compression: 'zip' }],
    ['FLOWDB_INVALID_ARGUMENT', { multithreading: 1 }],
    ['FLOWDB_INVALID_ARGUMENT', { blockCacheCapacityMb: -1 }],
    ['FLOWDB_INVALID_ARGUMENT', { cacheSize: 1 << 20, blockCacheCapacityMb: 1 }]
  ]
  for (const [code, options] of refused) {
    const error = await errorOf(open(t, temporary(t), options).open())
    assert.deepEqual(codesOf(error), ['LEVEL_DATABASE_NOT_OPEN', 'LEVEL_NOT_SUPPORTED', code], JSON.stringify(options))
  }
})

test('two databases on one directory are one, also where one of them is closed', async (t) => {
  const location = temporary(t)
  const [one, other] = [open(t, location), open(t, location)]
  await one.put('a', '1')
  assert.equal(await other.get('a'), '1')
  await Promise.all([one.sublevel('s').put('b', '2'), other.put('c', '3')])
  await one.close()

  assert.equal(await other.sublevel('s').get('b'), '2')
  await other.put('d', '4')
  await one.open()
  assert.deepEqual(await one.getMany(['c', 'd']), ['3', '4'])
})

test('worker threads share a database with this one', async (t) => {
  const location = temporary(t)
  const db = open(t, location)
  await db.put('from', 'main')
  const program = `
    const { FlowLevel } = require(${JSON.stringify(require.resolve('../lib/level.js'))})
    const { parentPort, workerData } = require('node:worker_threads')
    const db = new FlowLevel(${JSON.stringify(location)})
    ;(async () => {
      for (let n = 0; n < 200; n++) await db.put(workerData + n, String(n))
      parentPort.postMessage(await db.get('from'))
      await db.close()
    })()`
  const run = (name) => new Promise((resolve, reject) => {
    new Worker(program, { eval: true, workerData: name }).once('message', resolve).once('error', reject)
  })

  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map(run)), ['main', 'main', 'main'])
  assert.equal((await db.keys().all()).length, 601)
})

test('documents in the same directory are left alone', async (t) => {
  const location = temporary(t)
  const documents = closedAfter(t, FlowDB.open({ dataDir: location, durability: 'relaxed' }))
  await documents.createObjectStore('s', 'id')
  await documents.put('s', { id: 1 })
  const db = open(t, location)
  await db.put('k', 'v')
  await db.clear()

  assert.deepEqual(await documents.get('s', 1), { id: 1 })
  assert.deepEqual(await db.keys().all(), [])
})

test('a database in memory lives as long as its object, and writes no file', async (t) => {
  const db = open(t, join(temporary(t), 'none'), { inMemory: true })
  await db.put('a', '1')
  await db.close()
  await assert.rejects(db.get('a'), { code: 'LEVEL_DATABASE_NOT_OPEN' })
  await db.open()

  assert.equal(await db.get('a'), '1')
  assert.equal(existsSync(db.location), false)
  assert.equal(await inMemory(t).get('a'), undefined)
  assert.deepEqual([db.supports.permanence, open(t, temporary(t)).supports.permanence], [false, true])
})

test('hasSync says whether there is a key, of a snapshot too', async (t) => {
  const db = inMemory(t)
  assert.throws(() => db.hasSync('a'), { code: 'LEVEL_DATABASE_NOT_OPEN' })
  await db.put('a', '1')
  const snapshot = db.snapshot()
  await db.del('a')

  assert.deepEqual([db.hasSync('a'), db.hasSync('a', { snapshot }), db.hasSync(Buffer.from('a'), { keyEncoding: 'buffer' })],
    [false, true, false])
  assert.throws(() => db.hasSync(null), { code: 'LEVEL_INVALID_KEY' })
  await snapshot.close()
  assert.throws(() => db.hasSync('a', { snapshot }), { code: 'LEVEL_SNAPSHOT_NOT_OPEN' })
})

test('clear is one small write however many keys there are, on a sublevel too', async (t) => {
  const db = inMemory(t)
  const sublevel = db.sublevel('s')
  await Promise.all([fill(db, 2_000), fill(sublevel, 2_000)])
  const seqno = () => JSON.parse(db.getProperty('flowdb.stats')).visibleSeqno
  const before = seqno()

  await sublevel.clear()
  await db.clear({ gte: '000010', lt: '1' })

  assert.equal(seqno() - before, 2)
  assert.equal((await sublevel.keys().all()).length, 0)
  assert.equal((await db.keys().all()).length, 10)
  await db.clear({ reverse: true, limit: 3 })
  assert.equal((await db.keys().all()).at(-1), '000006')
})

test('chained batches keep what they were given', async (t) => {
  const db = inMemory(t)
  await db.open()
  const key = Buffer.from('a')
  const batch = db.batch().put(key, key, { keyEncoding: 'buffer', valueEncoding: 'buffer' }).put('gone', '1').del('gone')
  key.fill('x')
  await batch.write()

  assert.deepEqual(await db.iterator().all(), [['a', 'a']])
})

test('approximateSize and compactRange speak of a range of keys', async (t) => {
  const db = open(t, temporary(t))
  const value = 'x'.repeat(1000)
  const filled = fill(db, 2_000, value)
  // Before it is open they wait for that.
  assert.equal(await open(t, temporary(t)).approximateSize('a', 'z'), 0)
  await filled
  await db.compactRange('', '~')

  const [all, half] = [await db.approximateSize('0', '1'), await db.approximateSize('000000', '001000')]
  assert.ok(all > 0 && half > 0 && half < all, `${half} of ${all}`)
  assert.equal(await db.approximateSize(Buffer.from('a'), Buffer.from('b'), { keyEncoding: 'buffer' }), 0)
  await db.clear()
  await db.compactRange('', '~')
  assert.equal(await db.approximateSize('0', '1'), 0)
  await assert.rejects(db.approximateSize('a'), TypeError)
  await assert.rejects(db.compactRange(), TypeError)
  await db.close()
  await assert.rejects(db.approximateSize('a', 'b'), { code: 'LEVEL_DATABASE_NOT_OPEN' })
  await assert.rejects(db.compactRange('a', 'b'), { code: 'LEVEL_DATABASE_NOT_OPEN' })
})

test('properties are told under the names of LevelDB, and others are empty', async (t) => {
  const db = open(t, temporary(t))
  assert.throws(() => db.getProperty('leveldb.stats'), { code: 'LEVEL_DATABASE_NOT_OPEN' })
  await fill(db, 1_000)
  assert.equal(db.getProperty('leveldb.num-files-at-level0'), '0')
  await db.compactRange('', '~')

  const files = Array.from({ length: 7 }, (_, level) => Number(db.getProperty(`leveldb.num-files-at-level${level}`)))
  assert.equal(files.reduce((sum, count) => sum + count), 1)
  assert.match(db.getProperty('leveldb.stats'), /Level +Tables/)
  assert.match(db.getProperty('leveldb.sstables'), /--- level 0 ---/)
  assert.ok(Number(db.getProperty('leveldb.approximate-memory-usage')) > 0)
  assert.deepEqual([db.getProperty('leveldb.num-files-at-level99'), db.getProperty('foo')], ['', ''])
  assert.throws(() => db.getProperty(1), TypeError)
})

test('destroy removes the files of a database, and nothing else', async (t) => {
  const location = join(temporary(t), 'db')
  const db = open(t, location)
  await db.put('a', '1')
  const inUse = await errorOf(FlowLevel.destroy(location))
  assert.equal(inUse.code, 'LEVEL_LOCKED')
  await db.close()
  writeFileSync(join(location, 'other'), '')

  await FlowLevel.destroy(location)
  assert.deepEqual(readdirSync(location), ['other'])
  rmSync(join(location, 'other'))
  await db.open()
  assert.equal(await db.get('a'), undefined)
  await db.close()
  await FlowLevel.destroy(location)
  assert.equal(existsSync(location), false)
  await assert.rejects(FlowLevel.destroy(''), TypeError)
})

test('repair makes a damaged database one that can be opened', async (t) => {
  const location = temporary(t)
  const db = open(t, location)
  await fill(db, 1_000)
  await db.compactRange('', '~')
  await db.close()
  const manifest = readdirSync(location).filter((name) => name.startsWith('MANIFEST')).at(-1)
  truncateSync(join(location, manifest), 10)
  const damaged = await errorOf(db.open())
  assert.deepEqual([damaged.code, damaged.cause.code], ['LEVEL_DATABASE_NOT_OPEN', 'LEVEL_CORRUPTION'])
  assert.equal(damaged.cause.cause.code, 'FLOWDB_CORRUPTION')

  await FlowLevel.repair(location)
  await db.open()
  assert.equal((await db.keys().all()).length, 1_000)
  await assert.rejects(FlowLevel.repair(undefined), TypeError)
  // As classic-level.
  const nowhere = await errorOf(FlowLevel.repair(join(location, 'none')))
  assert.deepEqual(codesOf(nowhere), ['LEVEL_IO_ERROR', 'FLOWDB_NOT_FOUND'])
})

test('an iterator ends a read that its signal aborts', async (t) => {
  const db = inMemory(t)
  await fill(db, 20_000)
  const controller = new AbortController()
  const iterator = db.iterator({ signal: controller.signal })
  await iterator.nextv(1)
  const reading = iterator.nextv(19_000)
  controller.abort(new Error('enough'))

  const error = await errorOf(reading)
  assert.deepEqual([error.code, error.name, error.cause.message], ['LEVEL_ABORTED', 'AbortError', 'enough'])
  await assert.rejects(iterator.next(), { code: 'LEVEL_ABORTED' })
  await iterator.close()
})

test('a snapshot outlives what is written, and is let go of with the database', async (t) => {
  const db = open(t, temporary(t))
  await fill(db, 10)
  const snapshot = db.snapshot()
  const iterator = db.iterator({ snapshot })
  await db.clear()

  assert.equal((await iterator.all()).length, 10)
  assert.equal((await db.keys({ snapshot }).all()).length, 10)
  await db.clear({ snapshot })
  const kept = () => JSON.parse(db.getProperty('flowdb.stats')).snapshots
  assert.equal(kept(), 1)
  await snapshot[Symbol.asyncDispose]()
  assert.equal(kept(), 0)
  db.snapshot()
  db.iterator()
  await db.close()
  await db.open()
  assert.equal(kept(), 0)
})

test('a snapshot of another database, or of another implementation, is refused by every read', async (t) => {
  const [db, other] = [inMemory(t), inMemory(t)]
  await Promise.all([db.put('a', '1'), other.open()])
  const counts = { ref () {}, unref () {} }
  for (const snapshot of [other.snapshot(), counts, Object.assign(Object.create(db.snapshot()), counts)]) {
    for (const read of [
      () => db.get('a', { snapshot }), () => db.getMany(['a'], { snapshot }), () => db.has('a', { snapshot }),
      () => db.hasMany(['a'], { snapshot }), () => db.getSync('a', { snapshot }), () => db.hasSync('a', { snapshot }),
      () => db.iterator({ snapshot }).all(), () => db.keys({ snapshot }).next(), () => db.values({ snapshot }).nextv(1),
      () => db.clear({ snapshot })
    ]) {
      const error = await errorOf((async () => read())())
      assert.deepEqual(codesOf(error), ['LEVEL_NOT_SUPPORTED', 'FLOWDB_INVALID_ARGUMENT'], String(read))
      assert.match(error.message, /snapshot is one of another/)
    }
  }
  assert.equal(await db.get('a', { snapshot: null }), '1')
})

test('texts with half a surrogate pair are refused and overwrite nothing, and other encodings take them', async (t) => {
  const db = inMemory(t)
  await db.put('\ufffd', 'of another key')
  for (const key of ['\ud800', '\udfff', 'a\udc00b']) {
    for (const call of [
      () => db.put(key, 'v'), () => db.batch([{ type: 'put', key, value: 'v' }]), async () => db.batch().put(key, 'v'),
      () => db.del(key), async () => db.batch().del(key), () => db.sublevel('s').put(key, 'v'),
      () => db.get(key), async () => db.getSync(key), () => db.getMany(['b', key]), () => db.has(key), () => db.hasMany([key]),
      async () => db.hasSync(key)
    ]) assert.deepEqual(codesOf(await errorOf(call())), ['LEVEL_INVALID_KEY', 'FLOWDB_INVALID_KEY'], String(call))
    for (const call of [
      () => db.put('k', key), () => db.batch([{ type: 'put', key: 'k', value: key }]), async () => db.batch().put('k', key)
    ]) assert.deepEqual(codesOf(await errorOf(call())), ['LEVEL_INVALID_VALUE', 'FLOWDB_INVALID_VALUE'], String(call))
  }
  assert.deepEqual(await db.iterator().all(), [['\ufffd', 'of another key']])
  await db.put('\ud800', '\udfff', { keyEncoding: 'json', valueEncoding: 'json' })
  assert.equal(await db.get('\ud800', { keyEncoding: 'json', valueEncoding: 'json' }), '\udfff')
})

test('an iterator that is refused, also while the database opens, leaves one that opens and closes', async (t) => {
  const db = inMemory(t)
  const foreign = { snapshot: { ref () {}, unref () {} } }
  const iterators = (refused) => {
    return refused.flatMap((options) => [db.iterator(options), db.keys(options), db.values(options)])
  }
  const deferred = iterators([foreign])
  await db.open()
  const noSignals = [{ signal: { aborted: false } }, { signal: { addEventListener () {} } }, { signal: 7 }]
  for (const iterator of [...deferred, ...iterators([foreign, ...noSignals])]) {
    await assert.rejects(iterator.next(), { code: 'LEVEL_NOT_SUPPORTED' })
    await assert.rejects(iterator.all(), { code: 'LEVEL_NOT_SUPPORTED' })
  }
  await db.close()
  assert.equal(db.status, 'closed')
})

test('ranges with every pair of bounds, limits and seeks give what classic-level gives', async (t) => {
  const { pick, below } = randomSource(seedOf(t))
  const [ours, theirs] = [inMemory(t), closedAfter(t, new ClassicLevel(temporary(t)))]
  await Promise.all([ours, theirs].map((db) => fill(db, 50)))
  const key = () => pick(['', '0', '000000', '000009', '00001', '000025', '000049', '9', '~'])
  for (let round = 0; round < 2_000; round++) {
    const options = { reverse: below(2) === 0, limit: pick([-1, 0, 1, 5, Infinity]) }
    for (const bound of ['gt', 'gte', 'lt', 'lte']) if (below(3) === 0) options[bound] = key()
    const target = below(2) === 0 ? key() : undefined
    const [rows, expected] = await Promise.all([ours, theirs].map((db) => {
      const iterator = db.iterator(options)
      if (target !== undefined) iterator.seek(target)
      return iterator.all()
    }))
    assert.deepEqual(rows, expected, JSON.stringify({ options, target }))
  }
})

test('close waits for what was asked for before', async (t) => {
  const db = open(t, temporary(t))
  await db.open()
  const puts = Array.from({ length: 500 }, (_, number) => db.put(String(number), 'v'))
  const reads = [db.get('0'), db.keys().all()]
  await db.close()
  await Promise.all([...puts, reads[0]])
  // As in classic-level, it closes iterators, whatever they are about.
  await Promise.allSettled(reads)
  await db.open()
  assert.equal((await db.keys().all()).length, 500)
})

test('a close that fails says why, and leaves a database that is closed and can be opened again', async (t) => {
  const db = open(t, temporary(t))
  await db.put('a', '1')
  const { close } = Keyspace.prototype
  const failing = t.mock.method(Keyspace.prototype, 'close', async function () {
    await close.call(this)
    throw new FlowDBError('FLOWDB_IO', 'of the test')
  }, { times: 1 })

  const error = await errorOf(db.close())

  assert.deepEqual([error.code, error.cause.code, error.cause.cause.code], ['LEVEL_DATABASE_NOT_CLOSED', 'LEVEL_IO_ERROR', 'FLOWDB_IO'])
  await assert.rejects(db.get('a'), { code: 'LEVEL_DATABASE_NOT_OPEN' })
  await db.close()
  assert.equal(db.status, 'closed')
  assert.equal(failing.mock.callCount(), 1, 'there was nothing left to close')
  await db.open()
  assert.equal(await db.get('a'), '1')
})

test('a put behind a clear with a limit stays, and so does one that its snapshot does not see', async (t) => {
  const db = inMemory(t)
  await fill(db, 3)
  await Promise.all([db.clear({ limit: 2 }), db.put('000000', 'again')])
  assert.deepEqual(await db.keys().all(), ['000000', '000002'])
  const snapshot = db.snapshot()
  await Promise.all([db.put('new', 'v'), db.clear({ snapshot })])
  assert.deepEqual(await db.keys().all(), ['new'])
  await snapshot.close()
})

test('a key that is too long is refused with the code that abstract-level has for it', async (t) => {
  const db = inMemory(t)
  const error = await errorOf(db.put('k'.repeat(70_000), 'v'))
  assert.deepEqual([error.code, error.cause.code], ['LEVEL_INVALID_KEY', 'FLOWDB_INVALID_KEY'])
})

test('a database that may only be read is read, and a write says that it may not', async (t) => {
  const location = temporary(t)
  const db = open(t, location)
  await db.put('a', '1')
  await db.close()
  await db.open({ readOnly: true })

  assert.equal(await db.get('a'), '1')
  await assert.rejects(db.put('a', '2'), { code: 'LEVEL_READONLY' })
})

test('nothing but an import of flowdb/level loads abstract-level', async () => {
  const { runProgram } = require('./support.js')
  const { code, output } = await runProgram('loads-no-peer.js')
  assert.deepEqual([code, output], [0, ''])
})
