'use strict'

/* Bad input and bad surroundings: each gets its typed error, at the caller, and changes nothing. */

const assert = require('node:assert/strict')
const { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStore, FlowDB, FlowDBError, KeyRange } = require('..')
const { errorOf, openInMemory, runProgram, temporary } = require('./support')

async function withUsers (t) {
  const db = await openInMemory(t, { users: 'id', notes: null })
  await db.put('users', { id: 1, name: 'Ada' })
  return db
}

async function unchanged (db) {
  assert.deepEqual(await db.getAll('users'), [{ id: 1, name: 'Ada' }])
  assert.equal(await db.count('notes'), 0)
  assert.deepEqual(await db.storeNames(), ['notes', 'users'])
}

test('every error is a FlowDBError with a code, and its name says so', async (t) => {
  const db = await withUsers(t)
  const error = await errorOf(db.get('nowhere', 1))
  assert.ok(error instanceof FlowDBError)
  assert.ok(error instanceof Error)
  assert.equal(error.name, 'FlowDBError')
  assert.equal(error.code, 'FLOWDB_NOT_FOUND')
  assert.match(error.message, /nowhere/)
})

test('a document without its key, or with one that is none, is refused', async (t) => {
  const db = await withUsers(t)
  for (const document of [{}, { name: 'no id' }, { id: {} }, { id: { a: 1 } }]) {
    await assert.rejects(db.put('users', document), { code: 'FLOWDB_INVALID_KEY' })
    await assert.rejects(db.add('users', document), { code: 'FLOWDB_INVALID_KEY' })
  }
  await assert.rejects(db.put('users', 'text'), { code: 'FLOWDB_INVALID_KEY' })
  await assert.rejects(db.put('users', { id: 2 }, 2), { code: 'FLOWDB_INVALID_ARGUMENT' }, 'a key beside a key path')
  await assert.rejects(db.put('notes', 'text'), { code: 'FLOWDB_INVALID_KEY' }, 'no key for a store without key path')
  await unchanged(db)
})

test('what can\'t be a key is refused by every call that takes one', async (t) => {
  const db = await withUsers(t)
  await db.createIndex('users', 'name', 'name')
  const tooLong = 'x'.repeat(20_000)
  let tooDeep = []
  for (let depth = 0; depth < 40; depth++) tooDeep = [tooDeep]
  const throwing = Object.defineProperty([1], 0, { get () { throw new Error('thrown by a getter') } })
  for (const key of [undefined, NaN, {}, () => {}, Symbol('s'), new Date(NaN), new Map(), [NaN], tooLong, tooDeep, 1n << 9000n]) {
    for (const call of [
      () => db.get('users', key), () => db.delete('users', key), () => db.getByIndex('users', 'name', key),
      async () => KeyRange.only(key), async () => KeyRange.bound(key, key), async () => KeyRange.lowerBound(key)
    ]) await assert.rejects(call(), { code: 'FLOWDB_INVALID_KEY' }, String(call))
  }
  await assert.rejects(db.put('notes', 'text', NaN), { code: 'FLOWDB_INVALID_KEY' })
  await assert.rejects(db.get('users', throwing), (error) => {
    return error.code === 'FLOWDB_INVALID_KEY' && error.cause.message === 'thrown by a getter'
  })
  await unchanged(db)
})

test('an unknown store or index is FLOWDB_NOT_FOUND in every call', async (t) => {
  const db = await withUsers(t)
  for (const call of [
    () => db.get('nowhere', 1), () => db.put('nowhere', { id: 1 }), () => db.add('nowhere', { id: 1 }, 1),
    () => db.delete('nowhere', 1), () => db.clear('nowhere'), () => db.count('nowhere'), () => db.getAll('nowhere'),
    () => db.getAllKeys('nowhere'), () => db.scan('nowhere').next(), () => db.getByIndex('nowhere', 'i', 1),
    () => db.getByIndex('users', 'nowhere', 1), () => db.rangeByIndex('users', 'nowhere', 1, 2),
    () => db.createIndex('nowhere', 'i', 'i'), () => db.deleteIndex('users', 'nowhere'),
    () => db.deleteObjectStore('nowhere'), () => db.describe('nowhere')
  ]) await assert.rejects(call(), { code: 'FLOWDB_NOT_FOUND' }, String(call))
  await unchanged(db)
})

test('a write to an unknown store fails alone of its tick', async (t) => {
  const db = await withUsers(t)
  const results = await Promise.allSettled(Array.from({ length: 100 }, (_, id) => {
    return db.put(id === 50 ? 'nowhere' : 'notes', id, id)
  }))
  assert.deepEqual(results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.code), ['FLOWDB_NOT_FOUND'])
  assert.equal(await db.count('notes'), 99)
})

test('names that are none are refused: NUL, empty, half a surrogate pair, other types, too long', async (t) => {
  const db = await withUsers(t)
  for (const name of ['a\0b', '', '\ud800', undefined, null, 1, {}, Symbol('s'), 'x'.repeat(100_000)]) {
    for (const call of [
      () => db.createObjectStore(name, 'id'), () => db.createIndex('users', name, 'id'),
      async () => db.transaction([name, 'users'])
    ]) {
      if (String(call).includes('transaction') && String(name).length > 1000) continue
      await assert.rejects(call(), { code: 'FLOWDB_INVALID_ARGUMENT' }, `${String(call)} ${String(name).slice(0, 20)}`)
    }
  }
  for (const name of ['a\0b', '', '\ud800', undefined, null, 1, {}, Symbol('s')]) {
    for (const call of [
      () => db.get(name, 1), () => db.put(name, {}), () => db.clear(name), () => db.count(name), () => db.getAll(name),
      async () => db.scan(name), () => db.deleteObjectStore(name), () => db.describe(name)
    ]) await assert.rejects(call(), { code: 'FLOWDB_INVALID_ARGUMENT' }, String(call))
  }
  await unchanged(db)
})

test('key paths and options that are none are refused by name', async (t) => {
  const db = await withUsers(t)
  const refusals = [
    [() => db.createObjectStore('s', 7), /options of createObjectStore/],
    [() => db.createObjectStore('s', []), /key path/],
    [() => db.createObjectStore('s', ['a', 1]), /key path/],
    [() => db.createObjectStore('s', { keypath: 'id' }), /"keypath"/],
    [() => db.createObjectStore('s', { keyPath: 5 }), /key path/],
    [() => db.createObjectStore('s', 'id', 'yes'), /autoIncrement/],
    [() => db.createObjectStore('s', { keyPath: 'id' }, true), /not both/],
    [() => db.createIndex('users', 'i'), /key path/],
    [() => db.createIndex('users', 'i', ['a', 'b'], { multiEntry: true }), /a multi-entry index with an array as key path/],
    [() => db.createObjectStore('s', ['a'], true), /auto-increment with an array or nothing as key path/],
    [() => db.createIndex('users', 'i', 'p', { uniq: true }), /"uniq"/],
    [() => db.createIndex('users', 'i', 'p', { unique: 1 }), /unique/],
    [() => db.getAll('users', null, -1), /limit/],
    [() => db.getAll('users', null, { limit: 1.5 }), /limit/],
    [() => db.getAll('users', null, { reverse: 'yes' }), /reverse/],
    [async () => db.scan('users', null, { reversed: true }), /"reversed"/],
    [async () => db.transaction([]), /at least one/],
    [async () => db.transaction('users', 'write'), /mode/],
    [async () => KeyRange.bound(2, 1), /range/],
    [async () => KeyRange.bound(1, 1, true), /range/]
  ]
  for (const [call, message] of refusals) {
    await assert.rejects(call(), { code: 'FLOWDB_INVALID_ARGUMENT', message }, String(call))
  }
  await unchanged(db)
})

test('options of open that are none are refused at the call, by name', async (t) => {
  const dataDir = join(temporary(t), 'db')
  const refusals = [
    [undefined, /options/], ['dir', /options/], [{}, /dataDir/], [{ dataDir: '' }, /dataDir/], [{ dataDir: 5 }, /dataDir/],
    [{ dataDir: 'a\0b' }, /NUL/], [{ dataDir, dataDirectory: 'x' }, /"dataDirectory"/],
    [{ dataDir, durability: 'safe' }, /durability/], [{ dataDir, syncIntervalMs: 10 }, /syncIntervalMs/],
    [{ dataDir, durability: 'relaxed', syncIntervalMs: 0 }, /syncIntervalMs/], [{ dataDir, memtableSizeMb: '64' }, /memtableSizeMb/],
    [{ dataDir, memtableSizeMb: 0 }, /memtableSizeMb/], [{ dataDir, memtableSizeMb: 1e300 }, /memtableSizeMb/],
    [{ dataDir, blockSize: 1 }, /blockSize/], [{ dataDir, blockSize: 1.5 }, /blockSize/],
    [{ dataDir, bloomBitsPerKey: 1000 }, /bloom/], [{ dataDir, compression: 'zip' }, /compression/],
    [{ dataDir, inMemory: 'yes' }, /inMemory/], [{ dataDir, createIfMissing: 0 }, /createIfMissing/]
  ]
  for (const [options, message] of refusals) {
    assert.throws(() => FlowDB.open(options), { code: 'FLOWDB_INVALID_ARGUMENT', message }, JSON.stringify(options))
  }
  assert.throws(() => new FlashStore(5), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.equal(existsSync(dataDir), false)
})

/** Every call of a database that can't be opened rejects with `code`, and the reason is the cause. */
test('every numeric option is taken at its limits and refused beyond them, in its own words', async (t) => {
  const limits = {
    syncIntervalMs: [1, 60_000],
    memtableSizeMb: [4 / 1024, 4096],
    maxFrozenMemtables: [1, 64],
    blockSize: [128, 1024 * 1024],
    tableSizeMb: [4 / 1024, 1024],
    blockCacheCapacityMb: [0, 1024 * 1024],
    bloomBitsPerKey: [0, 32],
    compactionThreshold: [2, 64],
    levelSizeMb: [16 / 1024, 1024 * 1024]
  }
  for (const [option, [least, most]] of Object.entries(limits)) {
    const durability = option === 'syncIntervalMs' ? { durability: 'relaxed' } : {}
    for (const value of [least, most]) {
      const db = FlowDB.open({ inMemory: true, ...durability, [option]: value })
      await db.createObjectStore('notes')
      await db.put('notes', 'text', 1)
      assert.equal(await db.get('notes', 1), 'text', `${option}: ${value}`)
      await db.close()
    }
    for (const value of [least - 1 / 1024, most + 1]) {
      const expected = { code: 'FLOWDB_INVALID_ARGUMENT', message: new RegExp(`^${option} is .* from ${least} to ${most}`) }
      assert.throws(() => FlowDB.open({ inMemory: true, ...durability, [option]: value }), expected)
    }
  }
})

async function cannotOpen (options, code) {
  const db = FlowDB.open(options)
  const calls = [db.put('s', { id: 1 }), db.get('s', 1), db.getAll('s'), db.scan('s').next(), db.storeNames()]
  for (const call of calls) {
    const error = await errorOf(call)
    assert.equal(error.code, code, error.stack)
    assert.equal(error.cause.code, code)
  }
  const error = await errorOf(db.ready)
  assert.equal(error.code, code)
  await db.close()
  await assert.rejects(db.get('s', 1), { code: 'FLOWDB_CLOSED' })
  return error
}

test('a directory that is a file can\'t be opened, and the file stays as it is', async (t) => {
  const dataDir = join(temporary(t), 'file')
  writeFileSync(dataDir, 'mine')
  await cannotOpen({ dataDir }, 'FLOWDB_IO')
  assert.equal(readFileSync(dataDir, 'utf8'), 'mine')
})

test('a missing database is not created where that was not asked for', async (t) => {
  const folder = temporary(t)
  await cannotOpen({ dataDir: join(folder, 'db'), createIfMissing: false }, 'FLOWDB_NOT_FOUND')
  assert.deepEqual(readdirSync(folder), [])
})

test('an open that fails is no unhandled rejection for who does not ask', async (t) => {
  const { code, errors } = await runProgram('fails-to-open.js', [temporary(t)])
  assert.deepEqual({ code, errors }, { code: 0, errors: '' })
})

test('a read-only directory can\'t be opened, and the system\'s reason is the last cause', { skip: process.platform === 'win32' }, async (t) => {
  const folder = temporary(t)
  const { code, output, errors } = await runProgram('read-only-directory.js', [folder])
  assert.equal(code, 0, errors)
  const [ours, system] = JSON.parse(output)
  assert.equal(ours, 'FLOWDB_IO')
  assert.match(system, /^(EACCES|EPERM)$/)
  assert.deepEqual(readdirSync(join(folder, 'locked')), [])
})

test('a damaged database is FLOWDB_CORRUPTION for every call', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('s', 'id')
  await db.close()
  writeFileSync(join(dataDir, 'CURRENT'), 'no manifest has this name\n')
  await cannotOpen({ dataDir }, 'FLOWDB_CORRUPTION')
})

test('a file that stands where the database belongs is told by its name', async (t) => {
  const dataDir = join(temporary(t), 'db')
  mkdirSync(dataDir)
  writeFileSync(join(dataDir, 'LOCK'), '')
  const db = FlowDB.open({ dataDir })
  await db.ready
  await db.close()
})

async function caller (call) {
  await call()
}

test('the stack of an error leads to the caller', async (t) => {
  const db = await withUsers(t)
  for (const call of [
    () => db.get('nowhere', 1), () => db.put('users', {}), () => db.createIndex('nowhere', 'i', 'p'),
    () => db.getAll('nowhere'), () => db.scan('nowhere').next(), () => db.get('users', NaN),
    () => db.transaction('users').get('notes', 1), () => db.transaction('users', 'readwrite').add('users', { id: 1 })
  ]) {
    const { stack } = await errorOf(caller(call))
    assert.match(stack, /at (async )?caller/, `${call}\n${stack}`)
  }
})
