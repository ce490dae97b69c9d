'use strict'

/* Where FlowLevel could differ from classic-level at the edges of the interface: there it does what that does. */

const assert = require('node:assert/strict')
const { readdirSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { runInNewContext } = require('node:vm')
const { ClassicLevel } = require('classic-level')
const { FlowLevel } = require('flowdb/level')
const { FlowDBError } = require('../lib/errors.js')
const { closedAfter, errorOf, temporary } = require('./support.js')

const KEY_BYTES_MAX = 65_528

/** An encoding that lets everything through. */
const bare = { name: 'bare', format: 'view', encode: (value) => value, decode: (value) => value }

const inMemory = (t, options) => closedAfter(t, new FlowLevel('', { inMemory: true, ...options }))
const classic = (t, options) => closedAfter(t, new ClassicLevel(temporary(t), options))

/** The same of both. */
const both = (t, options) => ({ ours: inMemory(t, options), theirs: classic(t, options) })

const rowsOf = (count, value = 'v') => {
  return Array.from({ length: count }, (_, number) => ({ type: 'put', key: String(number).padStart(6, '0'), value }))
}

test('every view is taken by its bytes, as a key, as a value and as a bound', async (t) => {
  const memory = Uint8Array.of(9, 0, 1, 1, 2, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8).buffer
  const views = [
    new Uint16Array(memory, 2, 2), new Int8Array(memory, 1, 3), new Float64Array(memory, 8, 1),
    new DataView(memory, 1, 3), new DataView(memory, 3, 0), new Uint8ClampedArray(memory, 1, 1),
    new BigInt64Array(memory, 0, 2), runInNewContext('new Uint16Array([256, 513])')
  ]
  const db = inMemory(t, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  const encodings = { keyEncoding: 'view', valueEncoding: 'view' }
  for (const view of views) {
    const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength)
    for (const write of [
      () => db.put(view, view, encodings), () => db.batch([{ type: 'put', key: view, value: view }], encodings),
      () => db.batch().put(view, view, encodings).write()
    ]) {
      await db.clear()
      await write()
      assert.deepEqual(await db.iterator().all(), [[bytes, bytes]], String(write))
    }
    const range = { gte: view, lte: view, keyEncoding: 'view' }
    assert.deepEqual([
      await db.get(view, encodings), ...await db.getMany([view], encodings), db.getSync(view, encodings),
      ...await db.keys(range).all(), ...await db.values({ ...range, valueEncoding: 'view', limit: 1 }).all()
    ], [bytes, bytes, bytes, bytes, bytes])
    assert.deepEqual([await db.has(view, encodings), ...await db.hasMany([view], encodings)], [true, true])
    await db.del(view, encodings)
    assert.equal(db.hasSync(view, encodings), false)
  }
})

test('what a view says of itself counts for nothing', async (t) => {
  const db = inMemory(t)
  await db.open()
  const view = Object.defineProperties(Uint16Array.of(256, 513), {
    buffer: { get: () => { throw new Error('of the test') } }, byteOffset: { value: 7 }, byteLength: { value: 1 }
  })
  for (const key of [view, Object.setPrototypeOf(Uint16Array.of(256, 513), class extends Array {}.prototype)]) {
    await db.put(key, 'v', { keyEncoding: bare })
    assert.deepEqual(await db.keys({ keyEncoding: 'buffer' }).all(), [Buffer.from([0, 1, 1, 2])])
    await db.clear()
  }
})

test('a chained batch keeps what a view held when it was given', async (t) => {
  const db = inMemory(t)
  await db.open()
  const view = Uint16Array.of(256, 513)
  const batch = db.batch().put(view, view, { keyEncoding: 'view', valueEncoding: 'view' })
  view.fill(0)
  await batch.write()

  const bytes = Buffer.from([0, 1, 1, 2])
  assert.deepEqual(await db.iterator({ keyEncoding: 'buffer', valueEncoding: 'buffer' }).all(), [[bytes, bytes]])
})

test('a view whose buffer is gone, and what is no view, is refused', async (t) => {
  const db = inMemory(t)
  await db.open()
  const gone = new DataView(new ArrayBuffer(4))
  structuredClone(gone.buffer, { transfer: [gone.buffer] })
  for (const bad of [gone, 7, {}, [1, 2], new ArrayBuffer(2)]) {
    for (const [code, call] of [
      ['LEVEL_INVALID_KEY', () => db.put(bad, 'v', { keyEncoding: bare })],
      ['LEVEL_INVALID_KEY', async () => db.batch().del(bad, { keyEncoding: bare })],
      ['LEVEL_INVALID_VALUE', () => db.put('k', bad, { valueEncoding: bare })],
      ['LEVEL_INVALID_VALUE', async () => db.batch().put('k', bad, { valueEncoding: bare })]
    ]) await assert.rejects(call(), { code })
  }
})

test('what is read as a view has a buffer with nobody else\'s bytes in it', async (t) => {
  const db = inMemory(t)
  await db.batch(rowsOf(3, 'some value'))
  const encodings = { keyEncoding: 'view', valueEncoding: 'view' }
  const key = Buffer.from('000001')
  const snapshot = db.snapshot()
  const iterator = db.iterator(encodings)
  for (const view of [
    await db.get(key, encodings), db.getSync(key, encodings), ...await db.getMany([key, key], encodings),
    await db.get(key, { ...encodings, snapshot }), ...await iterator.next(), ...(await iterator.nextv(1)).flat(),
    ...await db.keys(encodings).all(), ...await db.values(encodings).all()
  ]) {
    assert.deepEqual([view.byteOffset, view.buffer.byteLength], [0, view.length])
    assert.ok(['some value', '00000'].some((text) => String(view).startsWith(text)), String(view))
  }
  assert.deepEqual(await db.getMany([Buffer.from('none')], encodings), [undefined])
  await snapshot.close()
})

test('nextv gives one row at least, and none behind those that spend the bytes', async (t) => {
  const { ours, theirs } = both(t, { valueEncoding: 'buffer' })
  const value = Buffer.alloc(10_000)
  for (const db of [ours, theirs]) await db.batch(rowsOf(60, value))
  const marks = [0, 1, 10_005, 10_006, 10_007, 25_000, 300_000, Infinity]
  for (const highWaterMarkBytes of marks) {
    const [rows, expected] = await Promise.all(
      [ours, theirs].map((db) => db.iterator({ highWaterMarkBytes }).nextv(60))
    )
    const most = Math.ceil(highWaterMarkBytes / 10_006)
    assert.equal(rows.length, Math.min(Math.max(most, 1), 60), String(highWaterMarkBytes))
    // There the row behind those that spend them exactly is given, too, and Infinity says nothing.
    if (highWaterMarkBytes === Infinity) continue
    assert.ok(Math.abs(rows.length - expected.length) <= 1, `${highWaterMarkBytes}: there ${expected.length}`)
  }
  const iterator = ours.iterator()
  assert.equal((await iterator.nextv(60)).length, 14, '128 KiB')
  assert.equal((await iterator.nextv(2)).length, 2)
  assert.equal((await iterator.all()).length, 44)
})

test('a highWaterMarkBytes that is no number says nothing, and others are brought within limits', async (t) => {
  const db = inMemory(t)
  await db.batch(rowsOf(30))
  for (const [highWaterMarkBytes, together] of [
    [null, 20], ['16', 20], [NaN, 20], [{}, 20], [undefined, 20], [Infinity, 20], [2 ** 60, 20],
    [-1, 1], [-Infinity, 1], [0, 1], [7.9, 1], [8.1, 2], [100, 15]
  ]) {
    const options = { highWaterMarkBytes, fillCache: true }
    for (const iterator of [db.iterator(options), db.iterator({ ...options, reverse: true })]) {
      assert.equal((await iterator.nextv(20)).length, together, String(highWaterMarkBytes))
      assert.equal((await iterator.all()).length, 30 - together)
    }
  }
})

test('a seek to what is no key is told by the reads behind it until a good one, also where it was queued', async (t) => {
  const db = inMemory(t, { keyEncoding: 'json' })
  const deferred = db.iterator()
  deferred.seek(undefined)
  const got = db.get('a')
  await db.open()
  assert.equal(await got, undefined)
  await db.batch([{ type: 'put', key: 'a', value: '1' }, { type: 'put', key: 'b', value: '2' }])

  const iterator = db.iterator()
  assert.deepEqual(await iterator.next(), ['a', '1'])
  iterator.seek(undefined)
  for (const read of [() => iterator.next(), () => iterator.nextv(2), () => iterator.next()]) {
    await assert.rejects(read(), { code: 'LEVEL_INVALID_KEY' })
  }
  iterator.seek('b')
  assert.deepEqual(await iterator.nextv(2), [['b', '2']])
  await assert.rejects(deferred.next(), { code: 'LEVEL_INVALID_KEY' })
})

test('an abort between two pages of all ends it', async (t) => {
  const db = inMemory(t)
  await db.batch(rowsOf(5_000))
  const controller = new AbortController()
  const iterator = db.iterator({ signal: controller.signal })
  const nextv = iterator._nextv
  let pages = 0
  iterator._nextv = async function (...args) {
    const rows = await nextv.apply(this, args)
    if (++pages === 2) controller.abort(new Error('enough'))
    return rows
  }

  await assert.rejects(iterator.all(), { code: 'LEVEL_ABORTED' })

  assert.equal(pages, 2)
})

test('bounds longer than any key part the keys for clear as for iterators', async (t) => {
  const longest = 'k'.repeat(KEY_BYTES_MAX)
  const keys = ['a', longest.slice(1), longest, 'l', 'é']
  for (const bound of [`${longest}k`, `${longest}\0`, `${longest.slice(1)}éé`]) {
    for (const options of [
      { gt: bound }, { gte: bound }, { lt: bound }, { lte: bound }, { gte: 'b', lt: bound }, { gte: bound, gt: 'a' }
    ]) {
      for (const more of [{}, { limit: 10 }]) {
        const db = inMemory(t)
        await db.batch(keys.map((key) => ({ type: 'put', key, value: '' })))
        const inRange = await db.keys(options).all()
        const named = Object.keys(options).join()
        assert.ok(inRange.length > 0 && inRange.length < keys.length, named)

        await db.clear({ ...options, ...more })

        const left = await db.keys().all()
        assert.deepEqual([...left, ...inRange].sort(), [...keys].sort(), named)
        assert.equal(await db.approximateSize('a', bound) >= 0, true)
        await db.compactRange('a', bound)
        await db.close()
      }
    }
  }
})

test('approximateSize and compactRange want two arguments, whatever they are', async (t) => {
  const encode = (key) => key === undefined ? '~' : `J${key}`
  const keyEncoding = { name: 'of all', format: 'utf8', encode, decode: (key) => key }
  for (const db of Object.values(both(t, { keyEncoding }))) {
    for (const call of ['approximateSize', 'compactRange']) {
      for (const args of [[], ['a']]) await assert.rejects(db[call](...args), TypeError)
      for (const args of [[undefined, undefined], [null, undefined, 7], ['a', 'b', null]]) await db[call](...args)
    }
  }
})

test('a database in memory closes when what was asked of it has come to its end', async (t) => {
  const db = inMemory(t)
  const rows = rowsOf(20_000, 'v'.repeat(100))
  await db.batch(rows)
  const ended = []
  const calls = {
    batch: db.batch(rows), clear: db.clear({ limit: 10_000 }), compactRange: db.compactRange('0', '9'),
    getMany: db.getMany(rows.map(({ key }) => key))
  }
  for (const [name, call] of Object.entries(calls)) call.then(() => ended.push(name))

  await db.close()

  assert.deepEqual(ended.sort(), Object.keys(calls).sort())
  await db.open()
  assert.equal((await db.keys().all()).length, 10_000)
})

test('a database in memory has no location, and says so where it is not to be made', async (t) => {
  const db = closedAfter(t, new FlowLevel(undefined, { inMemory: true, createIfMissing: false }))
  assert.equal(db.location, '')

  const { cause } = await errorOf(db.open())

  assert.equal(cause.code, 'LEVEL_IO_ERROR')
  assert.match(cause.message, /^the database in memory does not exist/)
})

test('a database of LevelDB is neither opened nor repaired nor destroyed, and stays as it is', async (t) => {
  const location = temporary(t)
  const theirs = closedAfter(t, new ClassicLevel(location))
  await theirs.batch(rowsOf(100))
  await theirs.close()
  const files = () => readdirSync(location).sort().map((name) => [name, readFileSync(join(location, name))])
  const before = files()
  const ours = new FlowLevel(location)
  const opened = () => ours.open().catch(({ cause }) => { throw cause })
  for (const call of [opened, () => FlowLevel.repair(location), () => FlowLevel.destroy(location)]) {
    const error = await errorOf(call())
    assert.ok(error.cause instanceof FlowDBError, String(call))
    assert.deepEqual([error.code, error.cause.code], ['LEVEL_NOT_SUPPORTED', 'FLOWDB_UNSUPPORTED'])
    assert.match(error.message, /a database of LevelDB stands here/)
  }
  assert.deepEqual(files(), before)
  await theirs.open()
  assert.equal((await theirs.keys().all()).length, 100)
})

test('a bound or a target of a seek with half a surrogate pair is refused, and nothing that it could be taken for is deleted', async (t) => {
  const db = inMemory(t)
  await db.put('\ufffd', 'kept')
  for (const call of [
    () => db.clear({ gte: '\ud800', lte: '\udfff' }), () => db.clear({ lt: '\udfff', limit: 1 }),
    () => db.keys({ gte: '\ud800' }).all(), () => db.iterator({ lt: 'a\udc00' }).next(), () => db.values({ gt: '\udc00' }).nextv(1),
    () => db.approximateSize('a', '\ud800'), () => db.compactRange('\ud800', 'z')
  ]) {
    const error = await errorOf((async () => call())())
    assert.deepEqual([error.code, error.cause.code], ['LEVEL_INVALID_KEY', 'FLOWDB_INVALID_KEY'], String(call))
  }
  const keys = db.keys()
  keys.seek('\udc00')
  assert.equal((await errorOf(keys.next())).code, 'LEVEL_INVALID_KEY')
  await keys.close()
  assert.deepEqual(await db.iterator().all(), [['\ufffd', 'kept']])
})

test('bytes whose buffer is gone are no key, no value and no bound', async (t) => {
  const db = inMemory(t, { keyEncoding: 'view', valueEncoding: 'view' })
  const gone = new Uint8Array([1, 2, 3])
  structuredClone(gone, { transfer: [gone.buffer] })
  const key = new Uint8Array([7])
  await db.open()
  for (const [code, call] of [
    ['LEVEL_INVALID_VALUE', () => db.batch().put(key, gone).write()], ['LEVEL_INVALID_VALUE', () => db.put(key, gone)],
    ['LEVEL_INVALID_KEY', () => db.batch().put(gone, key).write()], ['LEVEL_INVALID_KEY', () => db.put(gone, key)],
    ['LEVEL_INVALID_KEY', () => db.get(gone)], ['LEVEL_INVALID_KEY', () => db.getMany([gone])],
    ['LEVEL_INVALID_KEY', () => db.has(gone)], ['LEVEL_INVALID_KEY', () => db.clear({ gte: gone })],
    ['LEVEL_INVALID_KEY', () => db.keys({ gte: gone }).all()]
  ]) assert.equal((await errorOf((async () => call())())).code, code, String(call))
  await db.put(new Uint8Array(0), new Uint8Array(0))
  assert.deepEqual(await db.iterator().all(), [[Buffer.alloc(0), Buffer.alloc(0)]])
})
