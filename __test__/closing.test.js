'use strict'

/* What a close waits for, and what it refuses: calls of several operations that were made before it come to an end. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { setImmediate: turn } = require('node:timers/promises')
const { test } = require('node:test')
const { FlowDB } = require('..')
const { gathered, temporary } = require('./support')

/** A database in a folder, and what finds it again after a close. */
async function withRows (t, documents) {
  const options = { dataDir: temporary(t), durability: 'none' }
  const db = FlowDB.open(options)
  await db.createObjectStore('rows', 'id')
  await db.putMany('rows', documents)
  const reopened = async () => {
    const again = FlowDB.open(options)
    const rows = await again.getAll('rows')
    await again.close()
    return rows
  }
  return { db, reopened }
}

test('every call of a tick is told that the database could not be opened', async (t) => {
  const db = FlowDB.open({ dataDir: join(temporary(t), 'none'), createIfMissing: false })
  db.ready.catch(() => {})
  const series = db.series('s')
  const calls = [
    db.put('rows', { id: 1 }), db.put('rows', { id: 2 }), db.put('rows', { id: 3 }), db.get('rows', 1),
    series.append('k', { v: 1 }), series.append('k', { v: 2 })
  ]
  for (const { status, reason } of await Promise.allSettled(calls)) {
    assert.deepEqual([status, reason?.code], ['rejected', 'FLOWDB_NOT_FOUND'])
  }
})

test('close waits for modify, whose function may take its time, and is called again', async (t) => {
  const { db, reopened } = await withRows(t, [{ id: 1, n: 0 }])
  let runs = 0
  const slowly = db.modify('rows', 1, async (row) => {
    // The first attempt is too late.
    if (++runs === 1) await db.put('rows', { id: 1, n: 10 })
    for (let turns = 0; turns < 5; turns++) await turn()
    return { ...row, n: row.n + 1 }
  })
  const behind = db.modify('rows', 1, (row) => ({ ...row, n: row.n * 2 }))
  while (runs < 2) await turn()
  await db.close()

  assert.deepEqual(await Promise.all([slowly, behind]), [{ id: 1, n: 11 }, { id: 1, n: 22 }])
  assert.deepEqual(await reopened(), [{ id: 1, n: 22 }])
  await assert.rejects(db.modify('rows', 1, () => undefined), { code: 'FLOWDB_CLOSED' })
})

test('close waits for modify also where its function fails, and refuses what that asks for anew', async (t) => {
  const { db, reopened } = await withRows(t, [{ id: 1, n: 0 }])
  const error = new Error('mine')
  let closed
  const failing = assert.rejects(db.modify('rows', 1, async () => {
    closed = db.close()
    await turn()
    throw error
  }), error)
  const asking = assert.rejects(db.modify('rows', 2, async () => {
    while (closed === undefined) await turn()
    return await db.get('rows', 1)
  }), { code: 'FLOWDB_CLOSED' })
  await Promise.all([failing, asking])
  await closed
  assert.deepEqual(await reopened(), [{ id: 1, n: 0 }])
})

test('close waits for changes at cursors', async (t) => {
  const { db, reopened } = await withRows(t, [{ id: 1 }, { id: 2 }, { id: 3 }])
  const [one, two, three] = await gathered(db.cursor('rows'))
  // Each change of a place waits for the one before it.
  const changes = [one.update({ id: 1, n: 1 }), one.update({ id: 1, n: 2 }), one.update({ id: 1, n: 3 }), two.delete()]
  const closed = db.close()
  await assert.rejects(three.delete(), { code: 'FLOWDB_CLOSED' })
  assert.deepEqual(await Promise.all(changes), [1, 1, 1, true])
  await closed
  assert.deepEqual(await reopened(), [{ id: 1, n: 3 }, { id: 3 }])
})

test('close waits for results of many pages', async (t) => {
  const documents = Array.from({ length: 300 }, (_, id) => ({ id, text: 'x'.repeat(5000) }))
  const { db } = await withRows(t, documents)
  const results = Promise.all([db.getAll('rows'), db.query('rows').where({ id: { gte: 0 } }).toArray()])
  await db.close()
  assert.deepEqual(await results, [documents, documents])
})

test('close waits for a commit that waits for modify, and aborts a transaction that nobody commits', async (t) => {
  const { db, reopened } = await withRows(t, [{ id: 1, n: 0 }, { id: 2, n: 0 }])
  const slowly = async (row) => {
    for (let turns = 0; turns < 5; turns++) await turn()
    return { ...row, n: 1 }
  }
  const [committed, left] = [db.transaction('rows', 'readwrite'), db.transaction('rows', 'readwrite')]
  committed.modify('rows', 1, slowly)
  const changed = left.modify('rows', 2, slowly)
  const commit = committed.commit()
  await db.close()

  await commit
  assert.deepEqual(await changed, { id: 2, n: 1 })
  await assert.rejects(left.commit(), { code: 'FLOWDB_CLOSED' })
  assert.deepEqual(await reopened(), [{ id: 1, n: 1 }, { id: 2, n: 0 }])
})

test('close waits for update and view, whose functions go on in their transactions only', async (t) => {
  const { db, reopened } = await withRows(t, [{ id: 1, n: 0 }])
  let [attempts, closed] = [0, undefined]
  const updated = db.update('rows', async (tx) => {
    const row = await tx.get('rows', 1)
    if (++attempts === 1) await db.put('rows', { id: 1, n: 10 })
    while (closed === undefined) await turn()
    for await (const { id } of tx.scan('rows')) await tx.put('rows', { id: id + 1, n: row.n + 1 })
    return attempts
  })
  const viewed = db.view('rows', async (tx) => {
    while (closed === undefined) await turn()
    await assert.rejects(db.get('rows', 1), { code: 'FLOWDB_CLOSED' })
    return await tx.count('rows')
  })
  while (attempts === 0) await turn()
  closed = db.close()

  assert.deepEqual(await Promise.all([updated, viewed]), [2, 1])
  await closed
  assert.deepEqual(await reopened(), [{ id: 1, n: 10 }, { id: 2, n: 11 }])
  await assert.rejects(db.update('rows', () => {}), { code: 'FLOWDB_CLOSED' })
  await assert.rejects(db.view('rows', () => {}), { code: 'FLOWDB_CLOSED' })
})
