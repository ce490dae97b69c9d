'use strict'

/* Versions of the schema, and the upgrades that lead to them. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const test = require('node:test')
const { Worker } = require('node:worker_threads')
const { FlowDB } = require('..')
const { errorOf, gathered, temporary } = require('./support.js')

/** A database in a folder of its own, for which `open` opens it again and again. */
function folder (t) {
  const opened = []
  // Before the folder goes.
  t.after(() => Promise.all(opened.map((db) => db.close())))
  const dataDir = temporary(t)
  const open = (options) => {
    const db = FlowDB.open({ dataDir, ...options })
    opened.push(db)
    return db
  }
  return Object.assign(open, { dataDir })
}

test('an upgrade runs with the old version and the new one, before everything else', async (t) => {
  const open = folder(t)
  const calls = []
  const upgrade = async (db, oldVersion, newVersion, tx) => {
    calls.push([oldVersion, newVersion, db.version])
    await db.createObjectStore('users', { keyPath: 'id' })
    await db.createIndex('users', 'by_city', 'city')
    await tx.put('users', { id: 1, city: 'Ulm' })
    assert.deepEqual(await tx.getByIndex('users', 'by_city', 'Ulm'), [{ id: 1, city: 'Ulm' }])
  }
  const db = open({ version: 2, upgrade })

  // Asked before it is open: it waits for the upgrade.
  const [users, count] = await Promise.all([db.getByIndex('users', 'by_city', 'Ulm'), db.count('users')])

  assert.deepEqual(users, [{ id: 1, city: 'Ulm' }])
  assert.equal(count, 1)
  assert.equal(db.version, 2)
  await db.close()
  const again = open({ version: 2, upgrade })
  await again.ready
  assert.equal(again.version, 2)
  await again.close()
  const last = open({ version: 5, upgrade: (_db, ...versions) => { calls.push(versions.slice(0, 2)) } })
  await last.ready
  assert.deepEqual(calls, [[0, 2, 0], [2, 5]])
})

test('version is undefined before the database is open, 0 where none was given, and what is there without one', async (t) => {
  const open = folder(t)
  const db = open({})
  assert.equal(db.version, undefined)
  await db.ready
  assert.equal(db.version, 0)
  await db.close()
  const upgraded = open({ version: 3 })
  await upgraded.ready
  await upgraded.close()

  const later = open({})
  await later.ready
  assert.equal(later.version, 3)
})

test('a lower version than there is, is refused, with every operation', async (t) => {
  const open = folder(t)
  const db = open({ version: 3, upgrade: (db) => db.createObjectStore('users', 'id') })
  await db.ready
  await db.close()

  const older = open({ version: 2, upgrade: () => assert.fail('there is nothing to upgrade') })

  await assert.rejects(older.get('users', 1), { code: 'FLOWDB_VERSION' })
  const error = await errorOf(older.ready)
  assert.equal(error.code, 'FLOWDB_VERSION')
  assert.match(error.message, /version 3.*version 2/)
  await assert.rejects(older.put('users', { id: 1 }), { code: 'FLOWDB_VERSION' })
  await older.close()
  await open({ version: 3 }).ready
})

test('an upgrade that throws changes nothing: neither schema nor documents nor version', async (t) => {
  const open = folder(t)
  const db = open({ version: 1, upgrade: createUsers })
  await db.ready
  await db.close()
  const mistake = new Error('a mistake')
  const failing = open({
    version: 2,
    async upgrade (db, _old, _new, tx) {
      await db.createObjectStore('more')
      await db.createIndex('users', 'by_name', 'name', true)
      await db.deleteIndex('users', 'by_city')
      await tx.delete('users', 1)
      await tx.put('more', 'text', 'key')
      throw mistake
    }
  })
  const waiting = [failing.count('users'), failing.storeNames(), failing.put('users', { id: 9 }),
    gathered(failing.scan('users')), failing.stats()]

  const [ready, ...operations] = await Promise.allSettled([failing.ready, ...waiting])
  assert.equal(ready.reason, mistake)
  for (const { reason } of operations) {
    assert.equal(reason.code, 'FLOWDB_ABORTED')
    assert.equal(reason.cause, mistake)
  }
  await assert.rejects(failing.get('users', 1), { code: 'FLOWDB_ABORTED', cause: mistake })
  assert.equal(failing.version, 1)

  const after = open({ version: 1 })
  assert.deepEqual(await after.storeNames(), ['users'])
  assert.deepEqual((await after.describe('users')).indexes.map(({ name }) => name), ['by_city'])
  assert.deepEqual(await after.getAll('users'), [{ id: 1, name: 'Ada', city: 'Ulm' }, { id: 2, name: 'Bob', city: 'Ulm' }])
  assert.equal(after.version, 1)
})

async function createUsers (db) {
  await db.createObjectStore('users', { keyPath: 'id' })
  await db.createIndex('users', 'by_city', 'city')
  await db.put('users', { id: 1, name: 'Ada', city: 'Ulm' })
  await db.put('users', { id: 2, name: 'Bob', city: 'Ulm' })
}

test('calls that nobody awaits are done in order, and one that fails ends the upgrade without an unhandled rejection', async (t) => {
  const open = folder(t)
  const db = open({
    version: 1,
    upgrade (db, _old, _new, tx) {
      db.createObjectStore('users', { keyPath: 'id' })
      db.createIndex('users', 'by_city', 'city')
      tx.put('users', { id: 1, city: 'Ulm' })
    }
  })
  assert.equal((await db.getByIndex('users', 'by_city', 'Ulm')).length, 1)
  await db.close()

  for (const mistake of [(db) => { db.deleteObjectStore('none') }, (db) => { db.createIndex('users', '', 'x') }]) {
    const failing = open({ version: 2, upgrade: mistake })
    const { code } = await errorOf(failing.ready)
    assert.ok(['FLOWDB_NOT_FOUND', 'FLOWDB_INVALID_ARGUMENT'].includes(code), code)
  }
  const caught = open({
    version: 2,
    async upgrade (db) {
      await assert.rejects(db.deleteObjectStore('none'), { code: 'FLOWDB_NOT_FOUND' })
      await assert.rejects(db.createObjectStore('users', 'other'), { code: 'FLOWDB_EXISTS' })
      await assert.rejects(db.createIndex('none', 'x', 'x'), { code: 'FLOWDB_NOT_FOUND' })
      await assert.rejects(db.put('none', {}), { code: 'FLOWDB_NOT_FOUND' })
      await assert.rejects(db.describe('none'), { code: 'FLOWDB_NOT_FOUND' })
      assert.deepEqual(await db.storeNames(), ['users'])
    }
  })
  await caught.ready
  assert.equal(caught.version, 2)
})

test('an upgrade removes duplicates and creates the unique index that had them in the way', async (t) => {
  const open = folder(t)
  const first = open({ version: 1, upgrade: createUsers })
  await first.ready
  await first.close()

  const db = open({
    version: 2,
    async upgrade (db, _old, _new, tx) {
      await assert.rejects(db.createIndex('users', 'one_city', 'city', true), { code: 'FLOWDB_CONSTRAINT' })
      for await (const user of tx.scan('users')) if (user.id > 1) await tx.put('users', { ...user, city: 'Bonn' })
      await db.createIndex('users', 'one_city', 'city', true)
    }
  })

  assert.deepEqual((await db.getByIndex('users', 'one_city', 'Bonn')).map(({ id }) => id), [2])
})

test('the transaction of an upgrade can be aborted and not be committed', async (t) => {
  const open = folder(t)
  const aborted = open({ version: 1, upgrade: async (db, _old, _new, tx) => { await tx.abort() } })
  await assert.rejects(aborted.ready, { code: 'FLOWDB_ABORTED' })

  const db = open({
    version: 1,
    async upgrade (_db, _old, _new, tx) {
      await assert.rejects(tx.commit(), { code: 'FLOWDB_UNSUPPORTED' })
      await assert.rejects(tx.savepoint(), { code: 'FLOWDB_UNSUPPORTED' })
    }
  })
  await db.ready
  assert.equal(db.version, 1)
})

test('an upgrade whose handle is used after its end is refused', async (t) => {
  let kept
  const db = folder(t)({ version: 1, upgrade: (upgrading) => { kept = upgrading } })
  await db.ready

  await assert.rejects(kept.createObjectStore('late'), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
  await assert.rejects(kept.storeNames(), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
})

test('of openers at once one upgrades and the others wait, whatever thread they are in', async (t) => {
  const opened = []
  t.after(() => Promise.all(opened.map((db) => db.close())))
  const dataDir = temporary(t)
  let runs = 0
  const upgrade = async (db) => {
    runs++
    await new Promise((resolve) => setTimeout(resolve, 30))
    await db.createObjectStore('items', { keyPath: 'id' })
  }
  for (let count = 0; count < 5; count++) opened.push(FlowDB.open({ dataDir, version: 1, upgrade }))
  const threads = Array.from({ length: 3 }, () => inThread(dataDir))

  await Promise.all(opened.map((db, id) => db.put('items', { id })))
  const ran = await Promise.all(threads)

  assert.equal(runs + ran.reduce((sum, one) => sum + one, 0), 1)
  assert.equal(await opened[0].count('items'), 8)
})

/** Opens the database in a worker thread, puts a document, and resolves to how often its upgrade ran. */
function inThread (dataDir) {
  const program = `
    const { parentPort, threadId, workerData } = require('node:worker_threads')
    const { FlowDB } = require(workerData.root)
    let runs = 0
    async function main () {
      const db = FlowDB.open({
        dataDir: workerData.dataDir,
        version: 1,
        async upgrade (db) { runs++; await db.createObjectStore('items', { keyPath: 'id' }) }
      })
      await db.put('items', { id: 100 + threadId })
      await db.close()
      parentPort.postMessage(runs)
    }
    main()`
  return new Promise((resolve, reject) => {
    const worker = new Worker(program, { eval: true, workerData: { root: join(__dirname, '..'), dataDir } })
    worker.on('message', resolve).on('error', reject)
  })
}

test('an upgrade whose thread is terminated changes nothing, and another opener can upgrade', async (t) => {
  const open = folder(t)
  const db = open({ version: 1, upgrade: createUsers })
  await db.ready
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { FlowDB } = require(workerData.root)
    FlowDB.open({
      dataDir: workerData.dataDir,
      version: 2,
      async upgrade (db) {
        await db.createObjectStore('more')
        await db.createIndex('users', 'by_name', 'name')
        parentPort.postMessage('half way')
        await new Promise((resolve) => parentPort.on('message', resolve))
      }
    })`
  const worker = new Worker(program, { eval: true, workerData: { root: join(__dirname, '..'), dataDir: open.dataDir } })
  await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))
  const waiting = open({ version: 2, upgrade: (upgrading) => upgrading.createObjectStore('other') })

  await worker.terminate()
  await waiting.ready

  assert.deepEqual(await waiting.storeNames(), ['other', 'users'])
  assert.deepEqual((await db.describe('users')).indexes.map(({ name }) => name), ['by_city'])
})

test('while an upgrade runs others change no schema, and what they write of its documents makes it fail', async (t) => {
  const open = folder(t)
  const db = open({ version: 1, upgrade: createUsers })
  await db.ready

  const upgraded = open({
    version: 2,
    async upgrade (upgrading, _old, _new, tx) {
      await tx.get('users', 1)
      await assert.rejects(db.createObjectStore('other'), { code: 'FLOWDB_BUSY' })
      await db.put('users', { id: 1, name: 'Eve', city: 'Ulm' })
      await upgrading.createObjectStore('more')
    }
  })

  await assert.rejects(upgraded.ready, { code: 'FLOWDB_CONFLICT' })
  assert.deepEqual(await db.storeNames(), ['users'])
  await open({ version: 2 }).ready
  await db.createObjectStore('other')
})

test('a database that is closed comes to the end of its upgrade first', async (t) => {
  const open = folder(t)
  const db = open({
    version: 1,
    async upgrade (db) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      await db.createObjectStore('users')
      await db.put('users', 1, 1)
    }
  })
  const closed = db.close()
  await assert.rejects(db.count('users'), { code: 'FLOWDB_CLOSED' })
  await closed

  assert.equal(await open({ version: 1 }).count('users'), 1)
})

test('an opener that is closed while it waits for the upgrade of another gives up', async (t) => {
  const open = folder(t)
  let release
  const first = open({ version: 1, upgrade: () => new Promise((resolve) => { release = resolve }) })
  while (release === undefined) await new Promise(setImmediate)
  const second = open({ version: 1 })
  const closed = second.close()

  await assert.rejects(second.ready, { code: 'FLOWDB_CLOSED' })
  await closed
  release()
  await first.ready
})

test('a database in memory has versions, too, and one that is read-only is not upgraded', async (t) => {
  const inMemory = FlowDB.open({ inMemory: true, version: 1, upgrade: createUsers })
  t.after(() => inMemory.close())
  assert.equal(await inMemory.count('users'), 2)

  const open = folder(t)
  const db = open({ version: 1, upgrade: createUsers })
  await db.ready
  await db.close()
  const reader = open({ version: 1, readOnly: true })
  assert.equal(await reader.count('users'), 2)
  await reader.close()
  await assert.rejects(open({ version: 2, readOnly: true }).ready, { code: 'FLOWDB_READ_ONLY' })
})

test('every version and upgrade that is none is refused at the call', (t) => {
  const dataDir = temporary(t)
  const invalid = { code: 'FLOWDB_INVALID_ARGUMENT' }
  for (const version of [0, -1, 1.5, NaN, Infinity, 2 ** 53, '1', null, 1n, {}]) {
    assert.throws(() => FlowDB.open({ dataDir, version }), invalid, String(version))
  }
  assert.throws(() => FlowDB.open({ dataDir, version: 1, upgrade: 'x' }), invalid)
  assert.throws(() => FlowDB.open({ dataDir, upgrade: () => {} }), invalid)
  assert.throws(() => FlowDB.open(), invalid)
})
