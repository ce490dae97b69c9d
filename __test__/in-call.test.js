'use strict'

/* Reads of more than one document that are answered in the call: the same answers, and an event loop that is free. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore, FlowDB, KeyRange } = require('..')
const native = require('../lib/native.js')
const { gathered, openInMemory, randomSource, seedOf, temporary } = require('./support')

const PEOPLE = 400

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Counts the runs that are sent to the addon while `work` is done, and the reads that are tried in the call. */
async function counting (t, work) {
  const counts = { sent: 0, tried: 0 }
  const submit = t.mock.method(native, 'submit')
  const make = native.answerer
  const answerer = t.mock.method(native, 'answerer', (...args) => {
    const answer = make(...args)
    return (length) => {
      counts.tried++
      return answer(length)
    }
  })
  await work(() => {
    counts.sent = submit.mock.callCount()
    return counts
  })
  submit.mock.restore()
  answerer.mock.restore()
}

/** A database of people with a unique index on their mail, one on their score, and one on each of their tags. */
async function openPeople (t, count = PEOPLE) {
  const db = await openInMemory(t, { people: 'id', other: 'id' })
  await db.createIndex('people', 'mail', 'mail', { unique: true })
  await db.createIndex('people', 'score', 'score')
  await db.createIndex('people', 'tags', 'tags', { multiEntry: true })
  await db.putMany('people', Array.from({ length: count }, (_, id) => personOf(id)))
  return db
}

const personOf = (id) => ({
  id,
  mail: `${id}@example.org`,
  score: id % 50,
  tags: [`t${id % 7}`, `u${id % 11}`],
  name: id % 3 === 0 ? `Zoë ${id}` : `${id}`
})

/** Reads of all kinds, with arguments by chance. */
function readsBy ({ below }) {
  const either = () => below(2) === 0
  const id = () => below(PEOPLE + 20)
  const ids = () => {
    const from = id()
    return KeyRange.bound(from, from + 1 + below(60), either(), either())
  }
  const scores = () => {
    const from = below(50)
    return KeyRange.bound(from, from + below(10))
  }
  const options = () => ({ reverse: either(), limit: either() ? 1 + below(30) : Infinity })
  return [
    () => { const [range, by] = [ids(), options()]; return (db) => db.getAll('people', range, by) },
    () => { const range = ids(); return (db) => db.getAllKeys('people', range) },
    () => { const mail = `${id()}@example.org`; return (db) => db.getByIndex('people', 'mail', mail) },
    () => { const score = below(60); return (db) => db.getByIndex('people', 'score', score) },
    () => { const tag = [`t${below(8)}`, `u${below(12)}`][below(2)]; return (db) => db.getByIndex('people', 'tags', tag) },
    () => { const [range, by] = [scores(), options()]; return (db) => db.getAllByIndex('people', 'score', range, by) },
    () => { const from = below(50); return (db) => db.rangeByIndex('people', 'score', from, from + 3) },
    () => { const range = ids(); return (db) => db.count('people', range) },
    () => { const range = scores(); return (db) => db.countByIndex('people', 'score', range) },
    () => { const range = ids(); return (db) => db.getKey('people', range) },
    () => { const range = scores(); return (db) => db.getKeyByIndex('people', 'score', range) },
    () => { const key = id(); return (db) => db.getEntry('people', key) },
    () => { const [range, by] = [ids(), options()]; return (db) => gathered(db.scan('people', range, by)) },
    () => {
      const range = scores()
      return async (db) => {
        const places = await gathered(db.cursor('people', { index: 'score', range }))
        return places.map(({ key, value }) => [key, value])
      }
    },
    () => {
      const [least, limit, offset] = [below(50), below(20), below(5)]
      return (db) => {
        return db.query('people').where({ score: { gte: least } }).orderBy('score').limit(limit).offset(offset).toArray()
      }
    },
    () => { const score = below(50); return (db) => db.query('people').where({ score }).keys() },
    () => { const tag = `t${below(7)}`; return (db) => db.query('people').where({ tags: { contains: tag } }).count() }
  ]
}

test('what is answered in the call is what a worker answers', async (t) => {
  const db = await openPeople(t)
  const reads = readsBy(randomSource(seedOf(t)))
  await counting(t, async (counts) => {
    for (let round = 0; round < 600; round++) {
      const ask = reads[round % reads.length]()
      const before = counts().sent
      const atOnce = await ask(db)
      assert.equal(counts().sent, before, `read ${round % reads.length} was not answered in the call`)
      // Behind a write, a read goes the way of the write.
      const write = db.put('other', { id: round })
      const byWorker = await ask(db)
      assert.ok(counts().sent > before)
      assert.deepEqual(atOnce, byWorker, `read ${round % reads.length}`)
      await write
    }
  })
})

test('a read in the call sees the writes that were issued before it and none issued after it', async (t) => {
  const db = await openPeople(t)
  for (let round = 0; round < 100; round++) {
    const before = db.getAll('people', round)
    const put = db.put('people', { ...personOf(round), mail: `new ${round}` })
    const behind = Promise.all([db.getByIndex('people', 'mail', `new ${round}`), db.getAll('people', round)])
    assert.deepEqual(await before, [personOf(round)])
    const changed = { ...personOf(round), mail: `new ${round}` }
    assert.deepEqual(await behind, [[changed], [changed]])
    await put
    assert.deepEqual(await db.getByIndex('people', 'mail', `new ${round}`), [changed])
    assert.deepEqual(await db.getByIndex('people', 'mail', personOf(round).mail), [])
  }
})

test('in a transaction nothing is answered from outside of it', async (t) => {
  const db = await openPeople(t)
  const tx = db.transaction('people', 'readwrite')
  await tx.put('people', { ...personOf(1), mail: 'mine' })
  assert.equal((await tx.getByIndex('people', 'mail', 'mine')).length, 1)
  assert.deepEqual(await tx.getAll('people', KeyRange.bound(1, 2)), [{ ...personOf(1), mail: 'mine' }, personOf(2)])
  assert.deepEqual(await db.getByIndex('people', 'mail', 'mine'), [])
  await tx.abort()
})

test('what comes to too much is left to a worker, and after that seldom tried', async (t) => {
  const count = 20_000
  await counting(t, async (counts) => {
    const db = await openInMemory(t, { rows: 'id' })
    await db.putMany('rows', Array.from({ length: count }, (_, id) => ({ id })))
    const { tried } = counts()
    for (let time = 0; time < 100; time++) {
      const sent = counts().sent
      assert.equal(await db.count('rows', KeyRange.lowerBound(1)), count - 1)
      assert.ok(counts().sent > sent, 'a count of 20,000 rows was answered in the call')
    }
    assert.ok(counts().tried - tried < 10, `${counts().tried - tried} of 100 were tried`)
    // What is small is tried again before long, and from then on always.
    for (let time = 0; time < 200; time++) await db.count('rows', KeyRange.bound(1, 5))
    const sent = counts().sent
    assert.equal(await db.count('rows', KeyRange.bound(1, 5)), 5)
    assert.equal(counts().sent, sent)
  })
})

test('what a transaction writes keeps no read of others from being answered in the call', async (t) => {
  const db = await openPeople(t, 20)
  const tx = db.transaction(['people'], 'readwrite')
  await tx.get('people', 1)
  await counting(t, async (counts) => {
    for (let id = 100; id < 120; id++) tx.put('people', personOf(id))
    const before = counts().tried
    assert.equal(await db.count('people'), 20)
    assert.equal(counts().tried, before + 1)
  })
  await tx.commit()
  assert.equal(await db.count('people'), 40)
})

test('a query that finds little among much begins in the call and goes on with a worker', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await db.putMany('rows', Array.from({ length: 20_000 }, (_, id) => ({ id, rare: id % 5000 === 4999 })))
  await counting(t, async (counts) => {
    const sent = counts().sent
    const found = await db.query('rows').where({ rare: true }).toArray()
    assert.deepEqual(found.map(({ id }) => id), [4999, 9999, 14999, 19999])
    assert.ok(counts().sent > sent)
  })
})

test('results of many pages are whole, whatever of them is read in the call', async (t) => {
  const db = await openPeople(t, 5000)
  const all = Array.from({ length: 5000 }, (_, id) => personOf(id))
  assert.deepEqual(await db.getAll('people'), all)
  assert.deepEqual(await gathered(db.scan('people')), all)
  assert.deepEqual(await db.getAll('people', undefined, 1234), all.slice(0, 1234))
  assert.deepEqual(await db.query('people').toArray(), all)
  const byScore = await db.getAllByIndex('people', 'score', KeyRange.bound(7, 30))
  assert.equal(byScore.length, 2400)
  assert.ok(byScore.every(({ score }, at) => at === 0 || byScore[at - 1].score <= score))
})

test('an answer too long for a call comes from a worker', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  const text = 'x'.repeat(400_000)
  await db.putMany('rows', [{ id: 1, text }, { id: 2, text: 'short' }])
  assert.deepEqual(await db.getAll('rows'), [{ id: 1, text }, { id: 2, text: 'short' }])
  assert.deepEqual((await db.getEntry('rows', 1)).value, { id: 1, text })
  const reversed = await gathered(db.scan('rows', undefined, { reverse: true }))
  assert.deepEqual(reversed, [{ id: 2, text: 'short' }, { id: 1, text }])
  const long = 'k'.repeat(10_000)
  assert.deepEqual(await db.getAll('rows', KeyRange.bound(long, `${long}l`)), [])
  const keys = Array.from({ length: 5000 }, (_, at) => `a long key of a condition, which are many ${at}`)
  assert.deepEqual(await db.query('rows').where({ text: { in: [...keys, 'short'] } }).keys(), [2])
})

test('the event loop turns while reads in the call are awaited, and while many are asked for at once', async (t) => {
  const db = await openPeople(t)
  let [isRunning, turns] = [true, 0]
  const count = () => {
    turns++
    if (isRunning) setImmediate(count)
  }
  setImmediate(count)
  const started = performance.now()
  while (performance.now() - started < 200) await db.getAll('people', KeyRange.bound(100, 150))
  isRunning = false
  assert.ok(turns >= 20, `${turns} turns in 200 ms`)
  await turn()
  await counting(t, async (counts) => {
    const sent = counts().sent
    const answers = await Promise.all(Array.from({ length: 1000 }, () => db.getAll('people', KeyRange.bound(100, 199))))
    assert.ok(answers.every((answer) => answer.length === 100))
    assert.ok(counts().sent > sent, 'all of them were answered within one turn')
  })
})

test('a read that fails tells the same whichever way it goes', async (t) => {
  const db = await openPeople(t)
  const reads = [
    () => db.getAll('nowhere'), () => db.getByIndex('people', 'nowhere', 'x'), () => db.getByIndex('nowhere', 'mail', 'x'),
    () => db.getByIndex('people', 'mail', NaN), () => db.getByIndex('people', 'mail', 'x'.repeat(20_000)),
    () => db.count('nowhere', 1), () => db.getEntry('people', {}), () => db.query('nowhere').toArray(),
    () => db.getByIndex(7, 'mail', 'x'), () => db.getByIndex('people', undefined, 'x'), () => db.getKey('people', undefined),
    () => gathered(db.scan('nowhere')), () => db.getAllByIndex('people', 'nowhere')
  ]
  const failure = (read) => read().then(() => assert.fail(String(read)), ({ code, message }) => ({ code, message }))
  for (const read of reads) {
    const atOnce = await failure(read)
    const write = db.put('other', { id: 1 })
    assert.deepEqual(atOnce, await failure(read))
    await write
  }
})

test('reads in the call are refused once the database is closed, and before it is open they wait for it', async (t) => {
  const dataDir = temporary(t)
  const first = FlowDB.open({ dataDir })
  await first.createObjectStore('people', 'id')
  await first.createIndex('people', 'mail', 'mail', { unique: true })
  await first.put('people', personOf(1))
  await first.close()

  const db = FlowDB.open({ dataDir })
  const early = [db.getAll('people'), db.getByIndex('people', 'mail', '1@example.org')]
  assert.deepEqual(await Promise.all(early), [[personOf(1)], [personOf(1)]])
  await db.getByIndex('people', 'mail', '1@example.org')
  const iterator = db.scan('people')
  const closing = db.close()
  for (const read of [() => db.getAll('people'), () => db.getByIndex('people', 'mail', 'x'), () => db.query('people').toArray(),
    () => db.count('people', 1)]) {
    await assert.rejects(read(), { code: 'FLOWDB_CLOSED' })
  }
  assert.deepEqual(await gathered(iterator), [personOf(1)])
  await closing
})

test('an index that is made anew is read as it is then', async (t) => {
  const db = await openPeople(t)
  assert.equal((await db.getByIndex('people', 'mail', '5@example.org')).length, 1)
  await db.deleteIndex('people', 'mail')
  await assert.rejects(db.getByIndex('people', 'mail', '5@example.org'), { code: 'FLOWDB_NOT_FOUND' })
  await db.createIndex('people', 'mail', 'score')
  assert.equal((await db.getByIndex('people', 'mail', 5)).length, PEOPLE / 50)
  await db.deleteObjectStore('people')
  await assert.rejects(db.getByIndex('people', 'mail', 5), { code: 'FLOWDB_NOT_FOUND' })
})

test('a FlashStore gives ranges of entries in the call, values of all formats among them', async (t) => {
  const store = new FlashStore({ inMemory: true })
  t.after(() => store.close())
  const map = new Map([[1, new Date(5)]])
  const entries = [['a', 1], ['b', 'text'], ['c', map], ['d', Buffer.from([1, 2])], ['e', { é: '…' }]]
  for (const [key, value] of entries) await store.set(key, value)
  await counting(t, async (counts) => {
    const sent = counts().sent
    const read = await gathered(store.entries({ gte: 'b', limit: 3 }))
    assert.deepEqual(read.map(([key]) => key), ['b', 'c', 'd'])
    assert.deepEqual(read[1][1], map)
    assert.deepEqual(await store.first(), ['a', 1])
    assert.deepEqual(await store.last(), ['e', { é: '…' }])
    assert.equal(counts().sent, sent)
  })
})
