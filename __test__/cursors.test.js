'use strict'

/* Cursors: the four directions of IndexedDB, and changes on the way. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlowDB, KeyRange } = require('..')
const { errorOf, gathered, openInMemory } = require('./support')

const rows = [
  { id: 1, g: 'b' }, { id: 2, g: 'a' }, { id: 3, g: 'b' }, { id: 4, g: 'c' }, { id: 5, g: 'a' }, { id: 6 }
]

async function withRows (t) {
  const db = await openInMemory(t, { rows: 'id', others: null })
  await db.createIndex('rows', 'g', 'g')
  await db.createIndex('rows', 'u', 'id', true)
  await db.createIndex('rows', 'tags', 'tags', { multiEntry: true })
  await db.putMany('rows', rows)
  return db
}

const at = async (cursors) => (await gathered(cursors)).map(({ key, primaryKey }) => [key, primaryKey])

test('a cursor over an index goes in the four directions of IndexedDB', async (t) => {
  const db = await withRows(t)
  const tx = db.transaction('rows', 'readwrite')
  const next = [['a', 2], ['a', 5], ['b', 1], ['b', 3], ['c', 4]]
  for (const on of [db, tx]) {
    const go = (direction, range) => at(on.cursor('rows', { index: 'g', direction, range }))
    assert.deepEqual(await go(undefined), next)
    assert.deepEqual(await go('next'), next)
    assert.deepEqual(await go('prev'), [...next].reverse())
    assert.deepEqual(await go('nextunique'), [['a', 2], ['b', 1], ['c', 4]])
    assert.deepEqual(await go('prevunique'), [['c', 4], ['b', 1], ['a', 2]], 'the lowest primary key of each')
    assert.deepEqual(await go('prevunique', KeyRange.bound('a', 'b')), [['b', 1], ['a', 2]])
    assert.deepEqual(await go('nextunique', { gt: 'a' }), [['b', 1], ['c', 4]])
    assert.deepEqual(await go('next', 'b'), [['b', 1], ['b', 3]])
  }
  await tx.abort()
})

test('a cursor over a store or a unique index has each key once in every direction', async (t) => {
  const db = await withRows(t)
  const ids = [1, 2, 3, 4, 5, 6].map((id) => [id, id])
  for (const index of [undefined, 'u']) {
    for (const [direction, expected] of [
      ['next', ids], ['nextunique', ids], ['prev', [...ids].reverse()], ['prevunique', [...ids].reverse()]
    ]) assert.deepEqual(await at(db.cursor('rows', { index, direction })), expected)
    assert.deepEqual(await at(db.cursor('rows', { index, range: 3 })), [[3, 3]])
  }
  const [first] = await gathered(db.cursor('rows', { limit: 1 }))
  assert.deepEqual([first.key, first.primaryKey, first.value], [1, 1, rows[0]])
})

test('a multi-entry index has a document under each of its elements', async (t) => {
  const db = await withRows(t)
  await db.putMany('rows', [{ id: 10, tags: ['x', 'y'] }, { id: 11, tags: ['y', 'z', 'y'] }])
  const go = (direction) => at(db.cursor('rows', { index: 'tags', direction }))
  assert.deepEqual(await go('next'), [['x', 10], ['y', 10], ['y', 11], ['z', 11]])
  assert.deepEqual(await go('nextunique'), [['x', 10], ['y', 10], ['z', 11]])
  assert.deepEqual(await go('prevunique'), [['z', 11], ['y', 10], ['x', 10]])
})

test('all directions agree with a sorted list, over many pages', async (t) => {
  const db = await withRows(t)
  const many = Array.from({ length: 3000 }, (_, id) => ({ id: 100 + id, g: (id * 7919) % 40, text: 'x'.repeat(id % 90) }))
  await db.clear('rows')
  await db.putMany('rows', many)
  const all = many.map(({ id, g }) => [g, id]).sort(([a, x], [b, y]) => a - b || x - y)
  const lowest = all.filter(([g], place) => place === 0 || all[place - 1][0] !== g)
  const go = (direction) => at(db.cursor('rows', { index: 'g', direction }))

  assert.deepEqual(await go('next'), all)
  assert.deepEqual(await go('prev'), [...all].reverse())
  assert.deepEqual(await go('nextunique'), lowest)
  assert.deepEqual(await go('prevunique'), [...lowest].reverse())
  const cursors = await gathered(db.cursor('rows', { direction: 'prev', limit: 2500 }))
  assert.deepEqual(cursors.map(({ value }) => value), [...many].reverse().slice(0, 2500))
})

test('update and delete at the cursor change the document and its index entries', async (t) => {
  const db = await withRows(t)
  for (const begin of [() => db, () => db.transaction('rows', 'readwrite')]) {
    const on = begin()
    for await (const cursor of on.cursor('rows', { index: 'g', range: { lte: 'b' } })) {
      const { id, n = 0 } = cursor.value
      if (id === 5) assert.equal(await cursor.delete(), true)
      else assert.equal(await cursor.update({ id, g: cursor.key, n: n + 1 }), id)
    }
    assert.deepEqual(await at(on.cursor('rows', { index: 'g' })), [['a', 2], ['b', 1], ['b', 3], ['c', 4]])
    if (on === db) await db.put('rows', { id: 5, g: 'a' })
    else await on.commit()
  }
  assert.deepEqual(await db.getAll('rows', { lte: 5 }), [
    { id: 1, g: 'b', n: 2 }, { id: 2, g: 'a', n: 2 }, { id: 3, g: 'b', n: 2 }, { id: 4, g: 'c' }
  ])
})

test('a cursor that moves documents ahead of itself meets each once, on a database and in a transaction', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await db.createIndex('rows', 'n', 'n')
  await db.putMany('rows', Array.from({ length: 2000 }, (_, id) => ({ id, n: id, text: 'x'.repeat(200) })))
  const tx = db.transaction('rows', 'readwrite')
  for (const on of [db, tx]) {
    let met = 0
    const updates = []
    for await (const cursor of on.cursor('rows', { index: 'n' })) {
      met++
      updates.push(cursor.update({ ...cursor.value, n: cursor.value.n + 5000 }))
    }
    await Promise.all(updates)
    assert.equal(met, 2000)
    assert.equal(await on.countByIndex('rows', 'n'), 2000)
    if (on === db) assert.equal(await db.countByIndex('rows', 'n', { lt: 5000 }), 0)
  }
  await tx.abort()
  assert.equal(await db.countByIndex('rows', 'n', { gte: 5000, lt: 7000 }), 2000)
})

test('a cursor sees what there was when it was opened, and no write of others or of its own transaction since', async (t) => {
  const db = await withRows(t)
  const tx = db.transaction('rows', 'readwrite')
  await tx.delete('rows', 1)
  for (const [on, before] of [[db, [1, 2, 3, 4, 5, 6]], [tx, [2, 3, 4, 5, 6]]]) {
    const cursors = on.cursor('rows')
    on.put('rows', { id: 2, late: true })
    on.delete('rows', { gte: 4 })
    on.put('rows', { id: 0 })
    const seen = await gathered(cursors)
    assert.deepEqual(seen.map(({ primaryKey }) => primaryKey), before)
    assert.ok(seen.every(({ value }) => value.late === undefined))
  }
  assert.deepEqual(await tx.getAllKeys('rows'), [0, 2, 3])
  await tx.abort()
})

test('a document that was changed since the cursor read it is not changed by it', async (t) => {
  const db = await withRows(t)
  const cursors = await gathered(db.cursor('rows'))
  await db.put('rows', { id: 1, g: 'new' })
  await db.delete('rows', 2)
  await db.delete('rows', 3)
  await db.put('rows', { id: 3, g: 'b', anew: true })

  for (const cursor of cursors.slice(0, 3)) {
    assert.equal((await errorOf(cursor.update({ id: cursor.key }))).code, 'FLOWDB_CONFLICT')
  }
  assert.equal((await errorOf(cursors[0].delete())).code, 'FLOWDB_CONFLICT')
  assert.equal(await cursors[1].delete(), false, 'what is gone need not be deleted')
  assert.equal((await errorOf(cursors[2].delete())).code, 'FLOWDB_CONFLICT')
  assert.deepEqual(await db.getAll('rows', { lt: 4 }), [{ id: 1, g: 'new' }, { id: 3, g: 'b', anew: true }])
})

test('several changes at one place follow each other', async (t) => {
  const db = await withRows(t)
  const tx = db.transaction('rows', 'readwrite')
  for (const on of [db, tx]) {
    const [cursor] = await gathered(on.cursor('rows', { range: 1 }))
    const all = [cursor.update({ id: 1, n: 1 }), cursor.update({ id: 1, n: 2 }), cursor.delete(), cursor.delete()]
    assert.deepEqual(await Promise.all(all), [1, 1, true, false])
    assert.equal(await on.has('rows', 1), false)
    await cursor.update({ id: 1, n: 3 })
    assert.deepEqual(await on.get('rows', 1), { id: 1, n: 3 })
  }
  await tx.abort()
})

test('a commit waits for changes at a cursor that were not awaited, and fails with them', async (t) => {
  const db = await withRows(t)
  const tx = db.transaction('rows', 'readwrite')
  for await (const cursor of tx.cursor('rows')) cursor.update({ id: cursor.key, touched: true })
  await tx.commit()
  assert.ok((await db.getAll('rows')).every(({ touched }) => touched))

  const failing = db.transaction('rows', 'readwrite')
  for await (const cursor of failing.cursor('rows')) cursor.update({ id: cursor.key === 3 ? 'other' : cursor.key })
  const error = await errorOf(failing.commit())
  assert.deepEqual([error.code, error.cause.code], ['FLOWDB_INVALID_KEY', 'FLOWDB_INVALID_KEY'])
  assert.ok((await db.getAll('rows')).every(({ touched }) => touched))
})

test('what a cursor is asked for wrongly is refused', async (t) => {
  const db = await withRows(t)
  for (const [options, code] of [
    [{ direction: 'up' }, 'FLOWDB_INVALID_ARGUMENT'], [{ direction: '__proto__' }, 'FLOWDB_INVALID_ARGUMENT'],
    [{ direction: null }, 'FLOWDB_INVALID_ARGUMENT'], [{ dir: 'next' }, 'FLOWDB_INVALID_ARGUMENT'],
    [{ index: '' }, 'FLOWDB_INVALID_ARGUMENT'], [{ limit: -1 }, 'FLOWDB_INVALID_ARGUMENT'], ['next', 'FLOWDB_INVALID_ARGUMENT'],
    [{ range: NaN }, 'FLOWDB_INVALID_KEY'], [{ index: 'no' }, 'FLOWDB_NOT_FOUND']
  ]) {
    const error = await errorOf(Promise.resolve().then(() => db.cursor('rows', options).next()))
    assert.equal(error.code, code, JSON.stringify(options))
  }
  assert.equal((await errorOf(db.cursor('none').next())).code, 'FLOWDB_NOT_FOUND')
  const [cursor] = await gathered(db.cursor('rows', { range: 1 }))
  for (const document of [undefined, NaN, { id: 1, f () {} }]) {
    assert.equal((await errorOf(cursor.update(document))).code, 'FLOWDB_INVALID_VALUE')
  }
  assert.equal((await errorOf(cursor.update({ id: 2 }))).code, 'FLOWDB_INVALID_KEY')
  assert.deepEqual(await db.getAll('rows'), rows)
})

test('a cursor may be left early, and its places are good for changes after that', async (t) => {
  const db = await withRows(t)
  let kept
  for await (const cursor of db.cursor('rows', { index: 'g' })) {
    kept = cursor
    break
  }
  await kept.update({ id: 2, kept: true })
  assert.deepEqual(await db.get('rows', 2), { id: 2, kept: true })
  const closed = FlowDB.open({ inMemory: true })
  await closed.createObjectStore('rows', 'id')
  await closed.put('rows', { id: 1 })
  const [cursor] = await gathered(closed.cursor('rows'))
  await closed.close()
  assert.equal((await errorOf(cursor.update({ id: 1 }))).code, 'FLOWDB_CLOSED')
})
