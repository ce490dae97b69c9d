'use strict'

/* Going back within a transaction, and isolation, one promise a test. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { openInMemory } = require('./support')

test('rollbackTo takes back what was written since the savepoint, which stays', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.createIndex('users', 'n', 'n')
  await db.put('users', { id: 1, n: 1 })
  const tx = db.transaction('users', 'readwrite')
  await tx.put('users', { id: 2, n: 2 })
  const outer = await tx.savepoint()
  await tx.clear('users')
  const inner = await tx.savepoint()
  await tx.put('users', { id: 3, n: 3 })
  await tx.rollbackTo(inner)
  assert.equal(await tx.count('users'), 0)
  await tx.rollbackTo(outer)
  assert.deepEqual(await tx.getAllKeys('users'), [1, 2])
  assert.deepEqual(await tx.getByIndex('users', 'n', 2), [{ id: 2, n: 2 }])
  await assert.rejects(tx.rollbackTo(inner), { code: 'FLOWDB_INVALID_ARGUMENT' })
  tx.put('users', { id: 4 })
  await tx.rollbackTo(outer)
  await tx.commit()

  assert.deepEqual(await db.getAllKeys('users'), [1, 2])
})

test('a savepoint is of its transaction only, and none in a read-only one', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const [one, two] = [db.transaction('users', 'readwrite'), db.transaction('users', 'readwrite')]
  const savepoint = await one.savepoint()
  await assert.rejects(two.rollbackTo(savepoint), { code: 'FLOWDB_INVALID_ARGUMENT' })
  for (const wrong of [undefined, null, 'a', 0, -1, 1.5, {}, 2 ** 53]) {
    await assert.rejects(one.rollbackTo(wrong), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  const reading = db.transaction('users')
  await assert.rejects(reading.savepoint(), { code: 'FLOWDB_READ_ONLY' })
  await assert.rejects(reading.rollbackTo(savepoint), { code: 'FLOWDB_READ_ONLY' })
  await reading.abort()
  await one.commit()
  await assert.rejects(one.savepoint(), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
  await assert.rejects(one.rollbackTo(savepoint), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
  await two.abort()
})

test('a rollback that failed and that nobody looked at shows at the commit', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const unhandled = []
  const note = (error) => unhandled.push(error)
  process.on('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))
  for (const wrong of [12345678, 'nothing']) {
    const tx = db.transaction('users', 'readwrite')
    tx.put('users', { id: 1 })
    tx.rollbackTo(wrong)
    await assert.rejects(tx.commit(), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual(unhandled, [])
  assert.equal(await db.count('users'), 0)
})

for (const isolation of ['serializable', 'snapshot']) {
  test(`write skew at ${isolation} isolation`, async (t) => {
    const db = await openInMemory(t, { doctors: 'id' })
    await Promise.all([1, 2].map((id) => db.put('doctors', { id, on: true })))
    const [one, two] = [1, 2].map(() => db.transaction('doctors', 'readwrite', { isolation }))
    for (const [tx, id] of [[one, 1], [two, 2]]) {
      const on = (await tx.getAll('doctors')).filter((doctor) => doctor.on)
      if (on.length === 2) await tx.put('doctors', { id, on: false })
    }
    await one.commit()
    if (isolation === 'snapshot') await two.commit()
    else await assert.rejects(two.commit(), { code: 'FLOWDB_CONFLICT' })
    const on = (await db.getAll('doctors')).filter((doctor) => doctor.on)
    assert.equal(on.length, isolation === 'snapshot' ? 0 : 1)
  })
}

test('at snapshot isolation the first of two that write one document wins', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const [one, two] = [1, 2].map(() => db.transaction('users', 'readwrite', { isolation: 'snapshot' }))
  await one.put('users', { id: 1, by: 'one' })
  await two.put('users', { id: 1, by: 'two' })
  await one.commit()
  await assert.rejects(two.commit(), { code: 'FLOWDB_CONFLICT' })
  assert.deepEqual(await db.get('users', 1), { id: 1, by: 'one' })
})

test('an isolation that there is not is refused', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  for (const options of [{ isolation: 'none' }, { isolation: null }, { level: 'snapshot' }, 'snapshot', new Map()]) {
    assert.throws(() => db.transaction('users', 'readwrite', options), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
})
