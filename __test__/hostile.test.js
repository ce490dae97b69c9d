'use strict'

/* What hostile or careless programs do to the package, one promise a test. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlowDB, KeyRange } = require('..')
const { errorOf, flashInMemory, openInMemory, runProgram, temporary } = require('./support')

/** A value in `levels` arrays. */
function nested (levels) {
  let value = []
  for (let level = 1; level < levels; level++) value = [value]
  return value
}

test('a read of the same tick sees the commit, the store and the deletion that were issued before it', async (t) => {
  const db = await openInMemory(t, { users: 'id', old: 'id' })
  db.put('users', { id: 9 })
  const beforeStore = errorOf(db.get('new', 1))
  const beforeCommit = db.get('users', 1)
  const beforeDeletion = db.count('old')
  const tx = db.transaction('users', 'readwrite')
  tx.put('users', { id: 1 })
  tx.commit()
  db.createObjectStore('new')
  db.deleteObjectStore('old')

  const [afterCommit, afterStore] = [db.get('users', 1), db.get('new', 1)]
  const afterDeletion = errorOf(db.count('old'))

  assert.deepEqual(await Promise.all([beforeCommit, afterCommit]), [undefined, { id: 1 }])
  assert.equal((await beforeStore).code, 'FLOWDB_NOT_FOUND')
  assert.equal(await afterStore, undefined)
  assert.equal(await beforeDeletion, 0)
  assert.equal((await afterDeletion).code, 'FLOWDB_NOT_FOUND')
})

test('reads of a read-only transaction that are not awaited are answered although it is committed behind them', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const documents = Array.from({ length: 2000 }, (_, id) => ({ id, text: 'x'.repeat(500) }))
  await Promise.all(documents.map((document) => db.put('users', document)))

  for (const end of ['commit', 'abort']) {
    const tx = db.transaction('users')
    const reads = documents.map(({ id }) => tx.get('users', id))
    const ended = tx[end]()
    assert.deepEqual(await Promise.all(reads), documents)
    await ended
    assert.equal((await errorOf(tx.get('users', 1))).code, 'FLOWDB_TRANSACTION_INACTIVE')
  }
})

test('a write that is refused before it is sent fails the commit like any other', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  for (const write of [
    (tx) => tx.put('users', { id: 1, x: NaN }),
    (tx) => tx.add('users', null, NaN),
    (tx) => tx.delete('users', undefined),
    (tx) => tx.clear('others')
  ]) {
    const tx = db.transaction('users', 'readwrite')
    tx.put('users', { id: 2 })
    write(tx)
    const error = await errorOf(tx.commit())
    assert.match(error.message, /^nothing was committed/, String(write))
    assert.equal(error.cause.code, error.code)
  }
  assert.equal(await db.count('users'), 0)

  const tx = db.transaction('users', 'readwrite')
  tx.put('users', { id: 2 })
  assert.equal((await errorOf(tx.put('users', NaN))).code, 'FLOWDB_INVALID_VALUE')
  await tx.commit()
  assert.equal(await db.count('users'), 1)
})

test('a failed write is not forgotten when other writes follow it at once', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  await db.put('users', { id: 1 })
  for (let others = 0; others < 5; others++) {
    const tx = db.transaction('users', 'readwrite')
    tx.add('users', { id: 1 })
    await tx.put('users', { id: 2 })
    for (let id = 0; id < others; id++) tx.put('users', { id: 10 + id })
    assert.equal((await errorOf(tx.commit())).code, 'FLOWDB_CONSTRAINT')
  }
  assert.equal(await db.count('users'), 1)
})

test('a transaction whose database was closed is disposed of without an error', async (t) => {
  const db = FlowDB.open({ inMemory: true })
  await db.createObjectStore('users', 'id')
  const tx = db.transaction('users', 'readwrite')
  await db.close()

  await tx[Symbol.asyncDispose]()
})

test('a range that runs code while it is read harms neither its own call nor others of the tick', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const evil = (lower) => Object.create(KeyRange.prototype, {
    lower: { get: lower }, upper: { value: undefined }, lowerOpen: { value: false }, upperOpen: { value: false }
  })
  const innocent = db.put('users', { id: 1 })

  const count = db.count('users', evil(() => {
    db.put('users', { id: 2 })
    return [Object.defineProperty([], 0, { get: () => db.put('users', { id: 3 }) })]
  }))

  assert.equal((await errorOf(count)).code, 'FLOWDB_INVALID_KEY')
  assert.equal(await innocent, 1)
  assert.deepEqual(await db.getAllKeys('users'), [1, 2, 3])
})

test('arrays of any length in place of names and paths are refused, not copied', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const endless = new Array(2 ** 32 - 1)
  assert.equal((await errorOf(db.createObjectStore('x', endless))).code, 'FLOWDB_INVALID_ARGUMENT')
  assert.equal((await errorOf(db.createIndex('users', 'x', endless))).code, 'FLOWDB_INVALID_ARGUMENT')
  assert.throws(() => db.transaction(endless), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('half a surrogate pair in a key path is refused', async (t) => {
  const db = await openInMemory(t)
  assert.equal((await errorOf(db.createObjectStore('x', 'a\ud800'))).code, 'FLOWDB_INVALID_ARGUMENT')
  assert.equal((await errorOf(db.createObjectStore('x', ['a', '\udc00']))).code, 'FLOWDB_INVALID_ARGUMENT')
})

test('the message of an error stays short, whatever was given', async (t) => {
  const db = await openInMemory(t)
  for (const name of [1n << 100_000n, 'x'.repeat(1e6), `\0${'x'.repeat(1e6)}`, Symbol('x'), {}]) {
    const { code, message } = await errorOf(db.get(name, 1))
    assert.equal(code, 'FLOWDB_INVALID_ARGUMENT')
    assert.ok(message.length < 300, `${message.length} characters`)
  }
  const tx = db.transaction('x')
  assert.ok((await errorOf(tx.get('y'.repeat(1e6), 1))).message.length < 300)
  await tx.abort()
})

test('what a user\'s code throws, be it no error at all, refuses the value', async (t) => {
  const db = await openInMemory(t, { any: null })
  const store = flashInMemory(t)
  for (const thrown of [undefined, 'text', Object.create(null), Symbol('x')]) {
    const value = Object.defineProperty({}, 'x', { get: () => { throw thrown }, enumerable: true })
    assert.equal((await errorOf(db.put('any', value, 1))).code, 'FLOWDB_INVALID_VALUE')
    assert.equal((await errorOf(store.set(1, value))).code, 'FLOWDB_INVALID_VALUE')
  }
})

test('an array with both a hole and a property keeps both', async (t) => {
  const store = flashInMemory(t)
  const array = Object.assign([1, , 3], { x: 1 }) // eslint-disable-line no-sparse-arrays
  await store.set('array', array)
  assert.deepEqual(await store.get('array'), array)
})

test('a value can be read if it could be written, however deep it is', async (t) => {
  const store = flashInMemory(t)
  for (const wrap of [(value) => value, (value) => new Map([[1, value]]), (value) => new Set([value])]) {
    await store.set('deep', wrap(nested(999)))
    assert.deepEqual(await store.get('deep'), wrap(nested(999)))
    assert.equal((await errorOf(store.set('deep', wrap(nested(1001))))).code, 'FLOWDB_NOT_CLONEABLE')
  }
  const list = Array.from({ length: 5000 }, () => ({}))
  for (let index = 1; index < list.length; index++) list[index].before = list[index - 1]
  await store.set('list', list)
  const read = await store.get('list')
  assert.equal(read[4999].before, read[4998])
})

test('the stack of an error names the caller, however deep in an argument the fault is', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const tx = db.transaction('users', 'readwrite')
  const faulty = [[[[[[NaN]]]]]]
  async function caller (call) { await call() }
  for (const call of [() => db.get('users', faulty), () => tx.delete('users', faulty), () => db.getAll('users', faulty)]) {
    assert.match((await errorOf(caller(call))).stack, /hostile\.test\.js/)
  }
  await tx.abort()
})

test('a program that limits stacks, or forbids to, gets its errors all the same', async (t) => {
  const db = await openInMemory(t)
  const limit = Error.stackTraceLimit
  t.after(() => { Error.stackTraceLimit = limit })
  for (const limited of [0, undefined, 'ten', 3]) {
    Error.stackTraceLimit = limited
    assert.equal((await errorOf(db.get('x', 1))).code, 'FLOWDB_NOT_FOUND')
    assert.equal(Error.stackTraceLimit, limited)
  }
  delete Error.stackTraceLimit
  assert.equal((await errorOf(db.get('x', 1))).code, 'FLOWDB_NOT_FOUND')
  assert.equal('stackTraceLimit' in Error, false)
  Object.defineProperty(Error, 'stackTraceLimit', { value: 10, writable: false, configurable: true })
  assert.equal((await errorOf(db.get('x', 1))).code, 'FLOWDB_NOT_FOUND')
  Object.defineProperty(Error, 'stackTraceLimit', { value: 10, writable: true, configurable: true, enumerable: true })
})

test('a scan may be ended before its first page comes', async (t) => {
  const db = FlowDB.open({ dataDir: temporary(t) })
  await db.createObjectStore('users', 'id')
  await Promise.all(Array.from({ length: 500 }, (_, id) => db.put('users', { id, text: 'x'.repeat(100) })))
  for (let round = 0; round < 200; round++) {
    const rows = db.scan('users')
    const first = rows.next()
    if (round % 2 === 0) await new Promise(setImmediate)
    await rows.return()
    await first
  }
  assert.equal((await db.getAll('users')).length, 500)
  await db.close()
})

test('process.exit with a hundred megabytes in flight does not wait for them, and leaves a beginning of them', async (t) => {
  const dataDir = join(temporary(t), 'db')
  const { code, errors } = await runProgram('exits-in-flight.js', [dataDir])
  assert.equal(code, 7, errors)

  const db = FlowDB.open({ dataDir })
  const keys = await db.getAllKeys('s')
  await db.close()
  assert.ok(keys.length < 100_000, 'everything was waited for')
  assert.deepEqual(keys, Array.from(keys, (_, id) => id))
})
