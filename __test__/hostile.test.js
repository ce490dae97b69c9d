'use strict'

/* What hostile or careless programs do to the package, one promise a test. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { isNativeError } = require('node:util/types')
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

/** Arguments whose code throws where it is looked at, each made by a function. */
const THROWING = {
  'a revoked object': () => revoked({}),
  'a revoked array': () => revoked([]),
  'a revoked function': () => revoked(() => {}),
  'an array of a revoked object': () => [revoked({})],
  'a property that is revoked': () => ({ id: 1, key: revoked({}) }),
  'traps that throw': () => trapped(() => { throw new Error('thrown by a trap') }),
  'traps that throw what is revoked': () => trapped(() => { throw revoked({}) }),
  'traps that throw an error whose message throws': () => trapped(() => {
    throw Object.defineProperty(new Error(), 'message', { get () { throw new Error('thrown by a message') } })
  }),
  'traps that throw an error without a text': () => trapped(() => {
    throw Object.assign(new Error(), { message: Symbol('no text') })
  }),
  'a getter that throws': () => ({ id: 1, get name () { throw new Error('thrown by a getter') } }),
  'a getter that throws what has a trap for a prototype': () => ({
    id: 1, get name () { throw Object.setPrototypeOf(new Error(), trapped(() => { throw new Error('thrown by a trap') })) }
  }),
  'an element that throws what has a trap for a prototype': () => Object.defineProperty([], 0, {
    get () { throw Object.create(trapped(() => { throw new Error('thrown by a trap') })) }, enumerable: true
  }),
  'an element that throws': () => Object.defineProperty([], 0, { get () { throw revoked({}) }, enumerable: true }),
  'a range that throws': () => Object.create(KeyRange.prototype, {
    lower: { get () { throw new Error('thrown by a bound') }, enumerable: true }
  })
}

function revoked (target) {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

const trapped = (trap) => new Proxy({}, { get: trap, getPrototypeOf: trap, ownKeys: trap })

/** Every place of a call on `db` and its series `series` for something of a user's. */
const placesIn = (db, series) => ({
  put: (it) => db.put('users', it),
  'put with a key': (it) => db.put('notes', 1, it),
  get: (it) => db.get('users', it),
  delete: (it) => db.delete('users', it),
  'delete from': (it) => db.delete(it, 1),
  count: (it) => db.count('users', it),
  scan: (it) => db.scan('users', it).next(),
  'options of scan': (it) => db.scan('users', undefined, it).next(),
  getAll: (it) => db.getAll('users', it),
  getByIndex: (it) => db.getByIndex('users', 'name', it),
  rangeByIndex: (it) => db.rangeByIndex('users', 'name', 1, it),
  'range of rangeByIndex': (it) => db.rangeByIndex('users', 'name', it),
  getAllByIndex: (it) => db.getAllByIndex('users', 'name', it),
  countByIndex: (it) => db.countByIndex('users', 'name', it),
  getKeyByIndex: (it) => db.getKeyByIndex('users', 'name', it),
  getKey: (it) => db.getKey('users', it),
  'bound of a range': (it) => db.count('users', { gte: it }),
  'prefix of a range': (it) => db.count('users', { prefix: it }),
  has: (it) => db.has('users', it),
  getMany: (it) => db.getMany('users', it),
  'key of getMany': (it) => db.getMany('users', [1, it]),
  putMany: (it) => db.putMany('users', it),
  'document of putMany': (it) => db.putMany('users', [{ id: 1 }, it]),
  'keys of addMany': (it) => db.addMany('notes', [1], it),
  'key of addMany': (it) => db.addMany('notes', [1], [it]),
  deleteMany: (it) => db.deleteMany('users', it),
  modify: (it) => db.modify('users', it, () => 1),
  'document of modify': (it) => db.modify('users', 1, () => [it]),
  'patch of a document': (it) => db.patch('users', 1, [it]),
  cursor: (it) => db.cursor('users', it).next(),
  'range of cursor': (it) => db.cursor('users', { range: it }).next(),
  'direction of cursor': (it) => db.cursor('users', { direction: it }).next(),
  'index of cursor': (it) => db.cursor('users', { index: it }).next(),
  createObjectStore: (it) => db.createObjectStore('new', it),
  createIndex: (it) => db.createIndex('users', 'new', it),
  'options of createIndex': (it) => db.createIndex('users', 'new', 'a', it),
  transaction: (it) => db.transaction(it),
  'store of a transaction': (it) => db.transaction([it]),
  'mode of a transaction': (it) => db.transaction('users', it),
  series: (it) => db.series(it),
  'options of series': (it) => db.series('new', it),
  checkpoint: (it) => db.checkpoint(it),
  compact: (it) => db.compact('users', it),
  append: (it) => series.append(it, 1),
  'value of append': (it) => series.append('key', { v: it }),
  'options of append': (it) => series.append('key', 1, it),
  'ts of append': (it) => series.append('key', 1, { ts: it }),
  'record of appendMany': (it) => series.appendMany([{ key: 'key', value: 1 }, it]),
  'key of range': (it) => series.range({ key: it }).next(),
  'prefix of range': (it) => series.range({ prefix: it }).next(),
  'options of range': (it) => series.range(it).next(),
  latest: (it) => series.latest(it),
  'path of downsample': (it) => series.downsample({ window: 1, aggregate: 'sum', path: it }).next(),
  'key of deleteRange': (it) => series.deleteRange({ key: it }),
  patch: (it) => series.patch('key', 5, { v: it }),
  'options of patch': (it) => series.patch('key', 5, {}, it)
})

test('code that throws out of an argument becomes the cause of a typed error, and nothing is changed', async (t) => {
  const db = await openInMemory(t, { users: 'id', notes: null })
  await db.createIndex('users', 'name', 'name')
  const series = db.series('records')
  await series.append('key', { v: 1 }, { ts: 5 })

  for (const [place, call] of Object.entries(placesIn(db, series))) {
    for (const [what, make] of Object.entries(THROWING)) {
      const where = `${place}: ${what}`
      const error = await Promise.resolve().then(() => call(make())).then(() => undefined, (error) => error)
      // What is taken without a look at what throws is none of this.
      if (error === undefined) continue
      assert.ok(isNativeError(error) && error.name === 'FlowDBError', `${where}: ${isNativeError(error) && error.stack}`)
      assert.match(error.code, /^FLOWDB_(INVALID|NOT_FOUND)/, where)
    }
  }
  assert.equal(await db.count('users'), 0)
  assert.deepEqual(await db.storeNames(), ['notes', 'users'])
  assert.deepEqual(await db.seriesNames(), ['records'])
  assert.equal(await series.latest('key').then(({ value }) => value.v), 1)
  await assert.rejects(db.put('users', THROWING['a getter that throws']()), ({ cause }) => cause.message === 'thrown by a getter')
  await assert.rejects(db.count('users', THROWING['traps that throw']()), ({ cause }) => cause.message === 'thrown by a trap')
  const walked = { [Symbol.iterator] () { throw new Error('thrown by an iterator') } }
  await assert.rejects(series.appendMany(walked), ({ cause }) => cause.message === 'thrown by an iterator')
  await assert.rejects(series.patch('key', 5, { v: THROWING['a getter that throws']() }), ({ cause }) => cause.message === 'thrown by a getter')
})

test('messages show little of what is long, and half a surrogate pair is refused', async (t) => {
  const db = await openInMemory(t, { users: 'id' })
  const series = db.series('records')
  const long = 'x'.repeat(1 << 20)
  const down = (path) => series.downsample({ window: 1, aggregate: 'sum', path }).next()
  for (const call of [
    () => down('.'.repeat(1 << 20)), () => series.range({ [long]: 1 }), () => series.deleteRange({ [long]: undefined }),
    () => db.put('users', { id: 1, [long]: NaN }), () => db.scan('users', undefined, { [long]: 1 }),
    () => db.checkpoint(long), () => FlowDB.destroy({ dataDir: `/${long}` }), () => db.transaction('users', long),
    () => FlowDB.open({ dataDir: `/${long}` }).ready
  ]) {
    const error = await errorOf(Promise.resolve().then(call))
    assert.match(error.code, /^FLOWDB_/, String(call))
    assert.ok(error.message.length < 2000, `${call}: ${error.message.length} characters`)
  }
  for (const call of [
    () => down('a\ud800'), () => db.checkpoint('/tmp/a\udfff'), () => FlowDB.open({ dataDir: '/tmp/\ud800' }),
    () => FlowDB.destroy({ dataDir: '/tmp/\ud800' })
  ]) {
    const error = await errorOf(Promise.resolve().then(call))
    assert.equal(error.code, 'FLOWDB_INVALID_ARGUMENT', String(call))
    assert.match(error.message, /surrogate/)
  }
})

test('what asks for nothing is refused by a closed database, and in a transaction that has ended', async () => {
  const db = FlowDB.open({ inMemory: true })
  await db.createObjectStore('users', 'id')
  const series = db.series('records')
  const tx = db.transaction('users')
  await tx.commit()
  const none = { limit: 0 }
  await assert.rejects(tx.getAll('users', undefined, none), { code: 'FLOWDB_TRANSACTION_INACTIVE' })
  await db.close()

  for (const call of [
    () => series.appendMany([]), () => series.range(none).next(), () => series.getAll(none),
    () => series.downsample({ window: 1, aggregate: 'sum', limit: 0 }).next(), () => db.getAll('users', undefined, 0),
    () => db.scan('users', undefined, none).next(), () => db.rangeByIndex('users', 'name', 2, 1)
  ]) {
    assert.equal((await errorOf(Promise.resolve().then(call))).code, 'FLOWDB_CLOSED', String(call))
  }
})
