'use strict'

/* Reads that are issued side by side, and so read together: also where some of them are not at hand. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { setTimeout: later } = require('node:timers/promises')
const { openInMemory } = require('./support')

/** More than one run of reads. */
const MANY = 400

/** @param {(n: number) => Promise<any>} read */
const together = (read, count = MANY) => Array.from({ length: count }, (_, n) => read(n))

test('documents of every size are read side by side, however many', async (t) => {
  const db = await openInMemory(t, { s: undefined })
  for (const size of [10, 2500, 20000, 70000]) {
    await db.put('s', 'x'.repeat(size), size)
    const found = await Promise.all(together(() => db.get('s', size)))
    assert.ok(found.length === MANY && found.every((value) => value.length === size), `${size} bytes`)
  }
  assert.deepEqual(new Set(await Promise.all(together((n) => db.has('s', n % 2 === 0 ? 10 : n)))), new Set([true, false]))
})

test('reads of a store that is not there fail, each for whoever awaits it, and nothing else does', async (t) => {
  const db = await openInMemory(t, { s: undefined })
  const unhandled = []
  const note = (reason) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))
  for (const count of [110, MANY, 110, 110, 110]) {
    // Behind a pause, so that the event loop is due for a turn.
    await later(3)
    for (const { reason } of await Promise.allSettled(together((n) => db.get('none', n), count))) {
      assert.equal(reason?.code, 'FLOWDB_NOT_FOUND')
    }
  }
  await later(20)
  assert.deepEqual(unhandled, [])
})

test('what is read side by side sees no write that was issued after it', async (t) => {
  const db = await openInMemory(t, { s: undefined })
  const large = 'a'.repeat(70000)
  for (let round = 0; round < 20; round++) {
    await db.put('s', large, 1)
    const reads = together(() => db.get('s', 1), 75 + round * 20)
    const written = db.put('s', 'b', 1)
    const behind = db.get('s', 1)
    for (const value of await Promise.all(reads)) assert.equal(value.length, large.length)
    assert.equal(await behind, 'b')
    await written
  }
})

/* There, what is put off to the end of the tick comes before microtasks. */
test('what is read side by side in a callback of the event loop sees no small write that was issued after it', async (t) => {
  const db = await openInMemory(t, { s: undefined })
  const issue = () => ({ reads: together(() => db.get('s', 1), 80), written: db.put('s', 'after', 1) })
  for (let round = 0; round < 5; round++) {
    await db.put('s', 'before', 1)
    // Behind a pause, so that the write need not wait for the event loop to turn.
    await later(3)
    const { reads, written } = await new Promise((resolve) => setImmediate(() => resolve(issue())))

    assert.deepEqual(new Set(await Promise.all(reads)), new Set(['before']))
    await written
  }
})

test('getMany of no keys asks for the store all the same, and lets the event loop turn', async (t) => {
  const db = await openInMemory(t, { s: undefined })
  await assert.rejects(db.getMany('none', []), { code: 'FLOWDB_NOT_FOUND' })
  let hasTurned = false
  setImmediate(() => { hasTurned = true })
  for (let call = 0; call < 100000 && !hasTurned; call++) assert.deepEqual(await db.getMany('s', []), [])
  assert.ok(hasTurned)
})
