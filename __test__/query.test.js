'use strict'

/* Queries of FlowDB, one promise a test. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlowDB } = require('..')
const { errorOf, gathered, openInMemory, runProgram, temporary } = require('./support')

const PEOPLE = [
  { id: 1, name: 'Ada', city: 'Bern', age: 30, tags: ['x', 'y'], address: { zip: '3000', street: 'A' } },
  { id: 2, name: 'Bob', city: 'Jena', age: 17, tags: [], address: { zip: '0774' } },
  { id: 3, name: 'Abe', city: 'Bern', tags: 'x' },
  { id: 4, name: 'Cleo', city: 'Bern', age: 'old', tags: ['y'], lines: [{ sku: 'a', n: 1 }, { sku: 'b', n: 2 }] },
  { id: 5, name: 'Dora', city: 'Ulm', age: 30, tags: ['x'] },
  { id: 6, name: 'Eve', city: null, age: { years: 3 } }
]

const INDEXES = [
  ['by_city', 'city'], ['by_age', 'age'], ['by_both', ['city', 'age']], ['by_name', 'name', { unique: true }],
  ['by_tag', 'tags', { multiEntry: true }], ['by_zip', 'address.zip']
]

async function people (t, indexes = INDEXES) {
  const db = await openInMemory(t, { people: 'id', other: null })
  const tx = db.transaction('people', 'readwrite')
  for (const person of PEOPLE) tx.put('people', person)
  await tx.commit()
  for (const [name, path, options] of indexes) await db.createIndex('people', name, path, options)
  return db
}

const ids = (documents) => documents.map(({ id }) => id)

test('every operator finds what it says, with indexes and without', async (t) => {
  for (const indexes of [INDEXES, []]) {
    const db = await people(t, indexes)
    const found = async (conditions) => ids(await db.query('people').where(conditions).orderBy('id').toArray())
    assert.deepEqual(await found({}), [1, 2, 3, 4, 5, 6])
    assert.deepEqual(await found({ city: 'Bern' }), [1, 3, 4])
    assert.deepEqual(await found({ city: { equals: 'Bern' } }), [1, 3, 4])
    assert.deepEqual(await found({ city: null }), [6])
    assert.deepEqual(await found({ age: { gt: 17 } }), [1, 5], 'a range of numbers finds no strings')
    assert.deepEqual(await found({ age: { gte: 17 } }), [1, 2, 5])
    assert.deepEqual(await found({ age: { lt: 30 } }), [2])
    assert.deepEqual(await found({ age: { lte: 30, gt: 17 } }), [1, 5])
    assert.deepEqual(await found({ age: { gte: 'a' } }), [4])
    assert.deepEqual(await found({ age: { gte: 5, lte: 'z' } }), [])
    assert.deepEqual(await found({ city: { in: ['Ulm', 'Jena', 'Ulm', 7] } }), [2, 5])
    assert.deepEqual(await found({ city: { in: [] } }), [])
    assert.deepEqual(await found({ name: { prefix: 'A' } }), [1, 3])
    assert.deepEqual(await found({ tags: { prefix: ['x'] } }), [1, 5])
    assert.deepEqual(await found({ tags: { contains: 'x' } }), [1, 5], 'what is no array contains nothing')
    assert.deepEqual(await found({ tags: 'x' }), [3])
    assert.deepEqual(await found({ tags: ['x', 'y'] }), [1])
    assert.deepEqual(await found({ 'address.zip': '3000' }), [1])
    assert.deepEqual(await found({ 'lines.1.sku': 'b' }), [4])
    assert.deepEqual(await found({ id: { gte: 5 } }), [5, 6])
    assert.deepEqual(await found({ id: 5n }), [], 'a bigint is another key than the number')
    assert.deepEqual(await found({ city: 'Bern', age: { gte: 18, lt: 65 }, tags: { contains: 'x' } }), [1])
    assert.deepEqual(await found({ nowhere: 1 }), [])
  }
})

test('conditions of several calls have to be met all, and a query never changes', async (t) => {
  const db = await people(t)
  const bern = db.query('people').where({ city: 'Bern' })
  const old = bern.where({ age: { gte: 18 } }).where({ age: { lt: 65 } })

  assert.deepEqual(ids(await old.toArray()), [1])
  assert.deepEqual(ids(await bern.toArray()), [1, 3, 4])
  assert.deepEqual(ids(await bern.limit(1).limit(2).toArray()).length, 2)
  assert.deepEqual(ids(await bern.toArray()), [1, 3, 4])
})

test('an order puts what has no key last in both directions, and ties by primary key', async (t) => {
  for (const indexes of [INDEXES, []]) {
    const db = await people(t, indexes)
    const all = db.query('people')
    assert.deepEqual(ids(await all.orderBy('age').toArray()), [2, 1, 5, 4, 3, 6])
    assert.deepEqual(ids(await all.orderBy('age', 'desc').toArray()), [4, 1, 5, 2, 3, 6])
    assert.deepEqual(ids(await all.orderBy('id', 'desc').toArray()), [6, 5, 4, 3, 2, 1])
    assert.deepEqual(ids(await all.orderBy(['city', 'age']).toArray()), [6, 1, 4, 3, 2, 5])
    assert.deepEqual(ids(await all.orderBy({ city: 'desc', age: 'asc' }).toArray()), [5, 2, 1, 4, 3, 6])
    assert.deepEqual(ids(await all.orderBy('city', 'desc').orderBy('age').toArray()), [5, 2, 1, 4, 3, 6])
    assert.deepEqual(ids(await all.orderBy('age').offset(1).limit(3).toArray()), [1, 5, 4])
    assert.deepEqual(ids(await all.orderBy('age').offset(5).toArray()), [6])
    assert.deepEqual(ids(await all.orderBy('age').offset(9).toArray()), [])
    assert.deepEqual(ids(await all.orderBy('age').limit(0).toArray()), [])
  }
})

test('a selection keeps what is named where it is nested', async (t) => {
  const db = await people(t)
  const first = db.query('people').where({ id: 1 })
  assert.deepEqual(await first.select('name', 'address.zip', 'none').toArray(), [{ name: 'Ada', address: { zip: '3000' } }])
  assert.deepEqual(await first.select(['id']).first(), { id: 1 })
  assert.deepEqual(await first.select('none.at.all').first(), {})
  assert.deepEqual(await first.select('').first(), PEOPLE[0])
  const fourth = db.query('people').where({ id: 4 })
  assert.deepEqual(await fourth.select('lines.1.sku', 'lines.0.n').first(), { lines: [{ n: 1 }, { sku: 'b' }] })
  assert.deepEqual(await fourth.select('id').keys(), [4])
})

test('first, count and keys tell of what toArray would give', async (t) => {
  const db = await people(t)
  const bern = db.query('people').where({ city: 'Bern' }).orderBy('id', 'desc')
  assert.deepEqual(await bern.first(), PEOPLE[3])
  assert.deepEqual(await bern.keys(), [4, 3, 1])
  assert.equal(await bern.count(), 3)
  assert.equal(await bern.offset(1).limit(1).count(), 1)
  assert.equal(await bern.limit(0).first(), undefined)
  assert.equal(await db.query('people').where({ city: 'Rome' }).first(), undefined)
  assert.equal(await db.query('people').count(), 6)
  assert.equal(await db.query('people').offset(4).limit(9).count(), 2)
})

test('delete removes what the query finds, within limit and offset', async (t) => {
  const db = await people(t)
  assert.equal(await db.query('people').where({ city: 'Bern' }).orderBy('id').offset(1).limit(1).delete(), 1)
  assert.deepEqual(await db.getAllKeys('people'), [1, 2, 4, 5, 6])
  assert.equal(await db.query('people').where({ tags: { contains: 'x' } }).delete(), 2)
  assert.deepEqual(await db.getAllKeys('people'), [2, 4, 6])
  assert.deepEqual(await db.getByIndex('people', 'by_city', 'Bern'), [PEOPLE[3]])
  assert.equal(await db.query('people').where({ city: 'Rome' }).delete(), 0)
  assert.equal(await db.query('people').delete(), 3)
  assert.equal(await db.count('people'), 0)
})

test('an operation after a delete that was not awaited sees it, and the delete sees writes before it', async (t) => {
  const db = await people(t)
  db.put('people', { id: 7, city: 'Bern' })
  const deleted = db.query('people').where({ city: 'Bern' }).delete()
  const left = db.query('people').keys()
  const alive = db.get('people', 1)

  assert.equal(await deleted, 4)
  assert.deepEqual(await left, [2, 5, 6])
  assert.equal(await alive, undefined)
})

test('for await streams over one snapshot, page by page', async (t) => {
  const db = await openInMemory(t, { many: 'id' })
  await db.createIndex('many', 'by_n', 'n')
  const tx = db.transaction('many', 'readwrite')
  for (let id = 0; id < 3000; id++) tx.put('many', { id, n: id % 7, text: 'x'.repeat(100) })
  await tx.commit()
  const seen = []
  for await (const { id } of db.query('many').where({ n: { gte: 3 } }).orderBy('n', 'desc')) {
    if (seen.length === 0) await db.clear('many')
    seen.push(id)
  }
  const expected = [6, 5, 4, 3].flatMap((n) => Array.from({ length: 3000 }, (_, id) => id).filter((id) => id % 7 === n))
  assert.deepEqual(seen, expected)
  assert.deepEqual(await gathered(db.query('many')), [])
})

test('who ends a loop early lets go of the snapshot', async (t) => {
  const db = await people(t)
  const big = db.transaction('other', 'readwrite')
  for (let key = 0; key < 500; key++) big.put('other', { text: 'x'.repeat(500) }, key)
  await big.commit()
  for await (const { text } of db.query('other')) {
    assert.equal(text.length, 500)
    break
  }
  for (let round = 0; round < 50 && (await db.stats()).snapshots > 0; round++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.equal((await db.stats()).snapshots, 0)
})

test('a query in a transaction sees its writes, and nobody else does before the commit', async (t) => {
  const db = await people(t)
  const tx = db.transaction('people', 'readwrite')
  tx.put('people', { id: 7, city: 'Bern', age: 1 })
  const bern = tx.query('people').where({ city: 'Bern' })
  assert.deepEqual(await bern.orderBy('age').keys(), [7, 1, 4, 3])
  assert.deepEqual(await gathered(bern.where({ age: { lt: 5 } })), [{ id: 7, city: 'Bern', age: 1 }])
  assert.equal(await bern.count(), 4)
  assert.equal((await bern.explain()).rowsReturned, 4)
  assert.equal((await bern.orderBy('age').first()).id, 7)
  assert.equal(await bern.where({ age: { gte: 0 } }).delete(), 2)
  assert.deepEqual(await bern.orderBy('id').keys(), [3, 4])
  assert.equal(await db.query('people').where({ city: 'Bern' }).count(), 3)
  await tx.commit()
  assert.equal(await db.query('people').where({ city: 'Bern' }).count(), 2)
})

test('what a query in a transaction reads conflicts with what others write there', async (t) => {
  const db = await people(t)
  const begin = async () => {
    const tx = db.transaction('people', 'readwrite')
    const count = await tx.query('people').where({ city: 'Bern' }).count()
    await tx.put('people', { id: 100, count })
    return tx
  }
  const phantom = await begin()
  await db.put('people', { id: 8, city: 'Bern' })
  await assert.rejects(phantom.commit(), { code: 'FLOWDB_CONFLICT' })

  const elsewhere = await begin()
  await db.put('people', { id: 9, city: 'Rome' })
  await elsewhere.commit()
  assert.deepEqual(await db.get('people', 100), { id: 100, count: 4 })
})

test('a delete in a read-only transaction, a store outside the scope, and an end are typed errors', async (t) => {
  const db = await people(t)
  const tx = db.transaction('people')
  await assert.rejects(tx.query('people').delete(), { code: 'FLOWDB_READ_ONLY' })
  for (const run of ['toArray', 'first', 'count', 'keys', 'delete', 'explain']) {
    await assert.rejects(tx.query('other')[run](), (error) => /READ_ONLY|NOT_FOUND/.test(error.code), run)
    await assert.rejects(db.query('nowhere')[run](), { code: 'FLOWDB_NOT_FOUND' }, run)
  }
  const query = tx.query('people')
  await tx.commit()
  for (const run of ['toArray', 'first', 'count', 'keys', 'delete', 'explain']) {
    await assert.rejects(query[run](), { code: 'FLOWDB_TRANSACTION_INACTIVE' }, run)
  }
  await db.close()
  for (const run of ['toArray', 'first', 'count', 'keys', 'delete', 'explain']) {
    await assert.rejects(db.query('people')[run](), { code: 'FLOWDB_CLOSED' }, run)
  }
  await assert.rejects(gathered(db.query('people')), { code: 'FLOWDB_CLOSED' })
})

test('a failed delete that nobody looked at shows at the commit', async (t) => {
  const db = await people(t)
  const tx = db.transaction(['people'], 'readwrite')
  tx.put('people', { id: 50 })
  tx.query('other').delete()
  const error = await errorOf(tx.commit())
  assert.equal(error.code, 'FLOWDB_NOT_FOUND')
  assert.equal(await db.get('people', 50), undefined)
})

test('what can not be asked throws at the call that asks it', async (t) => {
  const db = await people(t)
  const query = db.query('people')
  const throws = (code, call) => assert.throws(call, { code }, String(call))
  for (const operand of [NaN, undefined, () => {}, new Date(NaN), Symbol('s'), 'x'.repeat(20_000), new Map()]) {
    throws('FLOWDB_INVALID_KEY', () => query.where({ age: operand }))
    throws('FLOWDB_INVALID_KEY', () => query.where({ age: { gt: operand } }))
    throws('FLOWDB_INVALID_KEY', () => query.where({ age: { in: [1, operand] } }))
    throws('FLOWDB_INVALID_KEY', () => query.where({ tags: { contains: operand } }))
  }
  throws('FLOWDB_INVALID_KEY', () => query.where({ age: { gt: {} } }))
  throws('FLOWDB_INVALID_KEY', () => query.where({ age: [{}] }))
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`p${at}`, 1]))
  for (const call of [
    () => query.where(), () => query.where('age'), () => query.where([]), () => query.where(null),
    () => query.where(new Map()), () => query.where({ age: {} }), () => query.where({ age: { above: 1 } }),
    () => query.where({ age: { __proto__: null, constructor: 1 } }), () => query.where({ age: { in: 7 } }),
    () => query.where({ age: { prefix: 7 } }), () => query.where({ age: { prefix: new Date() } }),
    () => query.where({ 'a..b': 1 }), () => query.where({ 'a.': 1 }), () => query.where({ ['x'.repeat(1025)]: 1 }),
    () => query.where({ [Array(33).fill('a').join('.')]: 1 }), () => query.where({ '\ud800': 1 }), () => query.where(many),
    () => query.where({ age: { in: Array(10_001).fill(1) } }),
    () => query.orderBy(), () => query.orderBy(7), () => query.orderBy('age', 'down'), () => query.orderBy('a..b'),
    () => query.orderBy({ age: 'up' }), () => query.orderBy({ age: 'asc' }, 'desc'), () => query.orderBy(['age', 7]),
    () => query.orderBy(Array.from({ length: 17 }, (_, at) => `p${at}`)),
    () => query.select(7), () => query.select('a', 7), () => query.select('a..b'), () => query.select({}),
    () => query.select(Array.from({ length: 257 }, (_, at) => `p${at}`)),
    () => query.limit(-1), () => query.limit(1.5), () => query.limit('1'), () => query.limit(),
    () => query.offset(-1), () => query.offset(Infinity), () => query.offset(NaN), () => query.offset(2 ** 53),
    () => db.query(), () => db.query(''), () => db.query(7), () => db.query('a\0b')
  ]) throws('FLOWDB_INVALID_ARGUMENT', call)
  assert.equal((await query.toArray()).length, 6)
})

test('code in conditions that throws is the cause of a typed error, and no code runs after the call', async (t) => {
  const db = await people(t)
  const query = db.query('people')
  const thrown = new Error('mine')
  const trap = () => { throw thrown }
  for (const call of [
    () => query.where({ get age () { return trap() } }), () => query.where({ age: { get gt () { return trap() } } }),
    () => query.where(new Proxy({}, { ownKeys: trap })),
    () => query.where({ age: new Proxy({}, { getPrototypeOf: trap }) }),
    () => query.where({ age: { in: new Proxy([], { get: trap }) } }),
    () => query.orderBy(new Proxy([], { get: trap })), () => query.select(new Proxy([], { get: trap }))
  ]) {
    assert.throws(call, (error) => /^FLOWDB_INVALID/.test(error.code) && error.cause === thrown, String(call))
  }
  const city = ['Bern']
  const [whole, some] = [query.where({ tags: city }), query.where({ city: { in: city } })]
  const date = new Date(0)
  const dated = query.where({ at: date })
  city[0] = 'Jena'
  date.setTime(NaN)
  assert.deepEqual([ids(await whole.toArray()), ids(await some.toArray()), await dated.toArray()], [[], [1, 3, 4], []])
})

test('documents with any names are found by them', async (t) => {
  const db = await openInMemory(t, { odd: 'id' })
  await db.put('odd', JSON.parse('{"id":1,"__proto__":{"a":1},"constructor":"c","":{"x":2}}'))
  const odd = db.query('odd')
  assert.equal(await odd.where(JSON.parse('{"__proto__.a":1}')).count(), 1)
  assert.equal(await odd.where({ constructor: 'c' }).count(), 1)
  const [{ constructor }] = await odd.select('constructor').toArray()
  assert.equal(constructor, 'c')
  const [selected] = await odd.select('__proto__.a').toArray()
  assert.deepEqual(Object.getOwnPropertyDescriptor(selected, '__proto__')?.value, { a: 1 })
})

test('explain tells which index serves, and what was read', async (t) => {
  const db = await people(t)
  const query = db.query('people')
  assert.deepEqual(await query.where({ name: 'Ada' }).explain(), {
    plan: 'index',
    index: 'by_name',
    indexes: ['by_name'],
    order: 'forwards',
    rowsRead: 2,
    rowsReturned: 1,
    indexRowsRead: 1,
    documentsRead: 1,
    rowsSampled: 0
  })
  const planOf = async (asked) => {
    const { plan, index, order } = await asked.explain()
    return [plan, index, order]
  }
  assert.deepEqual(await planOf(query), ['scan', null, 'forwards'])
  assert.deepEqual(await planOf(query.where({ nowhere: 1 })), ['scan', null, 'forwards'])
  assert.deepEqual(await planOf(query.where({ id: { gte: 2 } })), ['key', null, 'forwards'])
  assert.deepEqual(await planOf(query.where({ id: { in: [] } })), ['nothing', null, 'forwards'])
  assert.deepEqual(await planOf(query.where({ city: { prefix: 'B' } })), ['index', 'by_city', 'forwards'])
  assert.deepEqual(await planOf(query.where({ city: 'Bern', age: { gte: 1 } })), ['index', 'by_both', 'forwards'])
  assert.deepEqual(await planOf(query.where({ tags: { contains: 'x' } })), ['index', 'by_tag', 'forwards'])
  assert.deepEqual(await planOf(query.where({ 'address.zip': '3000' })), ['index', 'by_zip', 'forwards'])
  assert.deepEqual(await planOf(query.orderBy('age', 'desc').limit(2)), ['index', 'by_age', 'backwards'])
  assert.deepEqual(await planOf(query.where({ city: 'Bern' }).orderBy('age').limit(2)), ['index', 'by_both', 'forwards'])
  assert.deepEqual(await planOf(query.orderBy('lines')), ['scan', null, 'sorted'])
  assert.deepEqual(await planOf(query.where({ city: 'Bern' }).orderBy('name', 'desc')), ['index', 'by_city', 'sorted'])
})

test('two selective indexes are intersected, and a limit in index order reads tens of rows', async (t) => {
  const db = await openInMemory(t, { many: 'id' })
  for (const path of ['a', 'b', 'n']) await db.createIndex('many', path, path)
  const tx = db.transaction('many', 'readwrite')
  for (let id = 0; id < 5000; id++) tx.put('many', { id, a: id % 50, b: id % 37, n: id * 7 % 5000 })
  await tx.commit()
  const both = db.query('many').where({ a: 3, b: 5 })
  const explained = await both.explain()
  assert.deepEqual([explained.plan, explained.indexes.sort()], ['intersection', ['a', 'b']])
  assert.equal(explained.documentsRead, explained.rowsReturned)
  const all = Array.from({ length: 5000 }, (_, id) => id)
  assert.deepEqual(ids(await both.toArray()), all.filter((id) => id % 50 === 3 && id % 37 === 5))
  for (const direction of ['asc', 'desc']) {
    const { index, rowsRead, rowsReturned } = await db.query('many').orderBy('n', direction).limit(10).explain()
    assert.deepEqual([index, rowsReturned, rowsRead < 50], ['n', 10, true], `${rowsRead}`)
  }
})

test('a query over more than the heap holds needs little of it', async (t) => {
  const flags = ['--max-old-space-size=48']
  const { code, output, errors } = await runProgram('queries-in-little-memory.js', [temporary(t)], { flags })
  assert.deepEqual({ code, output }, { code: 0, output: '30000,30000' }, errors)
})

test('a database that is still opening answers queries once it is open', async (t) => {
  const db = FlowDB.open({ inMemory: true })
  t.after(() => db.close())
  db.createObjectStore('s', 'id')
  db.put('s', { id: 1 })
  assert.deepEqual(await db.query('s').toArray(), [{ id: 1 }])
})
