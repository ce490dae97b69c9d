'use strict'

/* Series: records in time. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { join } = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { FlowDB, KeyRange } = require('..')
const { errorOf, gathered, openInMemory, temporary } = require('./support')

/** A series of records `[key, ts]` with the value `ts`. */
async function seriesOf (t, records, options) {
  const series = (await openInMemory(t)).series('s', options)
  await series.appendMany(records.map(([key, ts]) => ({ key, ts, value: ts })))
  return series
}

const places = (records) => records.map(({ key, ts }) => [key, ts])

test('a record comes back by its key and time, whatever the key is', async (t) => {
  const series = (await openInMemory(t)).series('s')
  const keys = [null, true, 1, -1.5, 10n, new Date(5), 'text', '', 'a\0b', new Uint8Array([0, 1]), ['room', 3]]
  for (const [at, key] of keys.entries()) assert.equal(await series.append(key, { at }, { ts: at - 5 }), at - 5)

  for (const [at, key] of keys.entries()) {
    assert.deepEqual((await series.get(key, at - 5)).value, { at })
    assert.equal(await series.get(key, at), undefined)
  }
  assert.equal((await series.getAll()).length, keys.length)
})

test('a time is a Date, a number or a bigint, in microseconds, and now where none is given', async (t) => {
  const series = (await openInMemory(t)).series('s')
  const before = Date.now() * 1000
  const times = await series.appendMany([{ key: 'k', value: 1 }, { key: 'k', value: 2 }])
  assert.ok(times[0] >= before && times[1] > times[0] && times[1] < Date.now() * 1000 + 1_000_000)
  assert.equal(await series.append('d', 1, { ts: new Date(1_700_000_000_123) }), 1_700_000_000_123_000)
  assert.equal(await series.append('d', 2, { ts: -7n }), -7)
  assert.deepEqual(await series.get('d', new Date(1_700_000_000_123)), { key: 'd', ts: 1_700_000_000_123_000, value: 1 })
  assert.equal((await series.get('d', -7)).value, 2)

  for (const ts of [NaN, 1.5, 2 ** 53, 2n ** 53n, new Date(NaN), new Date(8.64e15), '1', null, {}]) {
    assert.equal((await errorOf(series.append('k', 1, { ts }))).code, 'FLOWDB_INVALID_ARGUMENT', String(ts))
    assert.equal((await errorOf(series.get('k', ts))).code, 'FLOWDB_INVALID_ARGUMENT', String(ts))
  }
  for (const ts of [Number.MIN_SAFE_INTEGER, -1, 0, 2 ** 32, -(2 ** 32), Number.MAX_SAFE_INTEGER]) {
    await series.append('far', ts, { ts })
    assert.deepEqual(await series.get('far', ts), { key: 'far', ts, value: ts })
  }
})

test('the latest record is the one with the greatest time, whenever it was written', async (t) => {
  const series = await seriesOf(t, [['a', 5], ['a', 9], ['a', 7], ['aa', 100], ['b', -3]])

  assert.deepEqual(await series.latest('a'), { key: 'a', ts: 9, value: 9 })
  assert.deepEqual(await series.latest('b'), { key: 'b', ts: -3, value: -3 })
  assert.equal(await series.latest('c'), undefined)
  await series.delete('a', 9)
  assert.equal((await series.latest('a')).ts, 7)
})

test('a range has the keys and times that were asked for, in both directions', async (t) => {
  const records = [['room/1', -1], ['room/1', 1], ['room/1', 5], ['room/2', 1], ['room/2', 3], ['s', 1], [['a', 1], 3]]
  const series = await seriesOf(t, records)
  const of = async (options) => places(await gathered(series.range(options)))

  assert.deepEqual(await of(), records)
  assert.deepEqual(await of({ reverse: true }), records.toReversed?.() ?? [...records].reverse())
  assert.deepEqual(await of({ key: 'room/1', from: 1 }), [['room/1', 1], ['room/1', 5]])
  assert.deepEqual(await of({ key: 'room/1', to: 1n }), [['room/1', -1]])
  assert.deepEqual(await of({ prefix: 'room/', from: 1, to: 5 }), [['room/1', 1], ['room/2', 1], ['room/2', 3]])
  assert.deepEqual(await of({ prefix: ['a'] }), [[['a', 1], 3]])
  assert.deepEqual(await of({ key: KeyRange.lowerBound('room/1', true), from: 1, to: 2 }), [['room/2', 1], ['s', 1]])
  assert.deepEqual(await of({ from: 3, reverse: true, limit: 2 }), [[['a', 1], 3], ['room/2', 3]])
  assert.deepEqual(await of({ from: 3, to: 3 }), [])
  assert.deepEqual(await of({ limit: 0 }), [])
  assert.deepEqual(places(await series.getAll({ prefix: 'room/2', reverse: true })), [['room/2', 3], ['room/2', 1]])
})

test('a range comes in pages, each behind the one before, as of the call', async (t) => {
  const records = Array.from({ length: 30_000 }, (_, at) => [`k${at % 3}`, at])
  const series = await seriesOf(t, records)
  const expected = places(await series.getAll())
  assert.equal(expected.length, 30_000)

  const seen = []
  for await (const record of series.range()) {
    if (seen.length === 10) await series.deleteRange({})
    seen.push([record.key, record.ts])
  }
  assert.deepEqual(seen, expected)
  assert.deepEqual(await series.getAll(), [])

  await series.appendMany(records.map(([key, ts]) => ({ key, ts, value: 'x'.repeat(20) })))
  const reversed = places(await gathered(series.range({ from: 5_000, to: 25_000, reverse: true })))
  assert.deepEqual(reversed, expected.filter(([, ts]) => ts >= 5_000 && ts < 25_000).reverse())
})

test('deleting takes what was asked for and nothing else', async (t) => {
  const records = ['a', 'b', 'bc', 'd'].flatMap((key) => [0, 1, 2].map((ts) => [key, ts]))
  const series = await seriesOf(t, records)

  await series.delete('a', 1)
  await series.delete('a', 99)
  await series.deleteRange({ prefix: 'b', from: 1, to: 2 })
  assert.deepEqual(places(await series.getAll()), records.filter(([key, ts]) => ts !== 1 || key === 'd'))
  await series.deleteRange({ key: 'bc' })
  await series.deleteRange({ to: 1 })
  assert.deepEqual(places(await series.getAll()), [['a', 2], ['b', 2], ['d', 1], ['d', 2]])
  await series.deleteRange({ key: KeyRange.bound('a', 'b') })
  assert.deepEqual(places(await series.getAll()), [['d', 1], ['d', 2]])

  for (const options of [undefined, null, 'd', { key: undefined }, { keys: 'd' }, { limit: 1 }]) {
    assert.equal((await errorOf(series.deleteRange(options))).code, 'FLOWDB_INVALID_ARGUMENT')
  }
  assert.equal((await series.getAll()).length, 2)
})

test('a patch changes what it names, and says whether there was a record', async (t) => {
  const series = (await openInMemory(t)).series('s')
  await series.append('k', { a: 1, b: { c: 0.1, d: 'x' } }, { ts: 1 })

  assert.equal(await series.patch('k', 1, { a: null, b: { d: 'y', e: [1] } }), true)
  assert.deepEqual((await series.get('k', 1)).value, { b: { c: 0.1, d: 'y', e: [1] } })
  assert.equal(await series.patch('k', 2, { a: 1 }), false)
  assert.equal(await series.get('k', 2), undefined)
  assert.equal(await series.patch('k', 1, undefined, { expiresAt: new Date(Date.now() + 60_000) }), true)
  assert.ok((await series.get('k', 1)).expiresAt > Date.now() * 1000)
  assert.equal(await series.patch('k', 1, 7), true)
  assert.equal((await series.get('k', 1)).value, 7)
  assert.equal(await series.patch('k', 1, undefined, { expiresAt: 1 }), true)
  assert.equal(await series.get('k', 1), undefined)
})

test('operations keep their order, and a hundred patches of one record lose none', async (t) => {
  const series = (await openInMemory(t)).series('s')
  const work = [series.append('k', { n: 0 }, { ts: 1 })]
  for (let n = 1; n <= 100; n++) work.push(series.patch('k', 1, { n, [`p${n}`]: true }))
  const read = series.get('k', 1)
  work.push(series.append('k', 'over', { ts: 1 }), series.delete('k', 2))
  await Promise.all(work)

  const { value } = await read
  assert.equal(value.n, 100)
  assert.equal(Object.keys(value).length, 101)
  assert.equal((await series.get('k', 1)).value, 'over')
})

test('what one write asks for wrongly fails alone', async (t) => {
  const db = await openInMemory(t)
  const series = db.series('s')
  const work = await Promise.allSettled([
    series.append('a', 1, { ts: 1 }),
    series.append(undefined, 1, { ts: 1 }),
    db.series('s', { retention: 60 }).append('b', 1, { ts: 1 }),
    series.append('c', () => {}, { ts: 1 }),
    series.append('d', 1, { ts: 1, ttl: 1, expiresAt: 5 }),
    series.append('e', 1, { ts: 1, ttl: -1 }),
    series.append('f', 1, { time: 1 }),
    series.appendMany([{ key: 'g', value: 1 }, { key: NaN, value: 1 }]),
    series.appendMany({ key: 'h' }),
    series.append('x'.repeat(20_000), 1),
    series.append('z', 1, { ts: 1 })
  ])

  assert.deepEqual(work.map(({ reason }) => reason?.code.slice('FLOWDB_'.length)), [
    undefined, 'INVALID_KEY', 'EXISTS', 'INVALID_VALUE', 'INVALID_ARGUMENT', 'INVALID_ARGUMENT', 'INVALID_ARGUMENT',
    'INVALID_KEY', 'INVALID_ARGUMENT', 'INVALID_KEY', undefined
  ])
  assert.deepEqual(places(await series.getAll()), [['a', 1], ['z', 1]])
  assert.throws(() => db.series(''), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => db.series('s', { retention: 0.5 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => series.range({ from: 2, to: 1 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => series.range({ key: 1, prefix: 'a' }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => series.range({ prefix: 1 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  const sum = { window: 1, aggregate: 'sum' }
  for (const wrong of [{}, { ...sum, window: 0 }, { ...sum, aggregate: 'median' }, { ...sum, path: 3 }]) {
    assert.throws(() => series.downsample(wrong), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  assert.equal((await errorOf(gathered(series.downsample({ ...sum, path: 'a..b' })))).code, 'FLOWDB_INVALID_ARGUMENT')
})

test('windows have the number that the aggregate makes of theirs', async (t) => {
  const series = (await openInMemory(t)).series('s')
  const second = 1_000_000
  const values = [[0, 1], [1, 7], [9, 4], [10, 5], [25, 2]]
  await series.appendMany(values.map(([at, value]) => ({ key: 'a', ts: at * second, value: { heat: { c: value } } })))
  await series.append('a', { heat: 'none' }, { ts: 2 * second })
  await series.append('b', 3, { ts: 3 * second })
  const of = async (options) => await gathered(series.downsample({ window: 10, path: 'heat.c', ...options }))

  const first = { count: 3, sum: 12, min: 1, max: 7, avg: 4, first: 1, last: 4 }
  for (const [aggregate, value] of Object.entries(first)) {
    const windows = await of({ key: 'a', aggregate })
    assert.deepEqual(windows.map(({ ts }) => ts / second), [0, 10, 20])
    assert.deepEqual(windows[0], { key: 'a', ts: 0, value, count: 3 }, aggregate)
  }
  assert.deepEqual((await of({ from: 5 * second, to: 12 * second, aggregate: 'sum' })).map(({ value }) => value), [4, 5])
  assert.deepEqual(await gathered(series.downsample({ window: 10, aggregate: 'sum' })), [{ key: 'b', ts: 0, value: 3, count: 1 }])
  assert.equal((await of({ aggregate: 'sum', limit: 2 })).length, 2)

  // More windows than a page holds, none missing and none twice.
  await series.appendMany(Array.from({ length: 20_000 }, (_, at) => ({ key: 'many', ts: at * second, value: at })))
  const many = await gathered(series.downsample({ key: 'many', window: 2, aggregate: 'sum' }))
  assert.deepEqual(many.map(({ value }) => value), Array.from({ length: 10_000 }, (_, at) => 4 * at + 1))
})

test('records expire by retention, by ttl, or when they say', async (t) => {
  const series = (await openInMemory(t)).series('s', { retention: 60 })
  const now = Date.now() * 1000
  await series.append('old', 1, { ts: now - 61_000_000 })
  await series.append('old, kept', 1, { ts: now - 61_000_000, ttl: 100 })
  await series.append('short', 1, { ts: now, ttl: 0.05 })
  await series.append('new', 1, { ts: now })
  await series.append('past', 1, { ts: now, expiresAt: new Date(5) })

  const there = (await series.getAll()).map(({ key }) => key).filter((key) => key !== 'short')
  assert.deepEqual(there, ['new', 'old, kept'])
  assert.equal((await series.get('new', now)).expiresAt, Math.ceil((now + 60_000_000) / 1000) * 1000)
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(await series.get('short', now), undefined)
})

test('a series and its retention are there when the database is opened again, and for every opener', async (t) => {
  const folder = temporary(t)
  const db = FlowDB.open({ dataDir: folder })
  const series = db.series('s', { retention: 3_000_000_000 })
  assert.equal(series.name, 's')
  await series.ready
  assert.deepEqual(await db.seriesNames(), ['s'])

  const worker = new Worker(join(__dirname, 'programs', 'series-worker.js'), { workerData: { folder, key: 'w' } })
  await Promise.all([once(worker, 'exit'), ...Array.from({ length: 100 }, (_, at) => series.append('m', at, { ts: at }))])
  assert.equal((await series.getAll()).length, 200)
  await db.close()

  const again = FlowDB.open({ dataDir: folder })
  t.after(() => again.close())
  assert.equal((await errorOf(again.series('s', { retention: 60 }).ready)).code, 'FLOWDB_EXISTS')
  assert.equal((await again.series('s').latest('w')).expiresAt, 99 + 3_000_000_000_000_000 + 901)
  await again.series('s', { retention: 3_000_000_000 }).ready
})

test('a deleted series is gone, and one of its name begins anew', async (t) => {
  const db = await openInMemory(t)
  const series = db.series('s')
  await series.append('k', 1, { ts: 1 })

  await db.deleteSeries('s')

  assert.equal((await errorOf(series.append('k', 1))).code, 'FLOWDB_NOT_FOUND')
  assert.equal((await errorOf(series.get('k', 1))).code, 'FLOWDB_NOT_FOUND')
  assert.equal((await errorOf(gathered(series.range()))).code, 'FLOWDB_NOT_FOUND')
  assert.equal((await errorOf(db.deleteSeries('s'))).code, 'FLOWDB_NOT_FOUND')
  assert.deepEqual(await db.series('s', { retention: 5 }).getAll(), [])
})

test('series and stores of one name have nothing to do with each other', async (t) => {
  const db = await openInMemory(t, { s: 'id' })
  await Promise.all([db.put('s', { id: 1 }), db.series('s').append(1, { id: 2 }, { ts: 1 }), db.put('s', { id: 3 })])
  await db.clear('s')

  assert.deepEqual((await db.series('s').getAll()).map(({ value }) => value), [{ id: 2 }])
  assert.equal(await db.count('s'), 0)
})

test('a closed database refuses, and closing waits for what was asked', async (t) => {
  const db = FlowDB.open({ dataDir: temporary(t) })
  const series = db.series('s')
  const written = series.append('k', 1, { ts: 1 })
  await db.close()

  assert.equal(await written, 1)
  assert.equal((await errorOf(series.append('k', 1))).code, 'FLOWDB_CLOSED')
  assert.equal((await errorOf(series.latest('k'))).code, 'FLOWDB_CLOSED')
  assert.throws(() => series.range(), { code: 'FLOWDB_CLOSED' })
  assert.throws(() => db.series('s'), { code: 'FLOWDB_CLOSED' })
})

test('a database that is read-only shows its series and takes no records', async (t) => {
  const folder = temporary(t)
  const db = FlowDB.open({ dataDir: folder })
  await db.series('s').append('k', 1, { ts: 1 })
  await db.close()

  const reader = FlowDB.open({ dataDir: folder, readOnly: true })
  t.after(() => reader.close())
  assert.equal((await reader.series('s').latest('k')).value, 1)
  assert.equal((await errorOf(reader.series('s').append('k', 1))).code, 'FLOWDB_READ_ONLY')
  assert.equal((await errorOf(reader.series('other').getAll())).code, 'FLOWDB_NOT_FOUND')
})

test('what is no plain object deletes nothing, and neither does one that can\'t be read', async (t) => {
  const series = await seriesOf(t, [['a', 1], ['b', 2]])
  const inherits = Object.create({ key: 'a' })
  const throwing = { get key () { throw new RangeError('no') } }
  const containers = [new Map(), new Set(), new Uint8Array(0), []]
  const nothings = [...containers, new Date(), Promise.resolve({}), inherits, null, undefined]
  for (const options of nothings) {
    assert.equal((await errorOf(series.deleteRange(options))).code, 'FLOWDB_INVALID_ARGUMENT')
  }
  const error = await errorOf(series.deleteRange(throwing))
  assert.equal(error.code, 'FLOWDB_INVALID_ARGUMENT')
  assert.ok(error.cause instanceof RangeError)
  assert.deepEqual(places(await series.getAll()), [['a', 1], ['b', 2]])

  await series.deleteRange(Object.assign(Object.create(null), { key: 'a' }))
  assert.deepEqual(places(await series.getAll()), [['b', 2]])
})

test('a time that is minus zero is zero, and one of a million digits is refused at once', async (t) => {
  const series = (await openInMemory(t)).series('s')
  assert.ok(Object.is(await series.append('k', 1, { ts: -0 }), 0))

  const error = await errorOf(series.append('k', 1, { ts: 1n << 3_000_000n }))

  assert.equal(error.code, 'FLOWDB_INVALID_ARGUMENT')
  assert.match(error.message, /a bigint of many digits/)
})
