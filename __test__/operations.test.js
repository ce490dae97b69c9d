'use strict'

/* Calls on many documents, on ranges and by index: the same on a database and in a transaction. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlowDB, KeyRange } = require('..')
const { errorOf, flashInMemory, gathered, openInMemory, temporary } = require('./support')

const people = [
  { id: 1, name: 'Ada', city: 'London', tags: ['a', 'b'] },
  { id: 2, name: 'Max', city: 'Zürich', tags: ['b'] },
  { id: 3, name: 'Eve', city: 'London', tags: [] },
  { id: 4, name: 'Bob', city: 'Bern', tags: ['a'] }
]

async function withPeople (t) {
  const db = await openInMemory(t, { people: 'id', notes: null })
  await db.createIndex('people', 'city', 'city')
  await db.createIndex('people', 'name', 'name', true)
  await db.createIndex('people', 'tags', 'tags', { multiEntry: true })
  await db.putMany('people', people)
  return db
}

/** A test of what is done on `on`, a database and then a transaction; `after` looks at the database behind it. */
function alike (name, { on: work, after = async () => {} }) {
  test(`${name}, on a database`, async (t) => {
    const db = await withPeople(t)
    await work(db)
    await after(db)
  })
  test(`${name}, in a transaction`, async (t) => {
    const db = await withPeople(t)
    const tx = db.transaction(['people', 'notes'], 'readwrite')
    await work(tx)
    await tx.commit()
    await after(db)
  })
}

const missing = async (on, ids) => assert.deepEqual(await on.getMany('people', ids), ids.map(() => undefined))

alike('getMany gives documents in the order of the keys, and undefined for what is not there', {
  async on (on) {
    assert.deepEqual(await on.getMany('people', [3, 9, 1, 3]), [people[2], undefined, people[0], people[2]])
    assert.deepEqual(await on.getMany('people', new Set([4])), [people[3]])
    assert.deepEqual(await on.getMany('people', []), [])
    await on.put('people', { id: 9 })
    assert.deepEqual(await on.getMany('people', [9]), [{ id: 9 }], 'it sees the write before it')
  }
})

alike('getKey gives the first key of a range, and has tells of one', {
  async on (on) {
    assert.equal(await on.getKey('people', KeyRange.lowerBound(2, true)), 3)
    assert.equal(await on.getKey('people', { gte: 2 }), 2)
    assert.equal(await on.getKey('people', 4), 4)
    assert.equal(await on.getKey('people', { gt: 4 }), undefined)
    assert.equal((await errorOf(on.getKey('people', undefined))).code, 'FLOWDB_INVALID_KEY')
    assert.deepEqual([await on.has('people', 1), await on.has('people', '1')], [true, false])
    await on.delete('people', 1)
    assert.equal(await on.has('people', 1), false)
    assert.equal((await errorOf(on.has('people', NaN))).code, 'FLOWDB_INVALID_KEY')
  }
})

alike('putMany replaces, addMany does not, and each changes all or nothing', {
  async on (on) {
    assert.deepEqual(await on.putMany('people', [{ id: 5, name: 'Kim' }, { id: 1, name: 'Ann' }]), [5, 1])
    const taken = on.putMany('people', [{ id: 6 }, { id: 7, name: 'Max' }, { id: 8 }])
    assert.equal((await errorOf(taken)).code, 'FLOWDB_CONSTRAINT')
    assert.equal((await errorOf(on.addMany('people', [{ id: 6 }, { id: 5 }]))).code, 'FLOWDB_CONSTRAINT')
    assert.equal((await errorOf(on.addMany('people', [{ id: 6 }, {}]))).code, 'FLOWDB_INVALID_KEY')
    await missing(on, [6, 7, 8])
    assert.deepEqual(await on.addMany('people', [{ id: 6 }, { id: 7 }]), [6, 7])
    assert.deepEqual(await on.putMany('people', []), [])
    assert.deepEqual(await on.putMany('notes', ['one', 'two'], [[1], [2]]), [[1], [2]])
  },
  async after (db) {
    assert.deepEqual(await db.getAllKeys('people'), [1, 2, 3, 4, 5, 6, 7])
    assert.equal((await db.get('people', 1)).name, 'Ann')
    assert.deepEqual(await db.getByIndex('people', 'name', 'Ada'), [], 'its index row went with the document')
    assert.deepEqual(await db.getAll('notes'), ['one', 'two'])
  }
})

alike('delete takes a key or a range, deleteMany keys', {
  async on (on) {
    assert.equal(await on.delete('people', 1), true)
    assert.equal(await on.delete('people', 1), false)
    assert.equal(await on.delete('people', { gte: 1, lt: 3 }), 1)
    assert.equal(await on.delete('people', KeyRange.only(2)), 0)
    assert.equal(await on.deleteMany('people', [3, 9, 3]), 1)
    assert.equal(await on.deleteMany('people', []), 0)
    assert.equal(await on.count('people'), 1)
    assert.deepEqual(await on.getByIndex('people', 'city', 'London'), [])
  },
  async after (db) {
    assert.deepEqual(await db.getAll('people'), [people[3]])
    assert.deepEqual([await db.count('people'), await db.countByIndex('people', 'tags')], [1, 1])
  }
})

alike('calls by index read by its keys', {
  async on (on) {
    const ids = (rows) => rows.map(({ id }) => id)
    assert.deepEqual(ids(await on.getAllByIndex('people', 'city')), [4, 1, 3, 2])
    assert.deepEqual(ids(await on.getAllByIndex('people', 'city', 'London', { reverse: true, limit: 1 })), [3])
    assert.deepEqual(ids(await on.getAllByIndex('people', 'city', { lt: 'London' })), [4])
    assert.deepEqual(ids(await on.getAllByIndex('people', 'city', null, 2)), [4, 1])
    assert.deepEqual(ids(await on.getByIndex('people', 'name', 'Eve')), [3])
    assert.deepEqual(await on.getByIndex('people', 'name', 'Nobody'), [])
    assert.deepEqual(ids(await on.rangeByIndex('people', 'name', 'B', 'F')), [4, 3])
    assert.deepEqual(ids(await on.rangeByIndex('people', 'name', { gte: 'B', lt: 'F' })), [4, 3])
    assert.deepEqual(ids(await on.rangeByIndex('people', 'name', { prefix: 'M' })), [2])
    assert.equal((await errorOf(on.rangeByIndex('people', 'name', { gte: 'B' }, 'C'))).code, 'FLOWDB_INVALID_ARGUMENT')
    assert.equal(await on.countByIndex('people', 'tags'), 4)
    assert.equal(await on.countByIndex('people', 'tags', 'b'), 2)
    assert.equal(await on.countByIndex('people', 'name', 'Eve'), 1)
    assert.equal(await on.countByIndex('people', 'name', 'Nobody'), 0)
    assert.equal(await on.getKeyByIndex('people', 'tags', 'b'), 1)
    assert.equal(await on.getKeyByIndex('people', 'name', { gt: 'Eve' }), 2)
    assert.equal(await on.getKeyByIndex('people', 'city', 'Paris'), undefined)
    for (const call of [
      () => on.getAllByIndex('people', 'no'), () => on.countByIndex('people', 'no'), () => on.getKeyByIndex('people', 'no', 1)
    ]) assert.equal((await errorOf(call())).code, 'FLOWDB_NOT_FOUND')
    for (const call of [
      () => on.getAllByIndex('people'), () => on.countByIndex('people'), () => on.getKeyByIndex('people', undefined, 1)
    ]) assert.equal((await errorOf(call())).code, 'FLOWDB_INVALID_ARGUMENT')
  }
})

alike('modify changes a document by what it is, leaves it, deletes it or makes it', {
  async on (on) {
    const aged = await on.modify('people', 1, (person) => ({ ...person, age: 36 }))
    assert.deepEqual(aged, { ...people[0], age: 36 })
    assert.deepEqual(await on.modify('people', 1, async () => undefined), aged)
    assert.equal(await on.modify('people', 2, () => FlowDB.DELETE), undefined)
    assert.deepEqual(await on.modify('people', 9, (person) => ({ id: 9, was: String(person) })), { id: 9, was: 'undefined' })
    assert.equal(await on.modify('people', 8, () => FlowDB.DELETE), undefined)
    assert.equal(await on.modify('people', 8, () => undefined), undefined)
    assert.equal(await on.modify('notes', 'n', () => null), null)
  },
  async after (db) {
    assert.deepEqual(await db.getAllKeys('people'), [1, 3, 4, 9])
    assert.deepEqual(await db.get('people', 9), { id: 9, was: 'undefined' })
    assert.deepEqual(await db.getAll('notes'), [null])
  }
})

alike('modifications that are not awaited one by one all count', {
  async on (on) {
    const up = (n) => (n ?? 0) + 1
    const done = await Promise.all(Array.from({ length: 300 }, (_, index) => on.modify('notes', index % 2, up)))
    const even = done.filter((_, index) => index % 2 === 0)
    assert.deepEqual(even.sort((a, b) => a - b), Array.from({ length: 150 }, (_, index) => index + 1))
  },
  async after (db) {
    assert.deepEqual(await db.getAll('notes'), [150, 150])
  }
})

alike('patch merges what it names, as RFC 7396 says', {
  async on (on) {
    assert.equal(await on.patch('people', 1, { city: 'Rome', tags: null, at: { x: 1 } }), true)
    assert.equal(await on.patch('people', 1, { at: { y: 2, x: null } }), true)
    assert.equal(await on.patch('people', 9, { city: 'Rome' }), false)
    assert.deepEqual(await on.get('people', 1), { id: 1, name: 'Ada', city: 'Rome', at: { y: 2 } })
    assert.deepEqual(await on.getKeyByIndex('people', 'city', 'Rome'), 1)
    assert.equal((await errorOf(on.patch('people', 1, { id: 2 }))).code, 'FLOWDB_INVALID_KEY')
    assert.equal((await errorOf(on.patch('people', 1, { name: 'Max' }))).code, 'FLOWDB_CONSTRAINT')
    assert.equal((await errorOf(on.patch('people', 1, { x: NaN }))).code, 'FLOWDB_INVALID_VALUE')
    assert.equal((await errorOf(on.patch('people', 1, undefined))).code, 'FLOWDB_INVALID_VALUE')
    assert.equal((await errorOf(on.patch('people', undefined, {}))).code, 'FLOWDB_INVALID_KEY')
  }
})

test('plain objects are ranges wherever a range is taken', async (t) => {
  const db = await openInMemory(t, { rows: null })
  const keys = [1, 2, 3, 'a', 'ab', 'b', new Uint8Array([1]), new Uint8Array([1, 2]), [1], [1, 2], [2]]
  await db.putMany('rows', keys.map(() => 0), keys)
  const found = async (range) => await db.getAllKeys('rows', range)

  assert.deepEqual(await found({ gt: 1, lte: 3 }), [2, 3])
  assert.deepEqual(await found({ gte: 1, lt: 3 }), [1, 2])
  assert.deepEqual(await found({ gte: 'b', lt: [1, 0] }), ['b', keys[6], keys[7], [1]])
  assert.deepEqual(await found({ prefix: 'a' }), ['a', 'ab'])
  assert.deepEqual(await found({ prefix: new Uint8Array([1]) }), [keys[6], keys[7]])
  assert.deepEqual(await found({ prefix: [1] }), [[1], [1, 2]])
  assert.deepEqual(await found(Object.assign(Object.create(null), { gte: [2], lt: undefined })), [[2]])
  assert.equal(await db.count('rows', { prefix: [] }), 3)
  assert.equal(await db.delete('rows', { prefix: 'a' }), 2)
  assert.deepEqual(await gathered(db.scan('rows', { lt: 'z', gt: 2 })), [0, 0])
  const pages = await gathered(db.cursor('rows', { range: { prefix: [1] }, direction: 'prev' }))
  assert.deepEqual(pages.map(({ key }) => key), [[1, 2], [1]])
})

test('a KeyRange has its bounds and tells whether a key is in it', () => {
  const range = KeyRange.bound(1, [2], true, false)
  const { lower, upper, lowerOpen, upperOpen } = range
  assert.deepEqual({ lower, upper, lowerOpen, upperOpen }, { lower: 1, upper: [2], lowerOpen: true, upperOpen: false })
  const included = [1, 1.5, new Date(0), 'a', Buffer.from('b'), [1, 5], [2], [2, 0]].map((key) => range.includes(key))
  assert.deepEqual(included, [false, true, true, true, true, true, true, false])
  for (const [other, keys] of [
    [KeyRange.only('a'), [false, true, false]], [KeyRange.lowerBound('a'), [false, true, true]],
    [KeyRange.lowerBound('a', true), [false, false, true]], [KeyRange.upperBound('a'), [true, true, false]],
    [KeyRange.upperBound('a', true), [true, false, false]]
  ]) assert.deepEqual([7, 'a', 'b'].map((key) => other.includes(key)), keys)
  assert.throws(() => range.includes({}), { code: 'FLOWDB_INVALID_KEY' })
})

test('plain objects are ranges for series, FlashStore and upkeep, too', async (t) => {
  const db = await openInMemory(t, { rows: null })
  const series = db.series('heat')
  await series.appendMany(['a', 'ab', 'b'].map((key) => ({ key, value: key, ts: 1 })))
  const values = async (key) => (await series.getAll({ key })).map(({ value }) => value)
  assert.deepEqual(await values({ gt: 'a' }), ['ab', 'b'])
  assert.deepEqual(await values({ prefix: 'a' }), ['a', 'ab'])
  const store = flashInMemory(t)
  for (const key of [1, 2, 3]) await store.set(key, key)
  assert.deepEqual(await gathered(store.keys({ range: { gte: 2 } })), [2, 3])
  await db.compact('rows', { lt: 5 })
  assert.equal(typeof await db.approximateSize('rows', { prefix: 'a' }), 'number')
})

test('a range that says nothing, too much or the wrong thing is refused at the call', async (t) => {
  const db = await openInMemory(t, { rows: null })
  await db.put('rows', 1, 1)
  const refused = {
    FLOWDB_INVALID_ARGUMENT: [
      { gt: undefined }, { gt: 1, gte: 1 }, { lt: 1, lte: 1 }, { prefix: 'a', lt: 'b' }, { gt: 1, limit: 3 }, { prefix: 1 },
      { gt: 2, lt: 1 }, { gt: 1, lt: 1 }, { prefix: null }
    ],
    FLOWDB_INVALID_KEY: [{}, { id: 1 }, { gt: NaN }, { prefix: [NaN] }, { gte: {} }, new Map([['gt', 1]])]
  }
  for (const [code, ranges] of Object.entries(refused)) {
    for (const range of ranges) {
      for (const call of [
        () => db.count('rows', range), () => db.getAll('rows', range), () => db.delete('rows', range),
        () => db.getKey('rows', range), () => db.cursor('rows', { range }).next(), () => db.scan('rows', range).next()
      ]) assert.equal((await errorOf(Promise.resolve().then(call))).code, code, `${JSON.stringify(range)} in ${call}`)
    }
  }
  assert.equal(await db.count('rows'), 1)
})

test('calls on many refuse what they can not take, before anything is done', async (t) => {
  const db = await openInMemory(t, { rows: null, keyed: 'id' })
  const endless = { * [Symbol.iterator] () { for (;;) yield NaN } }
  const calls = {
    FLOWDB_INVALID_ARGUMENT: [
      () => db.putMany('rows', 'text', []), () => db.putMany('rows', null), () => db.getMany('rows', 5),
      () => db.putMany('rows', [1, 2], [1]), () => db.putMany('rows', [1], [1, 2]), () => db.deleteMany('rows', undefined),
      () => db.putMany('keyed', [{ id: 1 }], [1]), () => db.getMany('', [1]), () => db.modify('rows', 1, 'no function'),
      () => db.putMany('rows', [1], { [Symbol.iterator] () { throw new Error('thrown by an iterator') } })
    ],
    FLOWDB_INVALID_KEY: [
      () => db.getMany('rows', [1, undefined]), () => db.getMany('rows', new Array(2 ** 32 - 1)), () => db.putMany('rows', [1]),
      () => db.deleteMany('rows', endless), () => db.putMany('rows', [1], [{}]), () => db.modify('rows', undefined, () => 1)
    ],
    FLOWDB_INVALID_VALUE: [
      () => db.putMany('keyed', [{ id: 1 }, undefined]), () => db.putMany('keyed', endless), () => db.modify('rows', 1, () => NaN)
    ],
    FLOWDB_NOT_FOUND: [
      () => db.getMany('none', [1]), () => db.putMany('none', []), () => db.deleteMany('none', []), () => db.getKey('none', 1),
      () => db.delete('none', { gt: 1 }), () => db.modify('none', 1, () => 1), () => db.patch('none', 1, {})
    ]
  }
  for (const [code, list] of Object.entries(calls)) {
    for (const call of list) assert.equal((await errorOf(Promise.resolve().then(call))).code, code, String(call))
  }
  assert.deepEqual([await db.count('rows'), await db.count('keyed')], [0, 0])
})

test('what writes many is refused by a read-only transaction, outside its scope, and after its end', async (t) => {
  const db = await withPeople(t)
  const writes = (tx, store) => [
    tx.putMany(store, [{ id: 1 }]), tx.addMany(store, [{ id: 1 }]), tx.deleteMany(store, [1]),
    tx.delete(store, { gt: 1 }), tx.modify(store, 1, () => FlowDB.DELETE), tx.patch(store, 1, {})
  ]
  const codes = async (promises) => new Set(await Promise.all(promises.map(async (one) => (await errorOf(one)).code)))

  const reader = db.transaction('people')
  assert.deepEqual(await codes(writes(reader, 'people')), new Set(['FLOWDB_READ_ONLY']))
  const [cursor] = await gathered(reader.cursor('people', { limit: 1 }))
  assert.deepEqual(await codes([cursor.update({ id: 1 }), cursor.delete()]), new Set(['FLOWDB_READ_ONLY']))
  await reader.commit()
  const writer = db.transaction('people', 'readwrite')
  assert.deepEqual(await codes(writes(writer, 'notes')), new Set(['FLOWDB_NOT_FOUND']))
  await writer.abort()
  assert.deepEqual(await codes(writes(writer, 'people')), new Set(['FLOWDB_TRANSACTION_INACTIVE']))
  assert.deepEqual(await db.getAll('people'), people)
})

test('calls on many in a transaction are taken back with it, and conflict like single ones', async (t) => {
  const db = await withPeople(t)
  const aborted = db.transaction('people', 'readwrite')
  await aborted.putMany('people', [{ id: 9 }])
  await aborted.delete('people', { lt: 4 })
  assert.equal(await aborted.count('people'), 2)
  await aborted.abort()
  assert.equal(await db.count('people'), 4)

  const [first, second] = [db.transaction('people', 'readwrite'), db.transaction('people', 'readwrite')]
  await first.delete('people', { gte: 2 })
  await second.addMany('people', [{ id: 50 }])
  await second.commit()
  assert.equal((await errorOf(first.commit())).code, 'FLOWDB_CONFLICT')
  assert.equal(await db.count('people'), 5)
})

test('a failed call on many that nobody looked at fails the commit', async (t) => {
  const db = await withPeople(t)
  for (const write of [
    (tx) => tx.addMany('people', [{ id: 6 }, { id: 1 }]), (tx) => tx.putMany('people', [NaN]),
    (tx) => tx.modify('people', 1, () => ({ id: 2 })), (tx) => tx.delete('people', { gt: NaN }),
    (tx) => tx.patch('people', 1, { id: 3 }), (tx) => tx.modify('people', 1, () => { throw new Error('thrown by a change') })
  ]) {
    const tx = db.transaction('people', 'readwrite')
    tx.put('people', { id: 7 })
    write(tx)
    await errorOf(tx.commit())
    assert.equal(await db.count('people'), 4, String(write))
  }
})

test('a commit waits for a modification that was not awaited, and takes no more calls meanwhile', async (t) => {
  const db = await withPeople(t)
  const tx = db.transaction('people', 'readwrite')
  let finish
  tx.modify('people', 1, async (person) => {
    await new Promise((resolve) => { finish = resolve })
    return { ...person, age: 36 }
  })
  const committed = tx.commit()
  assert.equal((await errorOf(tx.put('people', { id: 7 }))).code, 'FLOWDB_TRANSACTION_INACTIVE')
  assert.equal((await errorOf(tx.commit())).code, 'FLOWDB_TRANSACTION_INACTIVE')
  while (finish === undefined) await new Promise(setImmediate)
  finish()
  await committed
  assert.equal((await db.get('people', 1)).age, 36)
  assert.equal(await db.has('people', 7), false)
})

test('what the function of modify throws rejects the call and changes nothing', async (t) => {
  const db = await withPeople(t)
  const thrown = new Error('thrown by a change')
  assert.equal(await errorOf(db.modify('people', 1, () => { throw thrown })), thrown)
  assert.equal(await errorOf(db.modify('people', 1, async () => { throw thrown })), thrown)
  assert.equal((await errorOf(db.modify('people', 1, () => ({ id: 2 })))).code, 'FLOWDB_INVALID_KEY')
  assert.equal((await errorOf(db.modify('people', 1, (one) => ({ ...one, name: 'Max' })))).code, 'FLOWDB_CONSTRAINT')
  assert.deepEqual(await db.getAll('people'), people)
})

test('modify is called again with what another has written meanwhile, and gives up where that never ends', async (t) => {
  const db = await withPeople(t)
  const seen = []
  const after = await db.modify('people', 1, async (person) => {
    seen.push(person.age)
    if (seen.length < 3) await db.put('people', { id: 1, age: seen.length })
    return { ...person, age: (person.age ?? 0) + 10 }
  })
  assert.deepEqual([seen, after], [[undefined, 1, 2], { id: 1, age: 12 }])

  // Deleted and made anew: the same version, and another document.
  let calls = 0
  await db.modify('people', 2, async (person) => {
    if (calls++ === 0) {
      await db.delete('people', 2)
      await db.put('people', { id: 2, name: 'New' })
    }
    return { ...person, seen: person.name }
  })
  assert.deepEqual(await db.get('people', 2), { id: 2, name: 'New', seen: 'New' })

  let count = 0
  const endless = db.modify('people', 1, async () => {
    await db.put('people', { id: 1, count: ++count })
    return { id: 1 }
  })
  assert.equal((await errorOf(endless)).code, 'FLOWDB_CONFLICT')
  assert.deepEqual(await db.get('people', 1), { id: 1, count: 100 })
})

test('a modification within another of the same key does not wait for ever', async (t) => {
  const db = await withPeople(t)
  let calls = 0
  await db.modify('people', 1, async (person) => {
    if (calls++ === 0) await db.modify('people', 1, (inner) => ({ ...inner, inner: true }))
    return { ...person, outer: true }
  })
  assert.deepEqual(await db.get('people', 1), { ...people[0], inner: true, outer: true })
})

test('a machine that stands still makes no modification go out of turn, and a slow function only the next', async (t) => {
  const db = await withPeople(t)
  let calls = 0
  const all = Array.from({ length: 100 }, () => db.modify('people', 1, (person) => ({ ...person, calls: ++calls })))
  // Timers are late now, and the answers have not been taken.
  await new Promise(setImmediate)
  for (const end = performance.now() + 300; performance.now() < end;);
  await Promise.all(all)
  assert.equal(calls, 100, 'each function was called once')

  let release
  const released = new Promise((resolve) => { release = resolve })
  let slowCalls = 0
  const slow = db.modify('people', 1, async (person) => {
    if (++slowCalls === 1) await released
    return { ...person, slow: true }
  })
  const others = Array.from({ length: 50 }, () => db.modify('people', 1, (person) => ({ ...person, calls: ++calls })))
  await Promise.all(others)
  release()
  await slow
  const { calls: counted, slow: isSlow } = await db.get('people', 1)
  assert.deepEqual([calls, counted, isSlow, slowCalls], [150, 150, true, 2])
})

test('modifications of one document on the disk, hundreds at once, all count', async (t) => {
  const db = FlowDB.open({ dataDir: temporary(t) })
  await db.createObjectStore('counters')
  await Promise.all(Array.from({ length: 300 }, () => db.modify('counters', 'hits', (n = 0) => n + 1)))
  assert.equal(await db.get('counters', 'hits'), 300)
  await db.close()
})

test('deleting a range of ten thousand documents keeps indexes and counts exact, across a reopening', async (t) => {
  const dataDir = temporary(t)
  let db = FlowDB.open({ dataDir, durability: 'relaxed' })
  await db.createObjectStore('rows', 'id')
  await db.createIndex('rows', 'n', 'n')
  await db.putMany('rows', Array.from({ length: 12_000 }, (_, id) => ({ id, n: id % 10 })))

  assert.equal(await db.delete('rows', { gte: 1000, lt: 11_000 }), 10_000)
  const check = async () => {
    assert.deepEqual([await db.count('rows'), await db.countByIndex('rows', 'n')], [2000, 2000])
    assert.deepEqual(await db.getAllKeys('rows', { gte: 998, lt: 11_002 }), [998, 999, 11_000, 11_001])
    assert.equal(await db.countByIndex('rows', 'n', 3), 200)
  }
  await check()
  await db.close()
  db = FlowDB.open({ dataDir })
  await check()
  await db.close()
})

test('generated keys go on behind explicit numbers, as in IndexedDB', async (t) => {
  const db = await openInMemory(t)
  await db.createObjectStore('rows', { keyPath: 'id', autoIncrement: true })
  await db.createObjectStore('plain', { autoIncrement: true })

  assert.deepEqual(await db.putMany('rows', [{}, { id: 7.5 }, {}, { id: 3 }, { id: 'text' }, {}]), [1, 7.5, 8, 3, 'text', 9])
  assert.deepEqual(await db.addMany('plain', ['a', 'b', 'c'], [undefined, 100, undefined]), [1, 100, 101])
  assert.equal(await db.put('rows', { id: -50 }), -50)
  assert.equal(await db.put('rows', {}), 10)
  const tx = db.transaction('rows', 'readwrite')
  assert.equal(await tx.put('rows', { id: 20 }), 20)
  assert.equal(await tx.put('rows', {}), 21)
  await tx.commit()
  assert.equal(await db.put('rows', { id: 2 ** 53 }), 2 ** 53)
  assert.equal((await errorOf(db.put('rows', {}))).code, 'FLOWDB_CONSTRAINT')
  assert.deepEqual(await db.storeNames(), ['plain', 'rows'])
  assert.deepEqual(await db.describe('rows'), { name: 'rows', keyPath: 'id', autoIncrement: true, indexes: [] })
})

test('what the function of an unawaited modify throws comes out of commit as it is', async () => {
  const db = FlowDB.open({ inMemory: true })
  await db.createObjectStore('s', 'id')
  const hostile = { get code () { throw new Error('a trap') } }
  for (const thrown of [undefined, null, new Error('mine'), { code: 'X' }, hostile]) {
    const tx = db.transaction('s', 'readwrite')
    tx.modify('s', 1, () => { throw thrown })
    await tx.commit().then(() => assert.fail('it was committed'), (error) => assert.equal(error, thrown))
  }
  await db.close()
})

test('a transaction whose commit waits for a modify is over: it is not aborted and update resolves', async () => {
  const db = FlowDB.open({ inMemory: true })
  await db.createObjectStore('s', 'id')
  let committed
  await db.update('s', async (tx) => {
    tx.modify('s', 1, () => ({ id: 1 }))
    committed = tx.commit()
    assert.equal(tx.isActive, false)
    await tx[Symbol.asyncDispose]()
  })
  await committed
  assert.deepEqual(await db.get('s', 1), { id: 1 })
  await db.close()
})
