'use strict'

/* Versions, conditions and expiry of documents, one promise a test. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { setTimeout: sleep } = require('node:timers/promises')
const { FlowDB } = require('..')
const { errorOf, gathered, openInMemory, temporary } = require('./support')

/** A time in the past is a deletion, so what is to expire soon has to have so many milliseconds. */
const SOON_MS = 300

/** Waits until a moment has come by the clock that the database goes by, too. */
async function until (moment) {
  while (Date.now() < moment) await sleep(Math.max(1, moment - Date.now()))
}

test('getEntry gives value, version, time of writing and expiry, in a transaction too', async (t) => {
  const db = await openInMemory(t, { users: 'id', notes: null })
  const before = Date.now()
  await db.put('users', { id: 1, n: 1 })
  await db.put('users', { id: 1, n: 2 })
  const expiresAt = Date.now() + 60_000
  await db.put('notes', 'text', ['a', 1], { expiresAt })
  const entry = await db.getEntry('users', 1)

  assert.ok(entry.updatedAt >= before && entry.updatedAt <= Date.now())
  assert.deepEqual(entry, { key: 1, value: { id: 1, n: 2 }, version: 2, updatedAt: entry.updatedAt })
  const note = await db.getEntry('notes', ['a', 1])
  assert.deepEqual(note, { key: ['a', 1], value: 'text', version: 1, updatedAt: note.updatedAt, expiresAt })
  assert.equal(await db.getEntry('users', 9), undefined)
  const tx = db.transaction('users', 'readwrite')
  await tx.put('users', { id: 1, n: 3 })
  assert.equal((await tx.getEntry('users', 1)).version, 3)
  assert.equal((await db.getEntry('users', 1)).version, 2)
  await tx.abort()
  await assert.rejects(db.getEntry('nowhere', 1), { code: 'FLOWDB_NOT_FOUND' })
})

test('ifVersion and ifAbsent write only where they are met, and say what was found', async (t) => {
  const db = await openInMemory(t, { users: 'id', notes: null })
  await db.put('users', { id: 1 }, { ifAbsent: true })
  await db.put('users', { id: 1, n: 2 }, { ifVersion: 1 })
  await db.put('notes', 'text', 'key', { ifVersion: 0 })

  const error = await errorOf(db.put('users', { id: 1, n: 3 }, { ifVersion: 1 }))
  assert.equal(error.code, 'FLOWDB_CONSTRAINT')
  assert.match(error.message, /document 1 of "users".*version 1.*version 2/)
  await assert.rejects(db.put('users', { id: 1 }, { ifAbsent: true }), { code: 'FLOWDB_CONSTRAINT' })
  await assert.rejects(db.add('users', { id: 1 }, { ttl: 60 }), { code: 'FLOWDB_CONSTRAINT' })
  await assert.rejects(db.put('notes', 'text', 'other', { ifVersion: 4 }), { code: 'FLOWDB_CONSTRAINT', message: /none/ })
  assert.deepEqual(await db.get('users', 1), { id: 1, n: 2 })
  assert.equal(await db.get('notes', 'other'), undefined)
})

test('of many who write one version at once, one succeeds', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.put('users', { id: 1 })
  const writes = Array.from({ length: 50 }, (_, n) => db.put('users', { id: 1, n }, { ifVersion: 1 }))
  const ended = await Promise.allSettled(writes)

  assert.deepEqual(ended.map(({ status }) => status), ['fulfilled', ...Array(49).fill('rejected')])
  assert.deepEqual(await db.get('users', 1), { id: 1, n: 0 })
})

test('a document with a ttl goes at its time, from every read', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.createIndex('users', 'mail', 'mail', true)
  await db.put('users', { id: 1, mail: 'a' }, { ttl: SOON_MS / 1000 })
  await db.add('users', { id: 2, mail: 'b' }, { expiresAt: new Date(Date.now() + 3_600_000) })
  const { expiresAt, updatedAt } = await db.getEntry('users', 1)
  assert.equal(expiresAt - updatedAt, SOON_MS)
  await until(expiresAt)

  assert.equal(await db.get('users', 1), undefined)
  assert.equal(await db.getEntry('users', 1), undefined)
  assert.equal(await db.count('users'), 1)
  assert.deepEqual(await db.getAllKeys('users'), [2])
  assert.deepEqual(await db.getByIndex('users', 'mail', 'a'), [])
  assert.deepEqual((await gathered(db.scan('users'))).map(({ id }) => id), [2])
  await db.add('users', { id: 3, mail: 'a' })
  assert.equal(await db.purgeExpired(), 1)
  assert.equal(await db.purgeExpired('users'), 0)
  assert.equal(await db.count('users'), 2)
})

test('touch changes the expiry and nothing else; a plain put takes it away', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.put('users', { id: 1 }, { ttl: 60 })
  const expiresAt = Date.now() + 7_200_000
  const { version, updatedAt } = await db.getEntry('users', 1)
  assert.equal(await db.touch('users', 1, { expiresAt }), true)
  assert.deepEqual(await db.getEntry('users', 1), { key: 1, value: { id: 1 }, version, updatedAt, expiresAt })
  await db.touch('users', 1, { expiresAt: null })
  assert.equal((await db.getEntry('users', 1)).expiresAt, undefined)
  await db.touch('users', 1, { ttl: 5 })
  await db.put('users', { id: 1 })
  assert.equal((await db.getEntry('users', 1)).expiresAt, undefined)
  assert.equal(await db.touch('users', 2, { ttl: 5 }), false)
  assert.equal(await db.touch('users', 1, { expiresAt: 0 }), true)
  assert.equal(await db.count('users'), 0)
})

test('a store\'s default ttl counts where a write names none, and can be changed', async (t) => {
  const db = await openInMemory(t)
  await db.createObjectStore('sessions', { keyPath: 'id', defaultTtl: 1.5 })
  await db.createObjectStore('sessions', { keyPath: 'id', defaultTtl: 1.5 })
  assert.deepEqual(await db.describe('sessions'), {
    name: 'sessions', keyPath: 'id', autoIncrement: false, indexes: [], defaultTtl: 1.5
  })
  await assert.rejects(db.createObjectStore('sessions', 'id'), { code: 'FLOWDB_EXISTS' })
  const lifeOf = async (id) => {
    const { expiresAt, updatedAt } = await db.getEntry('sessions', id)
    return expiresAt === undefined ? undefined : expiresAt - updatedAt
  }
  await db.put('sessions', { id: 1 })
  await db.put('sessions', { id: 2 }, { expiresAt: null })
  await db.put('sessions', { id: 3 }, { ttl: 60 })
  await db.setDefaultTtl('sessions', 30)
  await db.put('sessions', { id: 4 })
  const create = (defaultTtl) => db.createObjectStore('sessions', { keyPath: 'id', defaultTtl })
  await assert.rejects(create(1.5), { code: 'FLOWDB_EXISTS' })
  await create(30)
  await db.setDefaultTtl('sessions', null)
  await db.put('sessions', { id: 5 })

  assert.deepEqual(await Promise.all([1, 2, 3, 4, 5].map(lifeOf)), [1500, undefined, 60_000, 30_000, undefined])
  assert.equal((await db.describe('sessions')).defaultTtl, undefined)
  await assert.rejects(db.setDefaultTtl('nowhere', 5), { code: 'FLOWDB_NOT_FOUND' })
})

test('versions and expiries are there after reopening', async (t) => {
  const options = { dataDir: temporary(t) }
  const db = FlowDB.open(options)
  await db.createObjectStore('users', 'id')
  await db.put('users', { id: 1 })
  await db.put('users', { id: 1 }, { ttl: 3600 })
  await db.put('users', { id: 2 }, { ttl: SOON_MS / 1000 })
  const [entry, { expiresAt }] = [await db.getEntry('users', 1), await db.getEntry('users', 2)]
  await db.close()
  await until(expiresAt)

  const again = FlowDB.open(options)
  assert.deepEqual(await again.getEntry('users', 1), entry)
  assert.equal(await again.count('users'), 1)
  await again.close()
})

test('what is no option of a write is refused, and nothing is written', async (t) => {
  const db = await openInMemory(t, { users: 'id', notes: null })
  for (const options of [
    { ttl: 0 }, { ttl: -1 }, { ttl: NaN }, { ttl: '5' }, { ttl: 1e12 }, { ttl: null }, { ttl: 1, expiresAt: 5 },
    { expiresAt: NaN }, { expiresAt: 1.5 }, { expiresAt: new Date(NaN) }, { expiresAt: '2030' }, { expiresAt: 5n },
    { ifVersion: -1 }, { ifVersion: 1.5 }, { ifVersion: '1' }, { ifVersion: null }, { ifAbsent: 1 },
    { ifVersion: 1, ifAbsent: true }, { ifversion: 1 }
  ]) {
    await assert.rejects(db.put('users', { id: 1 }, options), { code: 'FLOWDB_INVALID_ARGUMENT' }, JSON.stringify(options, (_, value) => String(value)))
    await assert.rejects(db.put('notes', 'text', 'key', options), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  for (const options of [{ ifVersion: 1 }, { ifAbsent: false }]) {
    await assert.rejects(db.add('users', { id: 1 }, options), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  for (const options of [undefined, {}, { ttl: 1, expiresAt: null }, { ifVersion: 1 }, new Map(), 5, null]) {
    await assert.rejects(db.touch('users', 1, options), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  for (const options of [new Map(), 5, 'ttl', null]) {
    await assert.rejects(db.put('notes', 'text', 'key', options), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  for (const seconds of [undefined, 0, -1, '5', NaN]) {
    await assert.rejects(db.setDefaultTtl('users', seconds), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  await assert.rejects(db.createObjectStore('x', { defaultTtl: 0 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(db.put('notes', 'text', {}), { code: 'FLOWDB_INVALID_KEY' })
  assert.equal(await db.count('users') + await db.count('notes'), 0)
})

test('keys that are objects are keys, with options behind them and without', async (t) => {
  const db = await openInMemory(t, { notes: null })
  const keys = [new Date(5), Buffer.from('a'), ['a', 1]]
  for (const key of keys) {
    await db.put('notes', 1, key)
    await db.put('notes', 2, key, { ifVersion: 1 })
    await assert.rejects(db.add('notes', 3, key), { code: 'FLOWDB_CONSTRAINT' })
    assert.equal((await db.getEntry('notes', key)).version, 2)
  }
  assert.equal(await db.count('notes'), 3)
})

test('modify, patch and update at a cursor keep the expiry and count versions, putMany begins anew', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.setDefaultTtl('users', 60)
  const expiresAt = Date.now() + 3600_000
  await db.put('users', { id: 1, n: 1 }, { expiresAt })
  await db.modify('users', 1, (user) => ({ ...user, n: user.n + 1 }))
  await db.patch('users', 1, { n: 3 })
  for await (const cursor of db.cursor('users')) await cursor.update({ ...cursor.value, n: cursor.value.n + 1 })
  const { updatedAt, ...entry } = await db.getEntry('users', 1)
  assert.deepEqual(entry, { key: 1, value: { id: 1, n: 4 }, version: 4, expiresAt })

  await db.putMany('users', [{ id: 1, n: 5 }, { id: 2, n: 5 }])
  await db.modify('users', 3, () => ({ id: 3 }))
  for (const [id, version] of [[1, 5], [2, 1], [3, 1]]) {
    const put = await db.getEntry('users', id)
    assert.equal(put.version, version)
    assert.ok(put.expiresAt > Date.now() && put.expiresAt <= Date.now() + 60_000)
  }
})

test('a change that was computed before a touch is computed again, and refused at a cursor', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.put('users', { id: 1, n: 1 })
  const expiresAt = Date.now() + 60_000
  let calls = 0
  await db.modify('users', 1, async (user) => {
    if (calls++ === 0) await db.touch('users', 1, { expiresAt })
    return { ...user, n: user.n + 1 }
  })
  assert.equal(calls, 2)
  const entry = await db.getEntry('users', 1)
  assert.deepEqual([entry.value.n, entry.expiresAt], [2, expiresAt])
  for await (const cursor of db.cursor('users')) {
    await db.touch('users', 1, { expiresAt: null })
    await assert.rejects(cursor.update({ id: 1, n: 9 }), { code: 'FLOWDB_CONFLICT' })
  }
})

test('what has expired is in no query, cursor or count of a range, and a deleted range leaves it alone', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.createIndex('users', 'n', 'n')
  const soon = Date.now() + SOON_MS
  for (let id = 0; id < 6; id++) await db.put('users', { id, n: 1 }, { expiresAt: id % 2 === 0 ? soon : null })
  await until(soon)
  const query = db.query('users').where({ n: 1 })
  assert.deepEqual(await query.keys(), [1, 3, 5])
  assert.equal(await query.count(), 3)
  assert.equal((await gathered(db.cursor('users', { index: 'n', direction: 'prev' }))).length, 3)
  assert.equal(await db.count('users', { gte: 0, lt: 4 }), 2)
  assert.equal(await db.delete('users', { gte: 0, lt: 4 }), 2)
  assert.equal(await query.delete(), 1)
  assert.deepEqual([await db.count('users'), await db.purgeExpired('users'), await db.count('users')], [0, 3, 0])
})

test('cursors and queries in a transaction go on over what they saw when it goes back to a savepoint', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const tx = db.transaction('users', 'readwrite')
  const start = await tx.savepoint()
  await tx.putMany('users', Array.from({ length: 500 }, (_, id) => ({ id, text: 'x'.repeat(100) })))
  for (const rows of [() => tx.cursor('users'), () => tx.query('users').where({ id: { gte: 0 } })]) {
    await tx.rollbackTo(start)
    await tx.putMany('users', Array.from({ length: 500 }, (_, id) => ({ id, text: 'x'.repeat(100) })))
    let count = 0
    for await (const row of rows()) {
      if (count++ === 0) await tx.rollbackTo(start)
      assert.ok(row)
    }
    assert.equal(count, 500)
    assert.equal(await tx.count('users'), 0)
  }
  await tx.commit()
})
