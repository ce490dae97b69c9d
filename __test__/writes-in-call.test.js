'use strict'

/* Small writes that have to wait for nothing: done by the thread of JavaScript, at the end of the tick. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlowDB } = require('..')
const { flashOnDisk, temporary } = require('./support.js')

/** Whether the event loop turns before `promise` is settled. */
async function turnsBefore (promise) {
  let hasTurned = false
  setImmediate(() => { hasTurned = true })
  await promise
  return hasTurned
}

/** How many of so many writes, awaited one by one, are settled before the event loop turns. */
async function countInCall (count, write) {
  let inCall = 0
  for (let n = 0; n < count; n++) {
    if (!await turnsBefore(write(n))) inCall++
    await new Promise(setImmediate)
  }
  return inCall
}

test('a small write that need not be synced is done before the event loop turns', async (t) => {
  const store = flashOnDisk(t).open({ durability: 'relaxed' })
  // Begins the log, which takes a sync.
  await store.set('first', 0)

  // Not all of them: a sync in the background may be in the way.
  assert.ok(await countInCall(100, (n) => store.set(`key ${n}`, n)) > 10)
  assert.ok(await countInCall(100, (n) => store.delete(`key ${n}`)) > 10)
  assert.ok(await countInCall(100, (n) => store.setMany([['a', n], ['b', n]])) > 10)
  assert.deepEqual(await store.getMany(['a', 'b', 'key 1']), [99, 99, undefined])
})

test('a write that is to be synced is never done in the call', async (t) => {
  const { open } = flashOnDisk(t)
  const strict = open({ durability: 'strict' })
  await strict.set('first', 0)

  assert.equal(await countInCall(20, (n) => strict.set('key', n)), 0)
  await strict.close()
  const relaxed = open({ durability: 'relaxed' })
  await relaxed.set('first', 0)
  assert.equal(await countInCall(20, (n) => relaxed.set('key', n, { durability: 'strict' })), 0)
})

test('a loop that awaits one small write after the other lets the event loop turn', async (t) => {
  const store = flashOnDisk(t).open({ durability: 'relaxed' })
  await store.set('first', 0)
  let turns = 0
  let isDone = false
  const turn = () => {
    turns++
    if (!isDone) setImmediate(turn)
  }
  turn()

  for (let n = 0; n < 3000; n++) await store.set(n % 100, n)

  isDone = true
  assert.ok(turns >= 10, `${turns} turns`)
})

test('writes are settled and seen in the order in which they were issued, large and small ones', async (t) => {
  const store = flashOnDisk(t).open({ durability: 'relaxed' })
  await store.set('first', 0)
  const settled = []
  const issued = []
  const writes = []
  for (let n = 0; n < 300; n++) {
    // A large one goes to a worker, and the next ones come in its tick, in the next tick, or in the next turn.
    const value = n % 3 === 0 ? `${n} ${'x'.repeat(40_000)}` : `${n} `
    writes.push(store.set('key', value).then(() => settled.push(n)))
    issued.push(n)
    if (n % 4 === 1) await undefined
    if (n % 7 === 1) await new Promise(process.nextTick)
    if (n % 11 === 1) await new Promise(setImmediate)
    if (n % 5 === 0) assert.equal(Number((await store.get('key')).split(' ')[0]), n)
  }
  await Promise.all(writes)
  assert.deepEqual(settled, issued)
})

test('of small writes of one tick, one that fails is the only one', async (t) => {
  const db = FlowDB.open({ dataDir: temporary(t), durability: 'relaxed' })
  t.after(() => db.close())
  await db.createObjectStore('users', 'id')
  await db.createIndex('users', 'email', 'email', { unique: true })
  await db.put('users', { id: 0, email: 'a' })

  for (let round = 1; round <= 20; round++) {
    const results = await Promise.allSettled([
      db.put('users', { id: 3 * round, email: `${round} b` }), db.put('users', { id: 3 * round + 1, email: 'a' }),
      db.put('nowhere', { id: 1 }), db.put('users', { id: 3 * round + 2, email: `${round} c` })
    ])
    const codes = results.map(({ reason }) => reason?.code)
    assert.deepEqual(codes, [undefined, 'FLOWDB_CONSTRAINT', 'FLOWDB_NOT_FOUND', undefined])
    assert.equal(await db.count('users'), 1 + 2 * round)
  }
})

test('keys that are generated in the call follow each other', async (t) => {
  const db = FlowDB.open({ dataDir: temporary(t), durability: 'relaxed' })
  t.after(() => db.close())
  await db.createObjectStore('notes', { keyPath: 'id', autoIncrement: true })

  for (let id = 1; id <= 300; id++) assert.equal(await db.put('notes', { text: 'x'.repeat(id % 2 * 20_000) }), id)
})

test('what has been written in the call is there after the database was opened again', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open({ durability: 'relaxed' })
  for (let n = 0; n < 500; n++) await store.set(n, { n })
  await store.close()

  const again = open()
  assert.equal(await again.size, 500)
  assert.deepEqual(await again.get(499), { n: 499 })
})
