'use strict'

/* Transactions of FlashStore. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { errorOf, flashInMemory, flashOnDisk, gathered } = require('./support')

const HOUR = 3600

test('a transaction sees its own writes, and others see them when it has ended', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  const result = await store.transaction(async (tx) => {
    assert.equal(await tx.set('a', 2), tx)
    await tx.set('b', 3)
    await tx.delete('none')
    assert.equal(await tx.get('a'), 2)
    assert.equal(await tx.size, 2)
    assert.equal(await store.get('a'), 1)
    assert.equal(await store.has('b'), false)
    return 'result'
  })
  assert.equal(result, 'result')
  assert.deepEqual(await gathered(store), [['a', 2], ['b', 3]])
})

test('what a transaction has written is gone when its function throws', async (t) => {
  const store = flashInMemory(t)
  const other = store.namespace('other')
  await store.set('a', 1)
  const thrown = new Error('mine')
  const error = await errorOf(store.transaction([store, other], async (own, within) => {
    await own.clear()
    await within.set('b', 1)
    throw thrown
  }))
  assert.equal(error, thrown)
  assert.deepEqual(await gathered(store), [['a', 1]])
  assert.equal(await other.size, 0)
})

test('a transaction is over several namespaces, which come into being with it', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open()
  const [from, to] = [store.namespace('from', { defaultTtl: HOUR }), store.namespace('deep').namespace('to')]
  await store.transaction([from, to], async (a, b) => {
    await a.set('balance', 60)
    await b.set('balance', 40)
  })
  await store.close()

  const again = open()
  assert.equal(await again.namespace('from').get('balance'), 60)
  assert.ok(await again.namespace('from').ttl('balance') <= HOUR)
  assert.equal(await again.namespace('deep').namespace('to').get('balance'), 40)
})

test('transactions that conflict are run again, and money neither comes nor goes', async (t) => {
  const store = flashInMemory(t)
  const accounts = [0, 1, 2, 3].map((n) => store.namespace(`account ${n}`))
  for (const account of accounts) await account.set('balance', 100)
  let runs = 0
  await Promise.all(Array.from({ length: 60 }, (_, n) => {
    const [from, to] = [accounts[n % 4], accounts[(n + 1 + n % 3) % 4]]
    return store.transaction([from, to], async (a, b) => {
      runs++
      const [have, had] = [await a.get('balance'), await b.get('balance')]
      await a.set('balance', have - 1)
      await b.set('balance', had + 1)
    })
  }))
  const balances = await Promise.all(accounts.map((account) => account.get('balance')))
  assert.equal(balances.reduce((sum, balance) => sum + balance), 400)
  assert.ok(runs >= 60)
})

test('a namespace that several transactions make at once has the entries of all', async (t) => {
  const store = flashInMemory(t)
  const made = store.namespace('made')
  await Promise.all(Array.from({ length: 20 }, (_, n) => made.transaction(async (tx) => { await tx.set(n, n) })))
  assert.equal(await made.size, 20)
})

test('every call on entries works in a transaction', async (t) => {
  const store = flashInMemory(t)
  for (let key = 0; key < 10; key++) await store.set(key, key)
  await store.transaction(async (tx) => {
    assert.equal(await tx.count({ gte: 5 }), 5)
    assert.deepEqual(await tx.first(), [0, 0])
    assert.deepEqual(await tx.last({ lt: 5 }), [4, 4])
    assert.deepEqual(await tx.popFirst(), [0, 0])
    assert.deepEqual(await tx.popLast(), [9, 9])
    assert.equal(await tx.has(9), false)
    assert.deepEqual(await gathered(tx.keys({ gt: 5 })), [6, 7, 8])
    await tx.setMany([['m', 1], ['n', 2]])
    assert.deepEqual(await tx.getMany(['n', 'm', 'o']), [2, 1, undefined])
    assert.equal(await tx.deleteMany(['n', 'o']), 1)
    await tx.batch([{ type: 'set', key: 'b', value: 1 }, { type: 'delete', key: 'm' }])
    assert.equal(await tx.del('b'), true)
    assert.equal(await tx.incr('c'), 1)
    assert.equal(await tx.incr('c', 5), 6)
    assert.equal(await tx.update('c', (n) => n * 2), 12)
    assert.equal(await tx.getOrSet('g', () => 'computed'), 'computed')
    assert.equal(await tx.wrap((n) => n * 2)(21), 42)
    await tx.set('t', 1, { ttl: HOUR })
    assert.ok(await tx.ttl('t') <= HOUR)
    assert.equal(await tx.persist('t'), true)
    assert.equal(await tx.ttl('t'), Infinity)
    assert.equal(await tx.expire('t', HOUR), true)
    const entry = await tx.getEntry('c')
    assert.equal(entry.version, 3)
    assert.deepEqual(await tx.atomic().check(entry).sum('c', 1).commit(), { ok: true, versions: [4] })
    assert.deepEqual(await tx.atomic().check(entry).sum('c', 1).commit(), { ok: false, unmet: 0 })
    const seen = []
    await tx.forEach((value, key) => { seen.push([key, value]) })
    assert.equal(seen.length, await tx.size)
  })
  assert.deepEqual((await gathered(store.entries({ gte: 'a' }))).map(([key]) => key), ['c', 'g', 't', [21]])
  assert.equal(await store.get('c'), 13)
  assert.equal(await store.count({ lt: 'a' }), 8)
})

test('a write that nobody awaited is committed, and one that failed keeps all from being committed', async (t) => {
  const store = flashInMemory(t)
  await store.transaction((tx) => {
    tx.set('a', 1)
    tx.incr('b')
    tx.update('c', async () => {
      await new Promise(setImmediate)
      return 3
    })
    tx.getOrSet('d', async () => 4)
    tx.atomic().set('e', 5).commit()
  })
  assert.deepEqual(await gathered(store), [['a', 1], ['b', 1], ['c', 3], ['d', 4], ['e', 5]])

  const fails = {
    set: (tx) => tx.set('a', () => {}),
    'set on a condition': (tx) => tx.set('a', 1, { ifAbsent: true }),
    incr: (tx) => tx.incr('f').then(() => tx.set('f', 'x')).then(() => tx.incr('f')),
    update: (tx) => tx.update('a', () => { throw new RangeError('mine') }),
    atomic: (tx) => tx.atomic().set('g', 'x').sum('g', 1).commit(),
    setMany: (tx) => tx.setMany([['a', 1], [undefined, 1]])
  }
  for (const [name, fail] of Object.entries(fails)) {
    if (name === 'incr') continue
    await assert.rejects(store.transaction((tx) => {
      tx.set('h', 1)
      fail(tx)
    }), name)
    assert.equal(await store.has('h'), false, name)
  }
  await assert.rejects(store.transaction(async (tx) => {
    tx.set('h', 1)
    await fails.incr(tx)
  }), { code: 'FLOWDB_INVALID_VALUE' })
  assert.equal(await store.has('h'), false)
})

test('a failure that was caught does not keep the rest from being committed', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  await store.transaction(async (tx) => {
    assert.equal((await errorOf(tx.set('a', 2, { ifAbsent: true }))).code, 'FLOWDB_CONSTRAINT')
    assert.equal((await errorOf(tx.incr('b', NaN))).code, 'FLOWDB_INVALID_VALUE')
    await tx.set('c', 3)
  })
  assert.deepEqual(await gathered(store), [['a', 1], ['c', 3]])
})

test('a transaction that has ended takes no calls any more', async (t) => {
  const store = flashInMemory(t)
  const tx = await store.transaction((tx) => tx)
  for (const call of [tx.get('a'), tx.set('a', 1), tx.incr('a'), tx.getOrSet('a', () => 1), tx.atomic().set('a', 1).commit()]) {
    assert.equal((await errorOf(call)).code, 'FLOWDB_TRANSACTION_INACTIVE')
  }
  assert.equal(await store.size, 0)
})

test('a transaction takes the options of db.update', async (t) => {
  const store = flashInMemory(t)
  let runs = 0
  const error = await errorOf(store.transaction(async (tx) => {
    runs++
    await tx.get('a')
    await store.set('a', runs)
    await tx.set('a', -1)
  }, { retries: 2 }))
  assert.deepEqual([error.code, runs], ['FLOWDB_CONFLICT', 3])

  const aborted = await errorOf(store.transaction([store], async () => 1, { signal: AbortSignal.abort() }))
  assert.equal(aborted.code, 'FLOWDB_ABORTED')
  assert.match(aborted.message, /transaction/)
})

test('what is no transaction is refused', async (t) => {
  const store = flashInMemory(t)
  const other = flashInMemory(t)
  const work = () => { throw new Error('it was called') }
  for (const given of [[], [5], ['a'], [[], work], [[other], work], [[store, other.namespace('a')], work], [[5], work], ['a', work],
    [work, { retries: -1 }], [work, { x: 1 }], [[store], 5], [new Set([store]), work]]) {
    assert.equal((await errorOf(store.transaction(...given))).code, 'FLOWDB_INVALID_ARGUMENT')
  }
  const within = await store.transaction((tx) => tx)
  assert.equal((await errorOf(store.transaction([within], work))).code, 'FLOWDB_INVALID_ARGUMENT')
  assert.throws(() => store.atomic().in(within), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('atomic in a transaction is over the namespaces that the transaction is on', async (t) => {
  const store = flashInMemory(t)
  const [a, b] = [store.namespace('a'), store.namespace('b')]
  await store.transaction([a, b], async (inA, inB) => {
    assert.throws(() => inA.atomic().in(a), { code: 'FLOWDB_INVALID_ARGUMENT' })
    await inA.atomic().set('x', 1).in(inB).set('y', 2).commit()
    assert.equal(await inB.get('y'), 2)
    assert.equal(await b.get('y'), undefined)
  })
  assert.equal(await b.get('y'), 2)
})

test('a transaction that makes a namespace does not overlook who writes into it before the commit', async (t) => {
  const names = flashInMemory(t).namespace('names')
  let attempts = 0
  await names.transaction(async (tx) => {
    const before = await tx.get('n') ?? 0
    await tx.set('n', before + 1)
    if (attempts++ === 0) await names.set('n', 10)
  })
  assert.deepEqual([await names.get('n'), await names.size, attempts], [11, 1, 2])
})
