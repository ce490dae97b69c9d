'use strict'

/* `update` and `view`, and how large a transaction may be, one promise a test. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { join } = require('node:path')
const { FlowDB } = require('..')
const { errorOf, openInMemory, runProgram, temporary } = require('./support')

test('update commits and resolves to what its function gave', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const key = await db.update('users', async (tx) => await tx.put('users', { id: 7 }))
  assert.equal(key, 7)
  assert.equal(await db.update(['users'], () => 'no promise'), 'no promise')
  assert.equal(await db.count('users'), 1)
})

test('update runs again after a conflict until nothing comes between', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.put('users', { id: 1, visits: 0 })
  let runs = 0
  const visit = () => db.update('users', async (tx) => {
    runs++
    const user = await tx.get('users', 1)
    await tx.put('users', { ...user, visits: user.visits + 1 })
  })
  await Promise.all(Array.from({ length: 30 }, visit))

  assert.deepEqual(await db.get('users', 1), { id: 1, visits: 30 })
  assert.ok(runs > 30, 'nothing conflicted, so nothing was shown')
})

test('update gives up after its retries', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  for (const retries of [0, 3]) {
    let runs = 0
    const update = db.update('users', async (tx) => {
      runs++
      await tx.get('users', 1)
      await db.put('users', { id: 1, runs })
      await tx.put('users', { id: 2 })
    }, { retries })
    const error = await errorOf(update)
    assert.equal(error.code, 'FLOWDB_CONFLICT')
    assert.match(error.message, retries === 0 ? /its only attempt ended in a conflict/ : /each of its 4 attempts ended in a conflict/)
    assert.equal(error.cause.code, 'FLOWDB_CONFLICT')
    assert.equal(runs, retries + 1)
  }
  assert.equal(await db.get('users', 2), undefined)
})

test('what the function throws rejects the update, changes nothing, and is not tried again', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  let runs = 0
  const failing = (thrown) => db.update('users', async (tx) => {
    runs++
    tx.put('users', { id: 1 })
    throw thrown
  })
  const error = new TypeError('mine')
  assert.equal(await errorOf(failing(error)), error)
  assert.equal(await errorOf(failing(undefined)), undefined)
  assert.equal(await errorOf(failing({ code: 'FLOWDB_CONFLICT' })).then(({ code }) => code), 'FLOWDB_CONFLICT')
  await assert.rejects(db.update('users', (tx) => { tx.add('users', { id: NaN }) }), { code: 'FLOWDB_INVALID_VALUE' })
  await assert.rejects(db.update('users', (tx) => tx.put('users', { id: 1 }, { ifVersion: 4 })), { code: 'FLOWDB_CONSTRAINT' })
  assert.equal(runs, 3)
  assert.equal(await db.count('users'), 0)
})

test('a signal ends an update, before it, in it and between its attempts', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const reason = new Error('enough')
  const never = db.update('users', () => assert.fail('it was run'), { signal: AbortSignal.abort(reason) })
  assert.equal((await errorOf(never)).cause, reason)

  const inside = new AbortController()
  let seen
  const hanging = db.update('users', async (tx) => {
    seen = tx
    await tx.put('users', { id: 1 })
    inside.abort(reason)
    await new Promise(() => {})
  }, { signal: inside.signal })
  await assert.rejects(hanging, { code: 'FLOWDB_ABORTED' })
  await assert.rejects(seen.get('users', 1), { code: 'FLOWDB_TRANSACTION_INACTIVE' })

  const between = new AbortController()
  let runs = 0
  const conflicting = db.update('users', async (tx) => {
    if (++runs === 3) setImmediate(() => between.abort())
    await tx.get('users', 2)
    await db.put('users', { id: 2, runs })
    await tx.put('users', { id: 3 })
  }, { signal: between.signal, retries: Infinity })
  await assert.rejects(conflicting, { code: 'FLOWDB_ABORTED' })
  assert.deepEqual(await db.getAllKeys('users'), [2])
})

test('who ends the transaction in the function has decided', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.update('users', async (tx) => {
    await tx.put('users', { id: 1 })
    await tx.abort()
  })
  await db.update('users', async (tx) => {
    await tx.put('users', { id: 2 })
    await tx.commit()
  })
  assert.deepEqual(await db.getAllKeys('users'), [2])
})

test('view reads one moment, refuses writes, and lets its snapshot go', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.put('users', { id: 1, n: 1 })
  const seen = await db.view('users', async (tx) => {
    const first = await tx.get('users', 1)
    await db.put('users', { id: 1, n: 2 })
    await assert.rejects(tx.put('users', { id: 2 }), { code: 'FLOWDB_READ_ONLY' })
    return [first, await tx.get('users', 1)]
  })
  assert.deepEqual(seen, [{ id: 1, n: 1 }, { id: 1, n: 1 }])
  const error = new Error('mine')
  assert.equal(await errorOf(db.view('users', () => { throw error })), error)
  assert.equal((await db.stats()).snapshots, 0)
})

test('update and view refuse what is no function, option or store', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  for (const call of [
    () => db.update('users'), () => db.view('users'), () => db.update('users', {}), () => db.update([], () => {}),
    () => db.update('users', () => {}, { retries: -1 }), () => db.update('users', () => {}, { retries: '1' }),
    () => db.update('users', () => {}, { signal: {} }), () => db.update('users', () => {}, { isolation: 'none' }),
    () => db.update('users', () => {}, { retry: 1 })
  ]) await assert.rejects(call(), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(db.update('nowhere', (tx) => tx.get('nowhere', 1)), { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(db.view('users', (tx) => tx.get('nowhere', 1)), { code: 'FLOWDB_NOT_FOUND' })
})

test('sums are kept by updates of several worker threads', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir, durability: 'none' })
  await db.createObjectStore('accounts', 'id')
  for (let id = 0; id < 4; id++) await db.put('accounts', { id, amount: 100 })
  const workers = [1, 2, 3].map((seed) => new Worker(join(__dirname, 'programs', 'moves-money.js'), { workerData: { dataDir, seed } }))
  const codes = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
    worker.on('error', reject).on('exit', resolve)
  })))

  assert.deepEqual(codes, [0, 0, 0])
  const accounts = await db.getAll('accounts')
  assert.equal(accounts.reduce((sum, { amount }) => sum + amount, 0), 400)
  assert.equal(accounts.reduce((sum, { moves = 0 }) => sum + moves, 0), 2 * 3 * 40)
  await db.close()
})

test('a transaction of 100,000 puts, awaited or not, takes little memory', async (t) => {
  const { code, output, errors } = await runProgram('puts-in-one-transaction.js', [temporary(t)])
  assert.equal(code, 0, errors)
  const { count, awaited, unawaited } = JSON.parse(output)
  assert.equal(count, 200_000)
  t.diagnostic(`${awaited} MB where they were awaited by the thousand, ${unawaited} MB with the promises of those that were not`)
  assert.ok(awaited < 300 && unawaited < 800, output)
})
