'use strict'

/* Every call that writes feeds `watch`, and `liveQuery` runs the queries of `db.query`. */

const assert = require('node:assert/strict')
const { Readable, Writable } = require('node:stream')
const { test } = require('node:test')
const { setTimeout: sleep } = require('node:timers/promises')
const { FlowDB, KeyRange } = require('..')
const { openInMemory, temporary } = require('./support')

/** A change in short. */
const shown = ({ type, store, key, version }) => [type, store, key, version].filter((part) => part !== undefined).join(' ')

/**
 * What is committed by `work`, in short.
 *
 * @param {FlowDB} db with a store `ends`
 * @param {() => Promise<unknown>} work
 */
async function committedBy (db, work) {
  const changes = db.watch()
  await work()
  await db.put('ends', {}, 'end')
  const taken = []
  for await (const change of changes) {
    if (change.store === 'ends') break
    taken.push(change)
  }
  return taken
}

test('calls on many documents and changes by what they hold are told document by document', async (t) => {
  const db = await openInMemory(t, { users: 'id', ends: null })
  const by = async (work) => (await committedBy(db, work)).map(shown)

  assert.deepEqual(await by(() => db.putMany('users', [{ id: 2 }, { id: 1 }])), ['put users 1 1', 'put users 2 1'])
  assert.deepEqual(await by(() => assert.rejects(db.addMany('users', [{ id: 3 }, { id: 1 }]))), [])
  assert.deepEqual(await by(() => db.addMany('users', [{ id: 3 }, { id: 4 }])), ['put users 3 1', 'put users 4 1'])
  assert.deepEqual(await by(() => db.modify('users', 1, (user) => ({ ...user, n: 1 }))), ['put users 1 2'])
  assert.deepEqual(await by(() => db.modify('users', 1, () => undefined)), [])
  assert.deepEqual(await by(() => db.modify('users', 4, () => FlowDB.DELETE)), ['delete users 4'])
  assert.deepEqual(await by(() => db.patch('users', 2, { n: 2 })), ['put users 2 2'])
  assert.deepEqual(await by(() => db.patch('users', 77, { n: 2 })), [])
  assert.deepEqual(await by(async () => {
    for await (const cursor of db.cursor('users')) {
      if (cursor.key === 3) await cursor.delete()
      else await cursor.update({ ...cursor.value, seen: true })
    }
  }), ['put users 1 3', 'put users 2 3', 'delete users 3'])
  assert.deepEqual(await by(() => db.query('users').where({ n: 2 }).delete()), ['delete users 2'])
  assert.deepEqual(await by(() => db.deleteMany('users', [1, 2, 3])), ['delete users 1'])
})

test('a range that is deleted is one change where it held many documents', async (t) => {
  const db = await openInMemory(t, { users: 'id', names: null, ends: null })
  const all = Array.from({ length: 1100 }, (_, id) => ({ id }))
  await db.putMany('users', all)
  await db.putMany('names', all, all.map(({ id }) => `name ${id}`))
  const by = async (work) => (await committedBy(db, work))

  assert.deepEqual((await by(() => db.delete('users', { gte: 1098 }))).map(shown), ['delete users 1098', 'delete users 1099'])
  assert.deepEqual(await by(() => db.delete('users', { lt: 1090 })), [
    { type: 'deleteRange', store: 'users', range: KeyRange.upperBound(1090, true) }
  ])
  const [{ range, ...prefixed }, ...others] = await by(() => db.delete('names', { prefix: 'name ' }))
  assert.deepEqual([prefixed, others], [{ type: 'deleteRange', store: 'names' }, []])
  assert.deepEqual(range, { prefix: 'name ' })
  assert.equal(await db.count('names', range), 0, 'it can be given to other calls')
})

test('another expiry is a change, and what takes nothing away or is taken back is none', async (t) => {
  const db = await openInMemory(t, { users: 'id', ends: null })
  await db.put('users', { id: 1 }, { ttl: 0.001 })
  await db.put('users', { id: 2 })
  await sleep(10)
  const expiresAt = Date.now() + 100_000
  const changes = await committedBy(db, async () => {
    await db.setDefaultTtl('users', 5)
    await db.purgeExpired()
    await db.touch('users', 2, { expiresAt })
    await db.touch('users', 2, { expiresAt })
    await db.update('users', async (tx) => {
      const place = await tx.savepoint()
      await tx.putMany('users', [{ id: 3 }, { id: 4 }])
      await tx.query('users').delete()
      await tx.rollbackTo(place)
    })
  })

  assert.deepEqual(changes.map(({ updatedAt, ...change }) => change), [
    { type: 'put', store: 'users', key: 2, version: 1, expiresAt }
  ])
})

test('what is imported is told with the versions that it had', async (t) => {
  const db = await openInMemory(t, { users: 'id', ends: null })
  await db.put('users', { id: 1 })
  await db.put('users', { id: 1, n: 2 })
  const lines = []
  await db.export(new Writable({ write: (chunk, _, done) => { lines.push(chunk); done() } }))
  const other = await openInMemory(t, { ends: null })

  const changes = await committedBy(other, () => other.import(Readable.from(lines)))
  assert.deepEqual(changes.map(shown), ['put users 1 2'])
})

test('an upgrade of another opener is told as one commit, with the stores that it deletes', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir, durability: 'none' })
  for (const [store, path] of [['users', 'id'], ['old', 'id'], ['ends', null]]) await db.createObjectStore(store, path)
  await db.put('users', { id: 1 })
  const upgraded = async (upgrade) => {
    const other = FlowDB.open({ dataDir, durability: 'none', version: 2, upgrade })
    await other.ready
    await other.close()
  }
  const change = async (tx) => {
    await tx.createIndex('users', 'by_n', 'n')
    await tx.put('users', { id: 1, n: 1 })
    await tx.deleteObjectStore('old')
    await tx.createObjectStore('old')
    await tx.put('old', 'x', 1)
  }

  assert.deepEqual(await committedBy(db, () => assert.rejects(upgraded(async (tx) => {
    await change(tx)
    throw new Error('mine')
  }), /mine/)), [])
  const changes = await committedBy(db, () => upgraded(change))
  assert.deepEqual(changes.map(shown), ['drop old', 'put users 1 2', 'put old 1 1'])
  await db.close()
})

test('a live query runs a query of the database again when documents of its store change', async (t) => {
  const db = await openInMemory(t, { users: 'id', others: 'id' })
  await db.createIndex('users', 'by_city', 'city')
  await db.putMany('users', [{ id: 1, city: 'Ulm' }, { id: 2, city: 'Bern' }, { id: 3, city: 'Ulm' }])
  const query = db.query('users').where({ city: 'Ulm' }).orderBy('id', 'desc').select('id').limit(2)
  assert.equal(query.store, 'users')
  const described = { store: 'users', where: { city: 'Ulm' }, orderBy: { id: 'desc' }, select: ['id'], limit: 2 }
  for (const live of [db.liveQuery(query), db.liveQuery(described)]) {
    const results = async () => (await live.next()).value.map(({ id }) => id)
    assert.deepEqual(await results(), [3, 1])
    let next = results()
    await db.put('users', { id: 4, city: 'Bern' })
    await db.modify('users', 2, (user) => ({ ...user, city: 'Ulm' }))
    assert.deepEqual(await next, [3, 2])
    next = results()
    await db.query('users').where({ id: { gte: 3 } }).delete()
    assert.deepEqual(await next, [2, 1])
    await live.return()
    await db.putMany('users', [{ id: 2, city: 'Bern' }, { id: 3, city: 'Ulm' }])
  }
})

test('a query says its store, so that a live one is not run for others', async (t) => {
  const db = await openInMemory(t, { users: 'id', others: 'id' })
  const query = db.query('users')
  let runs = 0
  const counted = { store: query.store, toArray: () => { runs++; return query.toArray() } }
  const live = db.liveQuery(counted)
  await live.next()
  const next = live.next()
  for (let id = 0; id < 20; id++) await db.put('others', { id })
  assert.equal(runs, 1)
  await db.put('users', { id: 1 })
  assert.deepEqual((await next).value, [{ id: 1 }])
})
