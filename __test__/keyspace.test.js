'use strict'

/* What is promised of keyspaces, which all adapters are made of. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { Connection } = require('../lib/connection.js')
const { FlowDBError } = require('../lib/errors.js')
const { Keyspace } = require('../lib/keyspace.js')
const { checkChanges, packKeys } = require('../lib/keyspace-changes.js')
const { KeyspaceSnapshot } = require('../lib/keyspace-snapshot.js')
const native = require('../lib/native.js')
const { VERB } = require('../lib/packing.js')
const { collectGarbage, errorOf, temporary } = require('./support.js')

const bytes = (text) => Buffer.from(text)
const put = (key, value = key) => ({ type: 'put', key: bytes(key), value: bytes(value) })

function inMemory (t, options = {}) {
  const keyspace = Keyspace.open({ inMemory: true, ...options })
  t.after(() => keyspace.close())
  return keyspace
}

function onDisk (t, path, options = {}) {
  const keyspace = Keyspace.open({ path, ...options })
  t.after(() => keyspace.close())
  return keyspace
}

/** Every row as text. */
async function rowsOf (keyspace, options = {}, size = 3) {
  const iterator = keyspace.iterator({ textKeys: true, textValues: true, ...options })
  const rows = []
  try {
    for (let page = await iterator.next(size); page.length > 0; page = await iterator.next(size)) rows.push(...page)
  } finally {
    iterator.close()
  }
  return rows
}

const keysOf = async (keyspace, options) => (await rowsOf(keyspace, options)).map(([key]) => key)

/** So many keys of six digits. */
async function fill (keyspace, count) {
  const changes = Array.from({ length: count }, (_, number) => put(String(number).padStart(6, '0'), 'v'))
  await keyspace.batch(changes, { durability: 'none' })
}

const snapshotsOf = (keyspace) => keyspace.statsSync().snapshots

test('a value is read as it was put, in every way there is to read it', async (t) => {
  const keyspace = inMemory(t)
  await keyspace.batch([put('a', 'one'), put('', 'empty key'), put('none', '')])

  assert.deepEqual(await keyspace.get(bytes('a')), bytes('one'))
  assert.deepEqual(keyspace.getSync(bytes('')), bytes('empty key'))
  assert.deepEqual(await keyspace.get('none'), bytes(''))
  assert.equal(await keyspace.get('b'), undefined)
  assert.equal(await keyspace.get('a', { text: true }), 'one')
  assert.deepEqual(await keyspace.getMany([bytes('b'), bytes(''), bytes('a')]), [undefined, bytes('empty key'), bytes('one')])
  assert.deepEqual([await keyspace.has(bytes('')), keyspace.hasSync('a'), await keyspace.has('b')], [true, true, false])
  assert.deepEqual(await keyspace.hasMany(['a', 'b', '']), [true, false, true])
})

test('what is on the disk and not in memory is read, too', async (t) => {
  const keyspace = onDisk(t, temporary(t), { blockCacheCapacityMb: 0 })
  const large = Buffer.alloc(300_000, 7)
  await keyspace.batch([put('a', 'one'), { type: 'put', key: bytes('large'), value: large }])
  await keyspace.compactRange()

  assert.deepEqual(await keyspace.get('large'), large)
  assert.deepEqual(keyspace.getSync('large'), large)
  assert.deepEqual(await keyspace.getMany(['a', 'large']), [bytes('one'), large])
  assert.deepEqual(keyspace.hasSync('large'), true)
  const iterator = keyspace.iterator()
  assert.deepEqual(await iterator.next(5), [[bytes('a'), bytes('one')], [bytes('large'), large]])
  iterator.close()
})

test('a key longer than those read in the call is a key like any other', async (t) => {
  const keyspace = inMemory(t)
  const long = Buffer.alloc(60_000, 1)
  await keyspace.put(long, bytes('v'))

  assert.deepEqual(await keyspace.get(long), bytes('v'))
  assert.deepEqual(await keyspace.getMany([long, long]), [bytes('v'), bytes('v')])
  assert.equal(keyspace.hasSync(long), true)
  assert.equal(keyspace.hasSync('é'.repeat(20_000)), false)
  await assert.rejects(keyspace.put(Buffer.alloc(65_536), bytes('v')), { code: 'FLOWDB_INVALID_KEY' })
})

test('a batch is made in its order, whole', async (t) => {
  const keyspace = inMemory(t)
  await keyspace.batch([put('a'), put('b'), put('c'), put('d')])
  const range = { type: 'clear', gt: bytes('a'), lte: bytes('c') }

  await keyspace.batch([{ type: 'del', key: bytes('a') }, put('bb'), range, put('b', 'anew'), put('d', 'x'), put('d', 'y')])

  assert.deepEqual(await rowsOf(keyspace), [['b', 'anew'], ['d', 'y']])
})

test('a read sees the writes that were called for before it and none that were called for later', async (t) => {
  const keyspace = onDisk(t, temporary(t))
  const first = keyspace.put('k', '1')
  const seen = keyspace.get('k', { text: true })
  const iterator = keyspace.iterator({ textValues: true })
  const snapshot = keyspace.snapshot()
  const second = keyspace.put('k', '2')

  assert.equal(keyspace.getSync('k', { text: true }), '2')
  assert.equal(keyspace.getSync('k', { text: true, snapshot }), '1')
  assert.equal(await seen, '1')
  assert.equal(await keyspace.get('k', { text: true, snapshot }), '1')
  assert.equal((await iterator.next())[0][1], '1')
  await Promise.all([first, second])
  iterator.close()
  snapshot.close()
})

test('the rows of a range come in the order of their bytes, both ways, up to a limit', async (t) => {
  const keyspace = inMemory(t)
  await keyspace.batch(['b', 'a', 'd', 'c', 'ä', 'aa'].map((key) => put(key)))

  assert.deepEqual(await keysOf(keyspace), ['a', 'aa', 'b', 'c', 'd', 'ä'])
  assert.deepEqual(await keysOf(keyspace, { reverse: true, limit: 2 }), ['ä', 'd'])
  assert.deepEqual(await keysOf(keyspace, { gt: 'a', lt: 'd' }), ['aa', 'b', 'c'])
  assert.deepEqual(await keysOf(keyspace, { gte: 'a', lte: bytes('c'), reverse: true }), ['c', 'b', 'aa', 'a'])
  assert.deepEqual(await keysOf(keyspace, { gte: 'c', gt: 'a', lte: 'd', lt: 'z' }), ['c', 'd'], 'inclusive bounds count')
  assert.deepEqual(await keysOf(keyspace, { gt: 'z', lt: 'a' }), [])
  assert.deepEqual(await keysOf(keyspace, { limit: 0 }), [])
  assert.deepEqual((await rowsOf(keyspace, { values: false }))[0], ['a', undefined])
  assert.deepEqual((await rowsOf(keyspace, { keys: false }))[1], [undefined, 'aa'])
})

test('a long iteration comes to every row once, whatever is written meanwhile', async (t) => {
  const keyspace = inMemory(t)
  await fill(keyspace, 20_000)
  const options = { textKeys: true, values: false }
  const iterators = [options, { ...options, reverse: true }].map((one) => keyspace.iterator(one))
  await keyspace.batch([{ type: 'clear' }, put('0')])

  for (const [place, iterator] of iterators.entries()) {
    const keys = []
    for (let page = await iterator.next(777); page.length > 0; page = await iterator.next(777)) {
      assert.ok(page.length === 777 || keys.length + page.length === 20_000)
      keys.push(...page.map(([key]) => key))
    }
    assert.equal(new Set(keys).size, 20_000)
    assert.deepEqual(keys, place === 0 ? keys.toSorted() : keys.toSorted().reverse())
    iterator.close()
  }
  assert.deepEqual(await keysOf(keyspace), ['0'])
})

test('no page is larger than memory should hold at once', async (t) => {
  const keyspace = inMemory(t)
  const value = Buffer.alloc(10_000)
  await keyspace.batch(Array.from({ length: 200 }, (_, key) => ({ type: 'put', key: String(key), value })))
  const iterator = keyspace.iterator()
  for (let rows = 0; rows < 200;) {
    assert.equal(await iterator.fill(1000), true)
    const page = iterator.takeMany(Infinity)
    assert.ok(page.length * value.length <= 128 * 1024 + value.length, `${page.length} rows`)
    rows += page.length
  }
  iterator.close()
})

test('an iterator that seeks goes on there, as of the same moment, and ends where that is out of its range', async (t) => {
  const keyspace = inMemory(t)
  await fill(keyspace, 5_000)
  const iterator = keyspace.iterator({ gte: '000100', lt: '004900', textKeys: true, limit: 5 })
  const reverse = keyspace.iterator({ gte: '000100', lt: '004900', textKeys: true, reverse: true })
  const next = async (of = iterator) => (await of.next()).map(([key]) => key)[0]
  await keyspace.clear()

  iterator.seek('0042')
  assert.equal(await next(), '004200')
  iterator.seek('000100')
  assert.equal(await next(), '000100')
  assert.equal(await next(), '000101')
  iterator.seek('00009')
  assert.equal(await next(), undefined)
  iterator.seek('004900')
  assert.equal(await next(), undefined)
  iterator.seek(bytes('004899'))
  assert.equal(await next(), '004899')
  assert.equal(await next(), undefined)
  iterator.seek('0003')
  assert.equal(await next(), '000300')
  assert.equal(await next(), undefined, 'five have been given')
  reverse.seek('0003')
  assert.equal(await next(reverse), '000299')
  for (const one of [iterator, reverse]) one.close()
})

test('a snapshot that is given is what a read sees, until it is closed', async (t) => {
  const keyspace = inMemory(t)
  await keyspace.batch([put('a', '1'), put('b', '1')])
  const snapshot = keyspace.snapshot()
  await keyspace.batch([put('a', '2'), { type: 'del', key: 'b' }, put('c', '2')])

  assert.equal(await keyspace.get('a', { snapshot, text: true }), '1')
  assert.equal(keyspace.getSync('b', { snapshot, text: true }), '1')
  assert.deepEqual(await keyspace.getMany(['a', 'c'], { snapshot, text: true }), ['1', undefined])
  assert.deepEqual([await keyspace.has('c', { snapshot }), keyspace.hasSync('b', { snapshot })], [false, true])
  assert.deepEqual(await keyspace.hasMany(['b', 'c'], { snapshot }), [true, false])
  assert.deepEqual(await rowsOf(keyspace, { snapshot }), [['a', '1'], ['b', '1']])
  await keyspace.clear({ snapshot, lte: 'b' })
  assert.deepEqual(await keysOf(keyspace), ['c'])

  const last = keyspace.get('a', { snapshot, text: true })
  snapshot.close()
  snapshot.close()
  assert.equal(await last, '1', 'a read that is under way comes to its end')
  await assert.rejects(keyspace.get('a', { snapshot }), { code: 'FLOWDB_CLOSED' })
  assert.throws(() => keyspace.iterator({ snapshot }), { code: 'FLOWDB_CLOSED' })
  assert.equal(snapshotsOf(keyspace), 0)
})

test('a snapshot of another database is refused', async (t) => {
  const [one, other] = [inMemory(t), inMemory(t)]
  const snapshot = one.snapshot()
  await assert.rejects(other.get('a', { snapshot }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  snapshot.close()
})

test('a snapshot that could not be taken tells why, to every read and to iterators that took it themselves', async (t) => {
  const busy = new FlowDBError('FLOWDB_BUSY', 'too much waits')
  const { issueTo } = Connection.prototype
  // The read of a key in the place of the snapshot; its answer comes when that of the snapshot would.
  t.mock.method(Connection.prototype, 'issueTo', function (verb, way, pack, done) {
    const packed = (run) => packKeys(run.bytes32(Buffer.alloc(0)).u32(0), ['k'])
    return issueTo.call(this, VERB.KEYSPACE_HAS_MANY, way, packed, () => done(busy))
  })
  const keyspace = inMemory(t)
  await keyspace.put('k', 'v')
  /** With a write ahead of it, so that it is taken behind that. */
  const taken = () => {
    keyspace.put('k', 'v')
    return keyspace.snapshot()
  }
  for (const read of [
    (snapshot) => keyspace.get('k', { snapshot }), (snapshot) => keyspace.getMany(['k'], { snapshot }),
    (snapshot) => keyspace.has('k', { snapshot }), (snapshot) => keyspace.clear({ snapshot }),
    (snapshot) => keyspace.iterator({ snapshot }).next(), async (snapshot) => keyspace.getSync('k', { snapshot }),
    async (snapshot) => keyspace.hasSync('k', { snapshot })
  ]) {
    const snapshot = taken()
    assert.equal(await errorOf(read(snapshot)), busy, String(read))
    assert.equal(await errorOf((async () => read(snapshot))()), busy, `${read}, once that is known`)
    snapshot.close()
  }
  for (const wait of [async () => {}, () => keyspace.get('k')]) {
    keyspace.put('k', 'v')
    const iterator = keyspace.iterator()
    await wait()
    assert.equal(await errorOf(iterator.next()), busy, String(wait))
    iterator.close()
  }
  assert.equal(await keyspace.get('k', { text: true }), 'v')
})

test('a snapshot goes with its iterator, also where that has read further pages', async (t) => {
  const keyspace = inMemory(t)
  await fill(keyspace, 5_000)
  const iterator = keyspace.iterator()
  assert.equal((await iterator.next(3_000)).length, 3_000)
  iterator.close()
  const given = keyspace.snapshot()
  assert.equal((await rowsOf(keyspace, { snapshot: given }, 900)).length, 5_000)
  await keyspace.getMany(['000001'], { snapshot: given })
  given.close()

  // A page that is read ahead still comes.
  for (let turn = 0; turn < 20_000 && snapshotsOf(keyspace) > 0; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(snapshotsOf(keyspace), 0)
})

test('snapshots and iterators that nobody holds let go of what they see', async (t) => {
  const keyspace = inMemory(t)
  await keyspace.put('a', '1')
  for (let count = 0; count < 10; count++) {
    keyspace.snapshot()
    await keyspace.iterator().next()
  }
  assert.ok(snapshotsOf(keyspace) > 0)

  while (snapshotsOf(keyspace) > 0) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
  }
})

/** Iterates over a snapshot, and forgets that. */
async function begin (keyspace, snapshot) {
  await keyspace.iterator({ snapshot }).next()
}

test('an iterator that nobody holds lets go of a snapshot that was given to it', async (t) => {
  const keyspace = inMemory(t)
  await fill(keyspace, 200)
  const snapshot = keyspace.snapshot()
  await begin(keyspace, snapshot)
  snapshot.close()
  assert.equal(snapshotsOf(keyspace), 1, 'it could still be read')

  for (let turns = 0; turns < 1_000 && snapshotsOf(keyspace) > 0; turns++) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(snapshotsOf(keyspace), 0)
  assert.ok(snapshot.isClosed, 'and it was held here, so that it did not let go of itself')
})

test('a read that lets go of its snapshot twice takes it from no other read', () => {
  const released = []
  const releaseSnapshot = (number) => released.push(number)
  const connection = { hasPendingWrites: false, nextId: () => 7, takeSnapshot () {}, releaseSnapshot }
  const snapshot = new KeyspaceSnapshot({ connection })
  const [one, other] = [snapshot.hold(), snapshot.hold()]
  snapshot.close()
  assert.throws(() => snapshot.heldFor((letGo) => {
    letGo()
    throw new Error('while it is packed')
  }), /packed/)
  one()
  one()
  assert.deepEqual(released, [], 'the other read sees it')
  other()
  assert.deepEqual(released, [7])
})

/** How many runs go to a worker while `work` is done. */
async function sentBy (t, work) {
  const submit = t.mock.method(native, 'submit')
  await work()
  const sent = submit.mock.callCount()
  submit.mock.restore()
  return sent
}

test('what was taken to be read is read in the call although writes are under way', async (t) => {
  const keyspace = onDisk(t, temporary(t), { durability: 'strict' })
  await fill(keyspace, 100)
  const snapshot = keyspace.snapshot()
  const sent = await sentBy(t, async () => {
    const written = keyspace.put('000001', 'new')
    let isWritten = false
    written.then(() => { isWritten = true })

    assert.equal(keyspace.getSync('000001', { snapshot, text: true }), 'v')
    assert.equal(keyspace.hasSync('000001', { snapshot }), true)
    assert.equal(keyspace.hasSync('none', { snapshot }), false)
    assert.equal(typeof keyspace.statsSync().syncs, 'number')
    assert.equal(native.submit.mock.callCount(), 0)
    assert.equal(isWritten, false)
    assert.equal(keyspace.getSync('000001', { text: true }), 'new', 'without a snapshot it sees the write')
    await written
  })
  assert.ok(sent > 0)
  snapshot.close()
})

test('a large value of a snapshot is read in the call ahead of the writes that are under way', async (t) => {
  const keyspace = onDisk(t, temporary(t), { durability: 'strict' })
  const large = 'v'.repeat(1 << 20)
  await keyspace.put('large', large)
  const snapshot = keyspace.snapshot()
  const submit = t.mock.method(native, 'submit')
  const written = keyspace.put('large', 'new')

  assert.equal(keyspace.getSync('large', { snapshot, text: true }), large)

  assert.deepEqual(submit.mock.calls.map(({ arguments: [, , , lane] }) => lane), ['submitReads'])
  await written
  snapshot.close()
})

test('reads in the call that come to nothing are made again once the event loop has turned', async (t) => {
  const keyspace = inMemory(t)
  await keyspace.put('a', '1')
  // More than there is room for in the call.
  const tooMany = Array.from({ length: 256 }, (_, number) => String(number).padStart(300, 'k'))
  await Promise.all(Array.from({ length: 20 }, () => keyspace.getMany(tooMany)))
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))

  assert.equal(await sentBy(t, () => keyspace.getMany(['a'])), 0)
})

test('a batch takes at most 320 MiB of keys and values, and is refused whole above that', () => {
  const value = Buffer.alloc(1 << 20)
  const changes = (count) => Array.from({ length: count }, () => ({ type: 'put', key: 'k', value }))
  assert.equal(checkChanges(changes(319)).length, 319)
  assert.throws(() => checkChanges(changes(320)), { code: 'FLOWDB_INVALID_ARGUMENT', message: /335544320 bytes/ })
  assert.throws(() => checkChanges([...changes(319), { type: 'del', key: 'k'.repeat(1 << 20) }]), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('a clear with a limit or a snapshot keeps its place among the writes of its tick', async (t) => {
  const keyspace = inMemory(t)
  await fill(keyspace, 3)
  const before = keyspace.snapshot()
  await Promise.all([
    keyspace.put('0', 'behind nothing'), keyspace.clear({ limit: 2 }), keyspace.put('000000', 'behind it')
  ])
  assert.deepEqual(await keysOf(keyspace), ['000000', '000001', '000002'])

  await Promise.all([keyspace.put('new', 'v'), keyspace.clear({ snapshot: before }), keyspace.put('000001', 'again')])
  assert.deepEqual(await keysOf(keyspace), ['000001', 'new'])
  const late = [keyspace.put('last', 'v'), keyspace.snapshot()]
  await Promise.all([keyspace.put('lost?', 'v'), keyspace.clear({ snapshot: late[1], reverse: true, limit: 1 })])
  assert.deepEqual(await keysOf(keyspace), ['000001', 'last', 'lost?'])
  late[1].close()
  before.close()
})

test('close waits for a clear that reads which keys go', async (t) => {
  const path = temporary(t)
  const keyspace = Keyspace.open({ path })
  await fill(keyspace, 30_000)
  const snapshot = keyspace.snapshot()
  const cleared = keyspace.clear({ snapshot })
  snapshot.close()
  await keyspace.close()

  await cleared
  assert.deepEqual(await keysOf(onDisk(t, path)), [])
})

test('a clear with a limit is as durable as it is asked to be', async (t) => {
  const keyspace = onDisk(t, temporary(t), { durability: 'relaxed', syncIntervalMs: 60_000 })
  await fill(keyspace, 10)
  const before = keyspace.statsSync().syncs
  await keyspace.clear({ limit: 1 })
  assert.equal(keyspace.statsSync().syncs, before)
  await keyspace.clear({ limit: 1, durability: 'strict' })
  assert.equal(keyspace.statsSync().syncs, before + 1)
  await keyspace.clear({ limit: 0 })
  assert.equal((await keysOf(keyspace)).length, 8)
  await keyspace.keyspace('nobody has written to it').clear({ limit: 5 })
})

test('a keyspace with a name is read and written from the first call on after an opening', async (t) => {
  const path = temporary(t)
  const first = Keyspace.open({ path })
  await first.keyspace('named').put('a', '1')
  await first.close()

  for (const use of [
    (named) => named.get('a', { text: true }), (named) => named.getSync('a', { text: true }),
    async (named) => (await named.getMany(['a'], { text: true }))[0],
    async (named) => { await named.put('a', '1'); return named.getSync('a', { text: true }) }
  ]) {
    const again = Keyspace.open({ path })
    await again.ready
    assert.equal(await use(again.keyspace('named')), '1')
    assert.equal(await again.keyspace('none').get('a'), undefined)
    await again.close()
  }
})

test('a clear takes one small write however many keys there are, and with a limit reads which they are', async (t) => {
  const keyspace = onDisk(t, temporary(t), { durability: 'relaxed' })
  await fill(keyspace, 10_000)
  const before = keyspace.statsSync().visibleSeqno

  await keyspace.clear({ gte: '005' })
  assert.equal(keyspace.statsSync().visibleSeqno - before, 1)
  await keyspace.clear({ gte: '001', limit: 1500 })
  await keyspace.clear({ limit: 10, reverse: true })

  const keys = await keysOf(keyspace)
  assert.deepEqual([keys.length, keys[1000], keys.at(-1)], [3490, '002500', '004989'])
})

test('a put with an expiry is there until then', async (t) => {
  const keyspace = inMemory(t)
  const at = Date.now() + 60_000
  await keyspace.batch([{ ...put('later'), expiresAt: at }, { ...put('past'), expiresAt: 0 }, put('never')])

  assert.deepEqual(await rowsOf(keyspace, { expiries: true }), [['later', 'later', at], ['never', 'never', Infinity]])
  assert.deepEqual(await Promise.all(['later', 'never', 'past'].map((key) => keyspace.expiry(key))), [at, Infinity, undefined])
  assert.equal(keyspace.getSync('past'), undefined)
  await keyspace.put('later', 'again')
  assert.equal(await keyspace.expiry('later'), Infinity)
})

test('keyspaces of one database share commits and see nothing of each other', async (t) => {
  const path = temporary(t)
  const first = Keyspace.open({ path })
  const [users, users2] = [first.keyspace('user'), first.keyspace('user2')]
  assert.deepEqual(await keysOf(users), [], 'nobody has written to it')
  await Promise.all([first.put('k', '0'), users.put('k', '1'), users2.put('k', '2')])
  await users.clear()
  await first.close()

  const again = onDisk(t, path)
  assert.deepEqual(await rowsOf(again.keyspace('user2')), [['k', '2']])
  assert.deepEqual(await rowsOf(again.keyspace('user')), [])
  assert.deepEqual(await rowsOf(again.keyspace('')), [['k', '0']])
  const long = await again.keyspace('user2').approximateSize('a', 'z')
  assert.equal(typeof long, 'number')
  assert.throws(() => again.keyspace('n'.repeat(256)), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('documents and keyspaces live in one database', async (t) => {
  const { FlowDB } = require('..')
  const path = temporary(t)
  const keyspace = onDisk(t, path)
  const db = FlowDB.open({ dataDir: path })
  t.after(() => db.close())
  await db.createObjectStore('s', 'id')
  await Promise.all([db.put('s', { id: 1 }), keyspace.keyspace('s').put('k', 'v')])
  await keyspace.clear()

  assert.deepEqual(await db.get('s', 1), { id: 1 })
  assert.equal(await keyspace.keyspace('s').get('k', { text: true }), 'v')
  await db.deleteObjectStore('s')
  assert.equal(await keyspace.keyspace('s').get('k', { text: true }), 'v')
})

test('a batch that is refused changes nothing, and others of its turn are made', async (t) => {
  const keyspace = inMemory(t)
  const refused = keyspace.batch([put('a'), { type: 'put', key: Buffer.alloc(65_536), value: bytes('v') }])
  const made = keyspace.put('b', 'b')

  await assert.rejects(refused, { code: 'FLOWDB_INVALID_KEY' })
  await made
  assert.deepEqual(await keysOf(keyspace), ['b'])
})

test('arguments that are none are refused with a code, and nothing is written', async (t) => {
  const keyspace = inMemory(t)
  const rejected = [
    ['FLOWDB_INVALID_KEY', () => keyspace.get(1)],
    ['FLOWDB_INVALID_KEY', () => keyspace.getMany([undefined])],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.getMany('ab')],
    ['FLOWDB_INVALID_KEY', () => keyspace.has(null)],
    ['FLOWDB_INVALID_VALUE', () => keyspace.put('a', 1)],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.batch({})],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.batch([put('a'), null])],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.batch([put('a'), { type: 'get', key: 'a' }])],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.batch([{ ...put('a'), expiresAt: 1.5 }])],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.batch([put('a')], { durability: 'much' })],
    ['FLOWDB_INVALID_KEY', () => keyspace.clear({ gt: 7 })],
    ['FLOWDB_INVALID_KEY', () => keyspace.clear({ gt: 7, limit: 1 })],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.clear({ limit: -1 })],
    ['FLOWDB_INVALID_ARGUMENT', () => keyspace.clear({ limit: 1, durability: 'much' })]
  ]
  for (const [code, call] of rejected) await assert.rejects(call(), { code })
  assert.throws(() => keyspace.iterator({ limit: -2 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => keyspace.iterator({ gte: {} }), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => keyspace.getSync(), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => Keyspace.open({ path: '' }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.deepEqual(await keysOf(keyspace), [])
})

test('an iterator that is being read says so, and one that is closed', async (t) => {
  const keyspace = inMemory(t)
  await fill(keyspace, 10)
  const iterator = keyspace.iterator()
  const reading = iterator.next()
  await assert.rejects(iterator.next(), { code: 'FLOWDB_BUSY' })
  assert.equal((await reading).length, 1)
  iterator.close()
  await assert.rejects(iterator.next(), { code: 'FLOWDB_CLOSED' })
  assert.throws(() => iterator.seek('a'), { code: 'FLOWDB_CLOSED' })
})

test('what is closed answers what was asked before and refuses what is asked later', async (t) => {
  const path = temporary(t)
  const keyspace = Keyspace.open({ path })
  const [snapshot, iterator] = [keyspace.snapshot(), keyspace.iterator()]
  const written = keyspace.put('a', '1')
  const read = keyspace.get('a', { text: true })
  await keyspace.close()

  await written
  assert.equal(await read, '1')
  await assert.rejects(keyspace.get('a'), { code: 'FLOWDB_CLOSED' })
  await assert.rejects(iterator.next(), { code: 'FLOWDB_CLOSED' })
  await assert.rejects(keyspace.batch([put('b')]), { code: 'FLOWDB_CLOSED' })
  assert.throws(() => keyspace.getSync('a'), { code: 'FLOWDB_CLOSED' })
  assert.throws(() => keyspace.snapshot(), { code: 'FLOWDB_CLOSED' })
  snapshot.close()
  iterator.close()
  await keyspace.close()
})

test('a database that can not be opened says why to everything that is asked of it', async (t) => {
  const keyspace = Keyspace.open({ path: temporary(t) + '/none', createIfMissing: false })
  const iterator = keyspace.iterator()
  const calls = [keyspace.ready, keyspace.get('a'), keyspace.put('a', 'b'), iterator.next(), keyspace.compactRange()]
  for (const call of calls) await assert.rejects(call, { code: 'FLOWDB_NOT_FOUND' })
  iterator.close()
  await keyspace.close()
})

test('durability is that of the database unless a batch asks for more', async (t) => {
  const keyspace = onDisk(t, temporary(t), { durability: 'none' })
  await keyspace.put('a', '1')
  const syncs = () => keyspace.statsSync().syncs
  const before = syncs()
  await keyspace.put('a', '2', { durability: 'relaxed' })
  assert.ok(syncs() > before, 'where nothing syncs by itself, relaxed is synced at once')
  await keyspace.close()

  const relaxed = onDisk(t, temporary(t), { durability: 'relaxed', syncIntervalMs: 60_000 })
  await relaxed.put('a', '1')
  const start = relaxed.statsSync().syncs
  await relaxed.put('a', '2')
  assert.equal(relaxed.statsSync().syncs, start)
  await relaxed.put('a', '3', { durability: 'strict' })
  assert.equal(relaxed.statsSync().syncs, start + 1)
})

test('a thread that ends with reads and writes under way harms nobody', async (t) => {
  const path = temporary(t)
  const keyspace = onDisk(t, path)
  await fill(keyspace, 2_000)
  const program = `
    const { Keyspace } = require(${JSON.stringify(require.resolve('../lib/keyspace.js'))})
    const keyspace = Keyspace.open({ path: ${JSON.stringify(path)} })
    keyspace.ready.then(async () => {
      keyspace.snapshot()
      require('node:worker_threads').parentPort.postMessage('open')
      for (let key = 0; ; key++) {
        keyspace.put('worker', String(key))
        await keyspace.iterator().next(1500)
      }
    })`
  const worker = new Worker(program, { eval: true })
  await new Promise((resolve) => worker.once('message', resolve))
  while (await keyspace.get('worker') === undefined) await new Promise((resolve) => setImmediate(resolve))
  await worker.terminate()

  await keyspace.put('after', '1')
  assert.equal(snapshotsOf(keyspace), 0)
  assert.equal((await rowsOf(keyspace, {}, 1000)).length, 2_002)
})

test('a loop that awaits reads of what lies in memory lets the event loop turn', async (t) => {
  const keyspace = inMemory(t)
  await fill(keyspace, 100)
  let turns = 0
  const timer = setInterval(() => { turns++ }, 0)
  const loops = [
    async () => { for (let count = 0; count < 20_000; count++) await keyspace.get('000001') },
    async () => { for (let count = 0; count < 2_000; count++) await keyspace.getMany(['000001', '000002']) },
    async () => { for (let count = 0; count < 2_000; count++) await keyspace.has('000001', { snapshot }) },
    async () => {
      for (let count = 0; count < 2_000; count++) {
        const iterator = keyspace.iterator()
        await iterator.next(10)
        iterator.close()
      }
    }
  ]
  const snapshot = keyspace.snapshot()
  for (const loop of loops) {
    turns = 0
    await loop()
    assert.ok(turns > 0)
  }
  clearInterval(timer)
  snapshot.close()
})

test('what a user\'s code makes of bytes and arrays can break nothing', async (t) => {
  const keyspace = inMemory(t)
  class Liar extends Uint8Array {
    get length () { return 1 }
  }
  const liar = Liar.from([97, 98])
  const other = Object.defineProperty(bytes('y'), 'length', { value: 0 })
  await keyspace.put(other, other)
  await Promise.all([keyspace.put(liar, liar), keyspace.put('z', 'z')])
  assert.deepEqual(await rowsOf(keyspace), [['ab', 'ab'], ['y', 'y'], ['z', 'z']])
  assert.equal(await keyspace.get(liar, { text: true }), 'ab')

  const throws = { get type () { throw new Error('of the user') } }
  const sparse = new Array(2)
  await assert.rejects(keyspace.batch([throws]), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(keyspace.batch(sparse), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(keyspace.getMany(sparse), { code: 'FLOWDB_INVALID_KEY' })
  await assert.rejects(keyspace.get(Object.create(Uint8Array.prototype)), { code: 'FLOWDB_INVALID_KEY' })
})
