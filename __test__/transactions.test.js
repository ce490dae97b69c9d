'use strict'

/* Transactions of FlowDB, one promise a test. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlowDB, KeyRange } = require('..')
const { collectGarbage, errorOf, gathered, openInMemory, temporary } = require('./support')

async function withUsers (t) {
  const db = await openInMemory(t, { users: 'id', notes: null })
  await db.put('users', { id: 1, visits: 0 })
  await db.put('users', { id: 2, visits: 0 })
  return db
}

test('a transaction sees its own writes in every read, and nobody else does before the commit', async (t) => {
  const db = await withUsers(t)
  await db.createIndex('users', 'visits', 'visits')
  const tx = db.transaction(['users', 'notes'], 'readwrite')
  assert.equal(await tx.put('users', { id: 3, visits: 7 }), 3)
  assert.equal(await tx.add('notes', 'text', 'key'), 'key')
  assert.equal(await tx.delete('users', 1), true)

  assert.deepEqual(await tx.get('users', 3), { id: 3, visits: 7 })
  assert.equal(await tx.get('users', 1), undefined)
  assert.equal(await tx.count('users'), 2)
  assert.deepEqual((await gathered(tx.scan('users'))).map(({ id }) => id), [2, 3])
  assert.deepEqual(await tx.getAllKeys('users', KeyRange.lowerBound(2)), [2, 3])
  assert.deepEqual(await tx.getByIndex('users', 'visits', 7), [{ id: 3, visits: 7 }])
  assert.deepEqual((await tx.rangeByIndex('users', 'visits', 0, 7)).map(({ id }) => id), [2])
  assert.deepEqual(await db.getAllKeys('users'), [1, 2])

  await tx.commit()
  assert.deepEqual(await db.getAllKeys('users'), [2, 3])
  assert.equal(await db.get('notes', 'key'), 'text')
})

test('an aborted transaction changes nothing', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  await tx.clear('users')
  await tx.put('users', { id: 9 })
  await tx.abort()

  assert.deepEqual(await db.getAllKeys('users'), [1, 2])
})

test('the second of two conflicting transactions rejects and changes nothing', async (t) => {
  const db = await withUsers(t)
  const visit = async (tx) => {
    const user = await tx.get('users', 1)
    await tx.put('users', { ...user, visits: user.visits + 1 })
  }
  const [first, second] = [db.transaction(['users'], 'readwrite'), db.transaction(['users'], 'readwrite')]
  await visit(first)
  await visit(second)

  await first.commit()

  await assert.rejects(second.commit(), { code: 'FLOWDB_CONFLICT' })
  assert.deepEqual(await db.get('users', 1), { id: 1, visits: 1 })
})

test('of transactions that commit in one tick the first wins, and the others go on alone', async (t) => {
  const db = await withUsers(t)
  const begun = Array.from({ length: 20 }, () => db.transaction('users', 'readwrite'))
  await Promise.all(begun.map((tx) => tx.get('users', 1)))

  const ended = await Promise.allSettled(begun.map((tx, at) => {
    if (at % 2 === 0) tx.put('users', { id: 1, visits: at })
    tx.put('users', { id: 100 + at })
    return tx.commit()
  }))

  assert.equal(ended[0].status, 'fulfilled')
  for (const [at, { status, reason }] of ended.entries()) {
    if (at > 0) assert.equal(reason?.code, 'FLOWDB_CONFLICT', `transaction ${at} is ${status}`)
  }
  assert.deepEqual(await db.get('users', 1), { id: 1, visits: 0 })
  assert.deepEqual(await db.getAllKeys('users'), [1, 2, 100])
})

test('a commit that was not awaited is seen by what is issued after it, and other transactions between them go on', async (t) => {
  const db = await withUsers(t)
  const [first, second] = [db.transaction('users', 'readwrite'), db.transaction('users', 'readwrite')]
  first.put('users', { id: 10 })
  const commits = [first.commit()]
  second.put('users', { id: 11 })
  const counted = second.getAllKeys('users', KeyRange.upperBound(5))
  commits.push(second.commit())
  const [ten, eleven] = [db.get('users', 10), db.get('users', 11)]

  await Promise.all(commits)

  assert.deepEqual(await counted, [1, 2])
  assert.deepEqual([await ten, await eleven], [{ id: 10 }, { id: 11 }])
})

test('a range that a transaction has read may not gain a document before it commits', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  const { length } = await tx.getAll('users', KeyRange.lowerBound(2))
  await db.put('users', { id: 5 })
  await tx.put('users', { id: 100, visits: length })

  await assert.rejects(tx.commit(), { code: 'FLOWDB_CONFLICT' })
})

test('single writes never show a conflict', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  await tx.get('users', 1)
  await Promise.all([db.put('users', { id: 1, visits: 5 }), db.put('users', { id: 1, visits: 6 })])
  assert.deepEqual(await db.get('users', 1), { id: 1, visits: 6 })
  await tx.abort()
})

test('a transaction sees what was written before it began, awaited or not, and nothing later', async (t) => {
  const db = await withUsers(t)
  const written = db.put('users', { id: 3 })
  const reading = db.transaction('users')
  const writing = db.transaction('users', 'readwrite')
  const later = db.put('users', { id: 4 })

  assert.deepEqual(await reading.getAllKeys('users'), [1, 2, 3])
  await later
  assert.equal(await reading.count('users'), 3)
  assert.deepEqual(await writing.getAllKeys('users'), [1, 2, 3])
  await written
  await reading.commit()
  await writing.abort()
})

test('a read-only transaction has its snapshot from the call that began it', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users')
  const cleared = db.clear('users')

  assert.equal(await tx.count('users'), 2)
  await cleared
  assert.deepEqual(await gathered(tx.scan('users', null, { reverse: true })), [{ id: 2, visits: 0 }, { id: 1, visits: 0 }])
  assert.equal(await db.count('users'), 0)
})

test('what is read after a commit that was not awaited sees the commit', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  tx.put('users', { id: 1, visits: 1 })
  const committed = tx.commit()

  assert.deepEqual(await db.get('users', 1), { id: 1, visits: 1 })
  await committed
})

test('a write in a read-only transaction rejects at once with FLOWDB_READ_ONLY', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users')
  for (const write of [
    tx.put('users', { id: 9 }), tx.add('users', { id: 9 }), tx.delete('users', 1), tx.clear('users')
  ]) await assert.rejects(write, { code: 'FLOWDB_READ_ONLY' })
  await tx.commit()
  assert.deepEqual(await db.getAllKeys('users'), [1, 2])
})

test('a store outside the scope rejects with FLOWDB_NOT_FOUND and leaves the transaction alive', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  await assert.rejects(tx.get('notes', 'key'), { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(tx.put('notes', 'text', 'key'), { code: 'FLOWDB_NOT_FOUND' })
  await tx.put('users', { id: 3 })
  await tx.commit()
  assert.equal(await db.count('users'), 3)
})

test('a transaction on a store that does not exist says so for every call', async (t) => {
  const db = await withUsers(t)
  for (const mode of ['readonly', 'readwrite']) {
    const tx = db.transaction(['users', 'nowhere'], mode)
    const error = await errorOf(tx.get('users', 1))
    assert.equal(error.code, 'FLOWDB_NOT_FOUND', mode)
    assert.match(error.message, /nowhere/)
    await assert.rejects(tx.commit(), { code: 'FLOWDB_NOT_FOUND' })
  }
})

test('after its end a transaction refuses every call', async (t) => {
  const db = await withUsers(t)
  for (const end of ['commit', 'abort']) {
    const tx = db.transaction('users', 'readwrite')
    const ended = tx[end]()
    for (const call of [
      () => tx.get('users', 1), () => tx.put('users', { id: 1 }), () => tx.count('users'), () => tx.getAll('users'),
      async () => tx.scan('users'), () => tx.commit(), () => tx.abort()
    ]) await assert.rejects(call(), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
    await ended
  }
})

test('a failed write leaves the transaction as it was, and who handles it may commit', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  await tx.put('users', { id: 3 })
  await assert.rejects(tx.add('users', { id: 3, again: true }), { code: 'FLOWDB_CONSTRAINT' })
  const handled = tx.add('users', { id: 1 }).catch(() => 'handled')
  await tx.commit()

  assert.equal(await handled, 'handled')
  assert.deepEqual(await db.getAllKeys('users'), [1, 2, 3])
})

test('a failed write that nobody looked at shows at the commit, and nothing is committed', async (t) => {
  const db = await withUsers(t)
  const unhandled = []
  const note = (error) => unhandled.push(error)
  process.on('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))

  for (const waits of [false, true]) {
    const tx = db.transaction('users', 'readwrite')
    tx.put('users', { id: 50 })
    tx.add('users', { id: 1 })
    if (waits) await tx.get('users', 1)
    const error = await errorOf(tx.commit())
    assert.equal(error.code, 'FLOWDB_CONSTRAINT')
    assert.equal(error.cause.code, 'FLOWDB_CONSTRAINT')
    await assert.rejects(tx.get('users', 1), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
  }
  await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual(unhandled, [])
  assert.deepEqual(await db.getAllKeys('users'), [1, 2])
})

test('await using aborts what was not committed', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  await tx.put('users', { id: 3 })
  await tx[Symbol.asyncDispose]()
  await tx[Symbol.asyncDispose]()
  const committed = db.transaction('users', 'readwrite')
  await committed.put('users', { id: 4 })
  await committed.commit()
  await committed[Symbol.asyncDispose]()

  assert.deepEqual(await db.getAllKeys('users'), [1, 2, 4])
})

test('a forgotten transaction is aborted when it is collected', async (t) => {
  const db = await withUsers(t)
  const forgotten = await (async () => {
    const tx = db.transaction('users', 'readwrite')
    await tx.put('users', { id: 3 })
    return new WeakRef(tx)
  })()
  for (let round = 0; round < 100 && forgotten.deref(); round++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    // Right after the timer: `deref` keeps its target for the rest of its job.
    collectGarbage()
  }
  assert.equal(forgotten.deref(), undefined, 'something holds the transaction')
  assert.deepEqual(await db.getAllKeys('users'), [1, 2])
})

test('closing the database aborts its transactions', async (t) => {
  const options = { dataDir: temporary(t) }
  const db = FlowDB.open(options)
  await db.createObjectStore('users', 'id')
  const tx = db.transaction('users', 'readwrite')
  await tx.put('users', { id: 1 })
  await db.close()
  await assert.rejects(tx.commit(), { code: 'FLOWDB_CLOSED' })
  await assert.rejects(tx.get('users', 1), { code: 'FLOWDB_CLOSED' })

  const again = FlowDB.open(options)
  assert.equal(await again.count('users'), 0)
  await again.close()
})

test('a transaction of ten thousand writes that are not awaited commits whole', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  for (let id = 0; id < 10_000; id++) tx.put('users', { id })
  await tx.commit()
  assert.equal(await db.count('users'), 10_000)
})

test('of many writes of a tick the one that fails is the only one, and who looks at it may commit', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  const failures = []
  for (let id = 100; id < 1000; id++) {
    tx.put('users', { id })
    if (id % 300 === 0) failures.push(tx.add('users', { id }).catch(({ code }) => code))
  }
  await tx.commit()
  assert.deepEqual(await Promise.all(failures), Array(3).fill('FLOWDB_CONSTRAINT'))
  assert.equal(await db.count('users'), 902)
})

test('of many writes that nobody looks at the commit finds the one that fails, wherever it stands', async (t) => {
  const db = await withUsers(t)
  for (const failing of [100, 355, 356, 700, 999]) {
    const tx = db.transaction('users', 'readwrite')
    for (let id = 100; id < 1000; id++) {
      if (id === failing) tx.add('users', { id: 1 })
      else tx.put('users', { id })
    }
    await assert.rejects(tx.commit(), { code: 'FLOWDB_CONSTRAINT' })
  }
  assert.equal(await db.count('users'), 2)
})

test('a write that failed and was looked at does not fail the commit by a later write with its number', async (t) => {
  const db = await withUsers(t)
  const tx = db.transaction('users', 'readwrite')
  await assert.rejects(tx.add('users', { id: 1 }), { code: 'FLOWDB_CONSTRAINT' })
  for (let id = 10; id < 400; id++) tx.put('users', { id })
  await tx.commit()
  assert.equal(await db.count('users'), 392)
})
