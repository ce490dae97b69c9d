'use strict'

/* FlowDB's calls, one promise a test. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlowDB, KeyRange } = require('..')
const { gathered, openInMemory, temporary } = require('./support')

const people = [
  { id: 1, name: 'Ada', city: 'London', tags: ['a', 'b'] },
  { id: 2, name: 'Max', city: 'Zürich', tags: ['b'] },
  { id: 3, name: 'Eve', city: 'London', tags: [] },
  { id: 4, name: 'Bob', city: 'Bern', tags: ['a'] }
]

async function withPeople (t) {
  const db = await openInMemory(t, { people: 'id' })
  await Promise.all(people.map((person) => db.put('people', person)))
  return db
}

test('open returns at once, and what is asked meanwhile waits for it', async (t) => {
  const db = FlowDB.open({ dataDir: temporary(t) })
  const created = db.createObjectStore('people', 'id')
  const put = db.put('people', people[0])
  const got = db.get('people', 1)

  assert.equal(await db.ready, undefined)
  assert.deepEqual([await created, await put, await got], [undefined, 1, people[0]])
  await db.close()
})

test('put resolves to the key and replaces what is there; add does not', async (t) => {
  const db = await withPeople(t)

  assert.equal(await db.put('people', { id: 1, name: 'Ada Lovelace' }), 1)
  assert.deepEqual(await db.get('people', 1), { id: 1, name: 'Ada Lovelace' })
  await assert.rejects(db.add('people', { id: 1, name: 'Other' }), { code: 'FLOWDB_CONSTRAINT' })
  assert.deepEqual(await db.get('people', 1), { id: 1, name: 'Ada Lovelace' })
  assert.equal(await db.add('people', { id: 9 }), 9)
})

test('a missing document is undefined', async (t) => {
  const db = await withPeople(t)
  assert.equal(await db.get('people', 99), undefined)
  assert.equal(await db.get('people', '1'), undefined, 'a string is not the number it reads as')
})

test('delete resolves to whether the document was there', async (t) => {
  const db = await withPeople(t)
  assert.equal(await db.delete('people', 2), true)
  assert.equal(await db.delete('people', 2), false)
  assert.equal(await db.get('people', 2), undefined)
})

test('clear removes every document and leaves the store usable', async (t) => {
  const db = await withPeople(t)
  await db.clear('people')
  assert.equal(await db.count('people'), 0)
  assert.deepEqual(await gathered(db.scan('people')), [])
  await db.put('people', people[0])
  assert.deepEqual(await db.getAll('people'), [people[0]])
})

test('keys are of every type and in one order', async (t) => {
  const db = await openInMemory(t, { things: null })
  const keys = [null, false, true, -1.5, 0, 3, 4n, new Date(0), '', 'a', new Uint8Array([1]), [], [1, 'a'], [[2]]]
  await Promise.all([...keys].reverse().map((key, index) => db.put('things', index, key)))

  assert.deepEqual(await db.getAllKeys('things'), keys)
  for (const [index, key] of [...keys].reverse().entries()) assert.equal(await db.get('things', key), index)
})

test('count, getAll and getAllKeys take ranges, keys, limits and directions', async (t) => {
  const db = await withPeople(t)
  assert.equal(await db.count('people'), 4)
  assert.equal(await db.count('people', KeyRange.bound(2, 3)), 2)
  assert.equal(await db.count('people', 3), 1)
  assert.deepEqual(await db.getAll('people'), people)
  assert.deepEqual(await db.getAll('people', null, 2), people.slice(0, 2))
  assert.deepEqual(await db.getAll('people', KeyRange.lowerBound(2, true), { limit: 1 }), [people[2]])
  assert.deepEqual(await db.getAll('people', 4), [people[3]])
  assert.deepEqual(await db.getAllKeys('people', KeyRange.upperBound(3, true)), [1, 2])
  assert.deepEqual(await db.getAllKeys('people', undefined, { reverse: true, limit: 2 }), [4, 3])
  assert.deepEqual(await db.getAll('people', undefined, 0), [])
})

test('scan iterates in key order, forwards and backwards, within a range and up to a limit', async (t) => {
  const db = await withPeople(t)
  assert.deepEqual(await gathered(db.scan('people')), people)
  assert.deepEqual(await gathered(db.scan('people', KeyRange.bound(1, 3, true, true))), [people[1]])
  assert.deepEqual(await gathered(db.scan('people', null, { reverse: true })), [...people].reverse())
  assert.deepEqual(await gathered(db.scan('people', undefined, { reverse: true, limit: 2 })), [people[3], people[2]])
})

test('scan goes through many pages without missing or repeating a document', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  const rows = Array.from({ length: 5000 }, (_, id) => ({ id, text: 'x'.repeat(id % 300) }))
  await Promise.all(rows.map((row) => db.put('rows', row)))

  assert.deepEqual(await gathered(db.scan('rows')), rows)
  assert.deepEqual(await gathered(db.scan('rows', null, { reverse: true })), [...rows].reverse())
  assert.deepEqual(await db.getAll('rows'), rows)
  assert.equal((await gathered(db.scan('rows', null, { limit: 4321 }))).length, 4321)
})

test('a scan sees the database as it was when it was called', async (t) => {
  const db = await withPeople(t)
  const scan = db.scan('people')
  const cleared = db.clear('people')
  await db.put('people', { id: 5 })

  assert.deepEqual(await gathered(scan), people)
  await cleared
  assert.deepEqual(await gathered(db.scan('people')), [{ id: 5 }])
})

test('a scan can be ended early, and calls of next may overlap', async (t) => {
  const db = await withPeople(t)
  for await (const person of db.scan('people')) {
    assert.deepEqual(person, people[0])
    break
  }
  const scan = db.scan('people')
  const results = await Promise.all([scan.next(), scan.next(), scan.next(), scan.next(), scan.next()])
  assert.deepEqual(results.map(({ value }) => value), [...people, undefined])
  const ended = db.scan('people')
  assert.deepEqual(await ended.return(), { value: undefined, done: true })
  assert.deepEqual(await ended.next(), { value: undefined, done: true })
})

test('an index finds by key and by range with the end left out, on documents before and after it', async (t) => {
  const db = await withPeople(t)
  await db.createIndex('people', 'city', 'city')
  await db.put('people', { id: 5, name: 'Zoe', city: 'Bern' })

  assert.deepEqual((await db.getByIndex('people', 'city', 'London')).map(({ id }) => id), [1, 3])
  assert.deepEqual(await db.getByIndex('people', 'city', 'Paris'), [])
  assert.deepEqual((await db.rangeByIndex('people', 'city', 'Bern', 'London')).map(({ id }) => id), [4, 5])
  assert.deepEqual((await db.rangeByIndex('people', 'city', 'C')).map(({ id }) => id), [1, 3, 2])
  assert.deepEqual((await db.rangeByIndex('people', 'city', undefined, 'C')).map(({ id }) => id), [4, 5])
  assert.equal((await db.rangeByIndex('people', 'city')).length, 5)
  assert.deepEqual(await db.rangeByIndex('people', 'city', 'Z', 'A'), [])
  assert.deepEqual((await db.getByIndex('people', 'city', KeyRange.bound('L', 'M'))).map(({ id }) => id), [1, 3])
})

test('a compound index is found by all or the first of its parts', async (t) => {
  const db = await withPeople(t)
  await db.createIndex('people', 'place', ['city', 'name'])

  assert.deepEqual(await db.getByIndex('people', 'place', ['London', 'Eve']), [people[2]])
  assert.deepEqual(await db.rangeByIndex('people', 'place', ['London'], ['London', 'B']), [people[0]])
})

test('a multi-entry index finds a document by each element', async (t) => {
  const db = await withPeople(t)
  await db.createIndex('people', 'tag', 'tags', { multiEntry: true })
  assert.deepEqual((await db.getByIndex('people', 'tag', 'b')).map(({ id }) => id), [1, 2])
})

test('a unique index refuses a second document with the same key, alone of its tick', async (t) => {
  const db = await withPeople(t)
  await db.createIndex('people', 'name', 'name', true)

  const writes = await Promise.allSettled([
    db.put('people', { id: 10, name: 'Kim' }),
    db.put('people', { id: 11, name: 'Ada' }),
    db.put('people', { id: 12, name: 'Lee' })
  ])

  assert.deepEqual(writes.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled'])
  assert.equal(writes[1].reason.code, 'FLOWDB_CONSTRAINT')
  assert.deepEqual((await db.getAllKeys('people')), [1, 2, 3, 4, 10, 12])
})

test('a unique index is not created over documents that contradict it', async (t) => {
  const db = await withPeople(t)
  await assert.rejects(db.createIndex('people', 'city', 'city', true), { code: 'FLOWDB_CONSTRAINT' })
  assert.deepEqual((await db.describe('people')).indexes, [])
})

test('auto-increment gives keys that are written into the document, and none twice', async (t) => {
  const db = await openInMemory(t)
  await db.createObjectStore('log', { keyPath: 'id', autoIncrement: true })
  const keys = await Promise.all([db.put('log', { a: 1 }), db.put('log', { a: 2 }), db.put('log', { id: 10, a: 3 })])
  await db.delete('log', 2)

  assert.deepEqual(keys, [1, 2, 10])
  assert.equal(await db.put('log', { a: 4 }), 11)
  assert.deepEqual(await db.get('log', 11), { a: 4, id: 11 })
})

test('a key path may lead into a document or be compound', async (t) => {
  const db = await openInMemory(t, { deep: 'a.b', pair: ['x', 'y'] })
  assert.equal(await db.put('deep', { a: { b: 'k' } }), 'k')
  assert.deepEqual(await db.put('pair', { x: 1, y: 'z' }), [1, 'z'])
  assert.deepEqual(await db.get('pair', [1, 'z']), { x: 1, y: 'z' })
})

test('stores and indexes can be created again as they are, described and deleted', async (t) => {
  const db = await openInMemory(t, { b: ['x', 'y'], a: 'id' })
  await db.createObjectStore('a', 'id')
  await db.createObjectStore('a', { keyPath: 'id', autoIncrement: false })
  await db.createIndex('a', 'n', 'n', { unique: true })
  await db.createIndex('a', 'n', 'n', true)

  assert.deepEqual(await db.storeNames(), ['a', 'b'])
  assert.deepEqual(await db.describe('a'), {
    name: 'a',
    keyPath: 'id',
    autoIncrement: false,
    indexes: [{ name: 'n', keyPath: 'n', unique: true, multiEntry: false }]
  })
  assert.deepEqual((await db.describe('b')).keyPath, ['x', 'y'])
  await assert.rejects(db.createObjectStore('a', 'other'), { code: 'FLOWDB_EXISTS' })
  await assert.rejects(db.createIndex('a', 'n', 'm', true), { code: 'FLOWDB_EXISTS' })

  await db.deleteIndex('a', 'n')
  await db.deleteObjectStore('b')
  assert.deepEqual((await db.describe('a')).indexes, [])
  assert.deepEqual(await db.storeNames(), ['a'])
})

test('a deleted store leaves nothing behind for one of the same name', async (t) => {
  const db = await withPeople(t)
  await db.deleteObjectStore('people')
  await assert.rejects(db.get('people', 1), { code: 'FLOWDB_NOT_FOUND' })
  await db.createObjectStore('people', 'id')
  assert.deepEqual(await db.getAll('people'), [])
})

test('what was written is there after reopening', async (t) => {
  const options = { dataDir: temporary(t) }
  const first = FlowDB.open(options)
  await first.createObjectStore('people', 'id')
  await first.createIndex('people', 'city', 'city')
  for (const person of people) await first.put('people', person)
  await first.close()

  const second = FlowDB.open(options)
  assert.deepEqual(await second.getAll('people'), people)
  assert.equal((await second.getByIndex('people', 'city', 'London')).length, 2)
  await second.close()
})

test('two handles on one directory in one process share the database', async (t) => {
  const options = { dataDir: temporary(t) }
  const [one, two] = [FlowDB.open(options), FlowDB.open(options)]
  await one.createObjectStore('people', 'id')
  await one.put('people', people[0])

  assert.deepEqual(await two.get('people', 1), people[0])
  await one.close()
  await two.put('people', people[1])
  assert.equal(await two.count('people'), 2)
  await two.close()
})

test('every durability and option opens a database that works', async (t) => {
  for (const options of [
    { durability: 'strict' },
    { durability: 'relaxed', syncIntervalMs: 5 },
    { durability: 'none' },
    {
      memtableSizeMb: 0.25,
      maxFrozenMemtables: 1,
      blockSize: 1024,
      tableSizeMb: 1,
      blockCacheCapacityMb: 1,
      bloomBitsPerKey: 0,
      compression: 'none',
      compactionThreshold: 2,
      levelSizeMb: 1
    }
  ]) {
    const dataDir = temporary(t)
    const db = FlowDB.open({ dataDir, ...options })
    await db.createObjectStore('rows', 'id')
    const text = 'x'.repeat(1000)
    await Promise.all(Array.from({ length: 1000 }, (_, id) => db.put('rows', { id, text })))
    await db.close()

    const again = FlowDB.open({ dataDir, ...options })
    assert.equal((await again.getAll('rows')).length, 1000, JSON.stringify(options))
    await again.close()
  }
})

test('large documents, and documents larger than any buffer, come back whole', async (t) => {
  const db = await openInMemory(t, { blobs: null })
  for (const size of [60_000, 70_000, 1_000_000, 9_000_000]) {
    const text = 'é'.repeat(size / 2)
    await db.put('blobs', { text }, size)
    assert.equal((await db.get('blobs', size)).text, text)
  }
  assert.deepEqual((await db.getAll('blobs')).map(({ text }) => text.length), [30_000, 35_000, 500_000, 4_500_000])
})
