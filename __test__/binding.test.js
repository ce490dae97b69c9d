'use strict'

/* What the way of an operation through the addon promises: order, batches, one settlement, a turning event loop. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore, FlowDB } = require('..')
const { flashInMemory, gathered, openInMemory, runProgram, temporary } = require('./support')

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('an operation sees the writes issued before it and none issued after it, awaited or not', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  for (let round = 0; round < 200; round++) {
    const before = db.get('rows', 1)
    const put = db.put('rows', { id: 1, round })
    const after = db.get('rows', 1)
    const counted = db.count('rows')
    const deleted = db.delete('rows', 1)
    const gone = db.get('rows', 1)

    assert.deepEqual(await Promise.all([before, put, after, counted, deleted, gone]),
      [undefined, 1, { id: 1, round }, 1, true, undefined])
  }
})

test('large writes of one turn, which wait for each other, are made in the order in which they were issued', async (t) => {
  const db = await openInMemory(t, { rows: undefined })
  for (let round = 0; round < 10; round++) {
    // Each of them is too long to share a run with others.
    const puts = Array.from({ length: 30 }, (_, n) => db.put('rows', `${n} ${'x'.repeat(300_000)}`, 'key'))
    const last = db.get('rows', 'key')

    assert.equal((await last).split(' ')[0], '29')
    assert.deepEqual(new Set(await Promise.all(puts)), new Set(['key']))
  }
})

test('reads that can\'t be answered in the call still see what was there when they were issued', async (t) => {
  const dataDir = temporary(t)
  const first = FlowDB.open({ dataDir, blockCacheCapacityMb: 0 })
  await first.createObjectStore('rows', 'id')
  await Promise.all(Array.from({ length: 2000 }, (_, id) => first.put('rows', { id, text: 'before'.repeat(100) })))
  await first.close()
  const db = FlowDB.open({ dataDir, blockCacheCapacityMb: 0 })
  await db.ready

  const reads = Array.from({ length: 300 }, (_, id) => db.get('rows', id))
  const cleared = db.clear('rows')
  const none = db.get('rows', 5)

  assert.deepEqual((await Promise.all(reads)).map(({ id }) => id), Array.from({ length: 300 }, (_, id) => id))
  assert.equal(await none, undefined)
  await cleared
  await db.close()
})

test('reads of one turn that are read together give what each gives alone', async (t) => {
  const store = flashInMemory(t)
  const values = [1, 'plain', 'esc"aped', 'é', '', { a: [1] }, new Date(5), new Map([['k', 1n]]), Buffer.from('bytes'), null]
  const valueOf = (n) => n % 11 === 10 ? undefined : values[n % 11]
  const keyOf = (n) => [n, `key ${n}`, [n, 'of an array'], Buffer.from(`bytes ${n}`), BigInt(n) << 70n][n % 5]
  const numbers = Array.from({ length: 1000 }, (_, n) => n)
  await store.setMany(numbers.filter((n) => n % 11 !== 10).map((n) => [keyOf(n), valueOf(n)]))
  for (let round = 0; round < 4; round++) {
    const got = await Promise.all(numbers.map((n) => store.get(keyOf(n))))
    const has = await Promise.all(numbers.map((n) => store.has(keyOf(n))))
    const mixed = await Promise.all(numbers.map((n) => n % 7 === 0 ? store.has(keyOf(n)) : store.get(keyOf(n))))

    assert.deepEqual(got, numbers.map(valueOf))
    assert.deepEqual(has, numbers.map((n) => n % 11 !== 10))
    assert.deepEqual(mixed, numbers.map((n) => n % 7 === 0 ? n % 11 !== 10 : valueOf(n)))
  }
})

test('a read that is gathered with others sees no write that was issued after it', async (t) => {
  const [store, other] = [flashInMemory(t), flashInMemory(t)]
  const numbers = Array.from({ length: 1000 }, (_, n) => n)
  await store.setMany(numbers.map((n) => [n, 'before']))
  await other.setMany(numbers.map((n) => [n, 'other']))
  for (const change of [
    () => store.set(999, 'after'),
    () => store.setSync(999, 'after'),
    () => store.delete(999),
    () => store.clear(),
    () => store.close()
  ]) {
    await store.set(999, 'before')
    // Now reads are gathered.
    await Promise.all(numbers.map((n) => store.get(n)))
    const reads = [999, 998, 999].map((n) => store.get(n))
    const asks = [other.get(999), store.has(999)]
    const changed = change()

    assert.deepEqual(await Promise.all(reads), ['before', 'before', 'before'])
    assert.deepEqual(await Promise.all(asks), ['other', true])
    await changed
    if (change.toString().includes('clear')) await store.setMany(numbers.map((n) => [n, 'before']))
  }
})

test('a key that is changed behind the call, and one that is none, leave the other reads of the turn alone', async (t) => {
  const dataDir = temporary(t)
  const filled = new FlashStore({ dataDir, blockCacheCapacityMb: 0 })
  await filled.setMany(Array.from({ length: 300 }, (_, n) => [Buffer.from([n & 255, n >>> 8]), n]))
  await filled.close()
  const store = await FlashStore.open({ dataDir, blockCacheCapacityMb: 0 })
  t.after(() => store.close())
  for (let round = 0; round < 2; round++) {
    const key = Buffer.alloc(2)
    const reads = Array.from({ length: 300 }, (_, n) => {
      key.writeUInt16LE(n)
      return n % 100 === 99 ? assert.rejects(store.get(NaN), { code: 'FLOWDB_INVALID_KEY' }) : store.get(key)
    })
    key.fill(255)

    const expected = Array.from({ length: 300 }, (_, n) => n % 100 === 99 ? undefined : n)
    assert.deepEqual(await Promise.all(reads), expected)
  }
})

test('keys that leave no room for each other are read in the same turn', async (t) => {
  const store = flashInMemory(t)
  const keys = Array.from({ length: 200 }, (_, n) => `${n}:`.padEnd(n % 3 === 0 ? 16_000 : 20, 'x'))
  await store.setMany(keys.map((key, n) => [key, n]))
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(await Promise.all(keys.map((key) => store.get(key))), keys.map((_, n) => n))
  }
  assert.deepEqual(await store.getMany(keys), keys.map((_, n) => n))
})

test('code of a user\'s that runs as a read resolves can read', async (t) => {
  const store = flashInMemory(t)
  const numbers = Array.from({ length: 400 }, (_, n) => n)
  await store.setMany(numbers.map((n) => [n, { n }]))
  const inner = []
  Object.defineProperty(Object.prototype, 'then', {
    configurable: true,
    get () {
      if (inner.length < 100 && Object.hasOwn(this, 'n')) inner.push(store.get(this.n + 1))
      return undefined
    }
  })
  try {
    const got = await Promise.all(numbers.map((n) => store.get(n)))
    assert.deepEqual(got.map(({ n }) => n), numbers)
  } finally {
    delete Object.prototype.then
  }
  assert.equal(inner.length, 100)
  assert.ok((await Promise.all(inner)).every((value) => value === undefined || numbers.includes(value.n)))
})

test('the event loop turns under reads that are gathered turn by turn', async (t) => {
  const store = flashInMemory(t)
  const numbers = Array.from({ length: 100 }, (_, n) => n)
  await store.setMany(numbers.map((n) => [n, n]))
  let turns = 0
  const count = () => {
    turns++
    immediate = setImmediate(count)
  }
  let immediate = setImmediate(count)
  const end = performance.now() + 200
  while (performance.now() < end) await Promise.all(numbers.map((n) => store.get(n)))
  clearImmediate(immediate)
  assert.ok(turns >= 10, `${turns} turns`)
})

test('a hundred thousand puts that nobody awaits one by one are all there', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('rows', 'id')
  const puts = []
  for (let id = 0; id < 100_000; id++) puts.push(db.put('rows', { id, text: `row ${id}` }))
  const keys = await Promise.all(puts)

  assert.equal(keys.length, 100_000)
  assert.ok(keys.every((key, id) => key === id))
  await db.close()
  const again = FlowDB.open({ dataDir })
  assert.equal(await again.count('rows'), 100_000)
  await again.close()
})

test('puts whose promises are dropped are there after close', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  db.createObjectStore('rows', 'id')
  for (let id = 0; id < 10_000; id++) db.put('rows', { id })
  await db.close()

  const again = FlowDB.open({ dataDir })
  assert.equal(await again.count('rows'), 10_000)
  await again.close()
})

test('each write of a tick fails alone', async (t) => {
  const db = await openInMemory(t, { rows: 'id', unique: 'id' })
  await db.createIndex('unique', 'name', 'name', true)
  const writes = []
  for (let id = 0; id < 3000; id++) {
    writes.push(id % 3 === 0
      ? db.add('rows', { id: id % 2 })
      : db.put('unique', { id, name: id % 5 === 0 ? 'same' : `name ${id}` }))
  }
  const settled = await Promise.allSettled(writes)

  const failed = settled.filter(({ status }) => status === 'rejected')
  assert.ok(failed.every(({ reason }) => reason.code === 'FLOWDB_CONSTRAINT'))
  assert.equal(await db.count('rows'), 2)
  const kept = await db.getAll('unique')
  assert.equal(kept.filter(({ name }) => name === 'same').length, 1)
  assert.equal(settled.length - failed.length, 2 + kept.length)
})

test('every promise settles exactly once', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  let settlements = 0
  const all = []
  for (let id = 0; id < 5000; id++) {
    const call = [() => db.put('rows', { id }), () => db.get('rows', id), () => db.get('nowhere', id),
      () => db.put('rows', {}), () => db.delete('rows', id), () => db.count('rows', id)][id % 6]
    all.push(call().then(() => settlements++, () => settlements++))
  }
  await Promise.all(all)
  await turn()
  assert.equal(settlements, 5000)
})

test('the event loop turns under a loop that awaits reads from memory', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await db.put('rows', { id: 1 })
  let isRunning = true
  let turns = 0
  const count = () => {
    turns++
    if (isRunning) setImmediate(count)
  }
  setImmediate(count)
  const started = performance.now()
  let reads = 0
  for (; performance.now() - started < 200; reads++) await db.get('rows', 1)
  isRunning = false

  assert.ok(turns >= 20, `${turns} turns in 200 ms and ${reads} reads`)
})

test('the event loop turns while thousands of operations are answered', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  const puts = Array.from({ length: 50_000 }, (_, id) => db.put('rows', { id, text: 'x'.repeat(100) }))
  let turns = 0
  let isRunning = true
  const count = () => {
    turns++
    if (isRunning) setImmediate(count)
  }
  setImmediate(count)
  await Promise.all(puts)
  isRunning = false
  assert.ok(turns >= 5, `${turns} turns`)
})

test('a read does not wait for the writes of another handle', async (t) => {
  const dataDir = temporary(t)
  const [writer, reader] = [FlowDB.open({ dataDir }), FlowDB.open({ dataDir })]
  await writer.createObjectStore('rows', 'id')
  await writer.put('rows', { id: 1 })
  await reader.ready
  const puts = Array.from({ length: 20_000 }, (_, id) => writer.put('rows', { id, text: 'x'.repeat(200) }))
  let isWritten = false
  const written = Promise.all(puts).then(() => { isWritten = true })

  assert.ok(await reader.get('rows', 1))
  assert.equal(isWritten, false, 'the read came after all the writes')
  await written
  await Promise.all([writer.close(), reader.close()])
})

test('two handles that write the same documents at once never show a conflict', async (t) => {
  const dataDir = temporary(t)
  const handles = [FlowDB.open({ dataDir }), FlowDB.open({ dataDir })]
  await handles[0].createObjectStore('rows', 'id')
  await handles[0].createIndex('rows', 'by', 'by')
  await Promise.all(handles.flatMap((db, by) => Array.from({ length: 2000 }, (_, id) => db.put('rows', { id: id % 100, by }))))

  const rows = await handles[0].getAll('rows')
  assert.equal(rows.length, 100)
  const indexed = await Promise.all([0, 1].map((by) => handles[1].getByIndex('rows', 'by', by)))
  assert.equal(indexed.flat().length, 100)
  await Promise.all(handles.map((db) => db.close()))
})

test('many scans at a time each see every document', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await Promise.all(Array.from({ length: 3000 }, (_, id) => db.put('rows', { id, text: 'x'.repeat(100) })))
  const scans = await Promise.all(Array.from({ length: 50 }, () => gathered(db.scan('rows'))))
  assert.ok(scans.every((rows) => rows.length === 3000))
})

test('a scan reads one page ahead and no further', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await Promise.all(Array.from({ length: 20_000 }, (_, id) => db.put('rows', { id, text: 'x'.repeat(100) })))
  const scan = db.scan('rows')
  await scan.next()
  await db.clear('rows')
  // What has been read ahead is small; the rest comes from the snapshot, which the clearing does not touch.
  assert.equal((await gathered(scan)).length, 19_999)
})

test('a scan of more than the heap holds needs little of it', async (t) => {
  const flags = ['--max-old-space-size=48']
  const { code, output, errors } = await runProgram('scans-in-little-memory.js', [temporary(t)], { flags })
  assert.deepEqual({ code, output }, { code: 0, output: '30000' }, errors)
})

test('ready and close may be awaited as often as one likes', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await Promise.all([db.ready, db.ready, db.close(), db.close()])
  await db.close()
  await db[Symbol.asyncDispose]()
  for (const call of [
    () => db.get('rows', 1), () => db.put('rows', { id: 1 }), () => db.storeNames(), async () => db.scan('rows'),
    async () => db.transaction('rows')
  ]) await assert.rejects(call(), { code: 'FLOWDB_CLOSED' })
})

test('close waits for what is in flight', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  const put = db.put('rows', { id: 1 })
  const all = db.getAll('rows')
  const closed = db.close()
  await assert.rejects(db.get('rows', 1), { code: 'FLOWDB_CLOSED' })
  assert.equal(await put, 1)
  assert.deepEqual(await all, [{ id: 1 }])
  await closed
})
