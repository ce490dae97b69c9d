'use strict'

/* flowdb/keyv under keyv 5 and 6: the suite of keyv, exact boundaries of namespaces, expiry, and cache-manager. */

const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { readdirSync, statSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { after, describe, test } = require('node:test')
const { setTimeout: delay } = require('node:timers/promises')
const { inspect } = require('node:util')
const { default: keyvTestSuite, keyvIteratorTests } = require('@keyv/test-suite')
const { createCache } = require('cache-manager')
const { Keyv: Keyv5 } = require('keyv')
const { Keyv: Keyv6 } = require('keyv6')
const { closedAfter, errorOf, gathered, temporary } = require('../__test__/support.js')
const { Keyspace } = require('../lib/keyspace.js')
const { KeyvFlowDB } = require('../lib/keyv.js')
const { expectations, vitest } = require('./expectations.js')

/** The suite says so much at least of an adapter; less would mean that it was not run. */
const EXPECTATIONS_MIN = 70

const ROWS = 100_000
const EXPIRING = 2_000
const VALUE_BYTES = 1_000
/** Version 6 keeps nothing under an empty key. */
const KEYS = ['a', ':', '2:a', '_', '\0']

/** The suite is of version 5. What version 6 promises otherwise is tested below, under its own words. */
const NOT_OF_SIX = new Map([
  ['.deleteMany([keys]) with nonexistent keys resolves to false', 'it resolves to an array'],
  ["iterator() doesn't yield values from other namespaces", 'an adapter has one namespace, so a second one is refused']
])

const VERSIONS = [
  { version: 5, Keyv: Keyv5, notOf: new Map() },
  { version: 6, Keyv: Keyv6, notOf: NOT_OF_SIX }
]

/** Entries of which each value names its key and its namespace. */
const entriesOf = (namespace) => KEYS.map((key) => ({ key, value: `${key} of ${namespace}` }))

/** The key under which a Keyv asks its adapter. */
const rowOf = (keyv, key) => keyv instanceof Keyv5 ? `${keyv.namespace}:${key}` : key

/** The bytes that the files of a folder hold. */
const bytesIn = (folder) => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

/** The same adapter, disconnected after the test. */
const connected = (t, adapter) => closedAfter(t, adapter, () => adapter.disconnect())

/** Adapters of one database, a new one at each call; all are disconnected after the test. */
function adaptersIn (t, options) {
  const first = connected(t, new KeyvFlowDB(options))
  return () => connected(t, new KeyvFlowDB(first))
}

for (const { version, Keyv, notOf } of VERSIONS) {
  for (const durability of ['strict', 'relaxed', 'none']) {
    describe(`the suite of keyv passes on version ${version} with durability ${durability}`, () => {
      let made = 0
      after(() => {
        assert.ok(made >= EXPECTATIONS_MIN, `the suite said ${made} things of the adapter`)
        words.verify()
      })
      const suite = { after }
      const dataDir = temporary(suite)
      const store = () => connected(suite, new KeyvFlowDB({ dataDir, durability }))
      const words = vitest({ notOf, onEnd: (count) => { made += count } })
      keyvTestSuite(words, Keyv, store)
      keyvIteratorTests(words, Keyv, store)
    })
  }

  test(`keyv ${version}: clearing a namespace leaves others that look like it, however their keys go on`, async (t) => {
    // In SQL's LIKE the underscore stands for any character.
    const namespaces = ['user_1', 'userX1', 'user_', 'user_1:2', 'user_12', 'user', '', 'user_1\0', '%']
    const next = adaptersIn(t, { inMemory: true })
    const all = namespaces.map((namespace) => new Keyv({ store: next(), namespace }))
    for (const [place, keyv] of all.entries()) await keyv.setMany(entriesOf(place))

    await all[0].clear()

    assert.deepEqual(await all[0].getMany(KEYS), KEYS.map(() => undefined))
    for (const [place, keyv] of all.entries()) {
      if (place > 0) assert.deepEqual(await keyv.getMany(KEYS), KEYS.map((key) => `${key} of ${place}`), namespaces[place])
    }
  })

  test(`keyv ${version}: an iterator gives every one of 100,000 entries once, and none of another namespace`, async (t) => {
    const next = adaptersIn(t, { inMemory: true })
    const [keyv, other] = ['many', 'man'].map((namespace) => new Keyv({ store: next(), namespace }))
    const keys = Array.from({ length: ROWS }, (_, number) => `row ${number}`)
    await keyv.setMany(keys.map((key) => ({ key, value: key.length })))
    await other.set('row', 0)

    const rows = await gathered(keyv.iterator())

    assert.equal(rows.length, ROWS)
    const seen = new Map(rows)
    assert.ok(keys.every((key) => seen.get(key) === key.length))
    assert.deepEqual(await gathered(other.iterator()), [['row', 0]])
  })

  test(`keyv ${version}: two Keyv on one database never clear each other, with one adapter neither`, async (t) => {
    const next = adaptersIn(t, { inMemory: true })
    const adapter = next()
    const first = new Keyv({ store: adapter, namespace: 'first' })
    await first.set('key', 1)

    if (version === 6) {
      assert.throws(() => new Keyv({ store: adapter, namespace: 'second' }), { code: 'FLOWDB_UNSUPPORTED' })
    } else {
      const second = new Keyv({ store: adapter, namespace: 'second', throwOnErrors: true })
      await second.set('key', 2)
      assert.equal((await errorOf(second.clear())).code, 'FLOWDB_UNSUPPORTED')
      assert.deepEqual([await first.get('key'), await second.get('key')], [1, 2])
    }

    const third = new Keyv({ store: next(), namespace: 'third' })
    await third.set('key', 3)
    await third.clear()
    assert.deepEqual([await first.get('key'), await third.get('key')], [1, undefined])
  })

  test(`keyv ${version}: a Keyv that gets another namespace finds and clears what is in that one`, async (t) => {
    const next = adaptersIn(t, { inMemory: true })
    const [keyv, old] = ['old', 'old'].map((namespace) => new Keyv({ store: next(), namespace }))
    await keyv.set('key', 1)
    await new Promise((resolve) => setImmediate(resolve))
    keyv.namespace = 'new'
    await keyv.set('key', 2)
    await keyv.clear()
    assert.deepEqual([await keyv.get('key'), await old.get('key')], [undefined, 1])
  })

  test(`keyv ${version}: what has expired is in no answer, and leaves the disk`, async (t) => {
    const dataDir = temporary(t)
    const adapter = connected(t, new KeyvFlowDB({ dataDir }))
    const keyv = new Keyv({ store: adapter })
    const value = randomBytes(VALUE_BYTES).toString('hex')
    const entries = Array.from({ length: EXPIRING }, (_, number) => ({ key: `row ${number}`, value, ttl: 300 }))
    await keyv.set('stays', 'here')
    await keyv.setMany(entries)
    await delay(400)

    // Asked of the adapter, which Keyv would correct.
    assert.deepEqual(await adapter.hasMany(['row 0', 'stays'].map((key) => rowOf(keyv, key))), [false, true])
    assert.deepEqual((await gathered(keyv.iterator())).map(([key]) => key), ['stays'])
    await keyv.disconnect()

    const keyspace = Keyspace.open({ dataDir })
    await keyspace.compactRange()
    await keyspace.close()
    const left = bytesIn(dataDir)
    assert.ok(left < EXPIRING * VALUE_BYTES, `${left} bytes are left`)
  })

  test(`keyv ${version}: what was written is there after a reopening, with its expiry`, async (t) => {
    const dataDir = temporary(t)
    const write = new Keyv({ store: connected(t, new KeyvFlowDB(dataDir)), namespace: 'n' })
    await write.set('long', { a: [1, null] }, 60_000)
    await write.set('short', 'gone', 200)
    await write.disconnect()
    await delay(250)
    const read = new Keyv({ store: connected(t, new KeyvFlowDB(dataDir)), namespace: 'n' })
    assert.deepEqual(await read.getMany(['long', 'short']), [{ a: [1, null] }, undefined])
    assert.equal(await read.has('short'), false)
  })

  test(`keyv ${version}: texts with half a surrogate pair are keys and values like all others`, async (t) => {
    const keyv = new Keyv({ store: adaptersIn(t, { inMemory: true })() })
    await keyv.set('\ud800', 'a \ud800')
    await keyv.set('\udfff', 'b')
    assert.deepEqual(await keyv.getMany(['\ud800', '\udfff', '\ufffd']), ['a \ud800', 'b', undefined])
  })
}

test('keyv 5 and 6 read what the other has written', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const [five, six] = [Keyv5, Keyv6].map((Keyv) => new Keyv({ store: next(), namespace: 'shared' }))
  await five.set('five', { a: 1 }, 60_000)
  await six.set('six', 'text')
  assert.deepEqual(await six.getMany(['five', 'six']), [{ a: 1 }, 'text'])
  assert.deepEqual(await five.getMany(['five', 'six']), [{ a: 1 }, 'text'])
  assert.deepEqual(await gathered(five.iterator()), [['five', { a: 1 }], ['six', 'text']])
  assert.deepEqual(await gathered(six.iterator()), [['five', { a: 1 }], ['six', 'text']])
})

test('keyv 5 without key prefixes keeps keys apart that look like prefixed ones', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const bare = new Keyv5({ store: next(), namespace: 'n', useKeyPrefix: false })
  const prefixed = new Keyv5({ store: next(), namespace: 'n' })
  await bare.set('key', 'bare')
  await prefixed.set('key', 'prefixed')
  assert.deepEqual([await bare.get('key'), await prefixed.get('key')], ['bare', 'prefixed'])
})

test('keyv 5 with one adapter for several Keyv finds its entries whichever is made first', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  for (const order of [['a', 'b'], ['b', 'a']]) {
    const store = next()
    const all = Object.fromEntries(order.map((namespace) => [namespace, new Keyv5({ store, namespace })]))
    if (order[0] === 'a') {
      await all.a.set('key', 'of a')
      await all.b.set('key', 'of b')
    }
    assert.deepEqual([await all.a.get('key'), await all.b.get('key')], ['of a', 'of b'])
  }
})

test('keyv 5: namespaces of which one is empty or begins the other share no adapter, and nothing goes out of sight', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  for (const [one, other] of [['a', 'a:b'], ['a:b', 'a'], ['', 'a'], ['a', ''], [undefined, 'a:b']]) {
    const [store, owner] = [next(), `${one} beside ${other}`]
    const first = new Keyv5({ store, namespace: one })
    const keys = ['k', 'b:k', 'a:b:k']
    for (const key of keys) await first.set(key, owner)

    assert.throws(() => new Keyv5({ store, namespace: other }), { code: 'FLOWDB_UNSUPPORTED', message: /new KeyvFlowDB/ })
    assert.throws(() => { first.store.namespace = 7 }, { code: 'FLOWDB_INVALID_ARGUMENT' })

    for (const key of keys) assert.equal(await first.get(key), owner, key)
    const second = new Keyv5({ store: next(), namespace: other })
    assert.deepEqual(await second.getMany(keys), keys.map(() => undefined))
    await first.clear()
  }
})

test('keyv 5: two Keyv that have shared a namespace find their entries after one of them gets another', async (t) => {
  const store = adaptersIn(t, { inMemory: true })()
  const [first, second] = ['old', 'old'].map((namespace) => new Keyv5({ store, namespace }))
  await second.set('key', 'of old')
  first.namespace = 'new'
  await first.set('key', 'of new')
  assert.deepEqual([await first.get('key'), await second.get('key')], ['of new', 'of old'])
  assert.throws(() => { first.namespace = 'old:er' }, { code: 'FLOWDB_UNSUPPORTED' })
  assert.equal(await second.get('key'), 'of old')
})

test('keyv 6: one of two Keyv that share an adapter can\'t take the other into another namespace', async (t) => {
  const store = adaptersIn(t, { inMemory: true })()
  const [first, second] = ['old', 'old'].map((namespace) => new Keyv6({ store, namespace }))
  await second.set('key', 'of old')
  assert.throws(() => { first.namespace = 'new' }, { code: 'FLOWDB_UNSUPPORTED' })
  assert.equal(await second.get('key'), 'of old')
  first.namespace = 'old'
  assert.throws(() => new Keyv6({ store, namespace: 'third' }), { code: 'FLOWDB_UNSUPPORTED' })
  assert.equal(await first.get('key'), 'of old')
})

test('keyv 5: keys without a prefix are refused where several namespaces share an adapter, whichever comes first', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const [early, late] = [next(), next()]
  const bare = new Keyv5({ store: early, namespace: 'a', useKeyPrefix: false, throwOnErrors: true })
  await bare.set('k', 1)
  assert.throws(() => new Keyv5({ store: early, namespace: 'b' }), { code: 'FLOWDB_UNSUPPORTED' })
  assert.equal(await bare.get('k'), 1)

  const [other] = ['a', 'b'].map((namespace) => {
    return new Keyv5({ store: late, namespace, useKeyPrefix: namespace === 'b', throwOnErrors: true })
  })
  for (const call of [other.set('k', 2), other.get('k'), other.delete('k'), other.getMany(['k'])]) {
    assert.equal((await errorOf(call)).code, 'FLOWDB_UNSUPPORTED')
  }
  assert.equal(await bare.get('k'), 1)
})

test('keyv 5: an iterator gives no entries of another Keyv that was made later with the same adapter', async (t) => {
  const store = adaptersIn(t, { inMemory: true })()
  const [first, second] = ['a', 'ab'].map((namespace) => new Keyv5({ store, namespace }))
  await first.set('key', 'of a')
  await second.set('key', 'of ab')
  assert.deepEqual(await gathered(second.iterator()), [['key', 'of ab']])
  assert.equal((await errorOf(gathered(first.iterator()))).code, 'FLOWDB_UNSUPPORTED')
})

test('whoever else listens for errors, or looks at an adapter, is no Keyv', async (t) => {
  for (const Keyv of [Keyv5, Keyv6]) {
    for (const look of [
      (adapter) => adapter.on('error', () => {}), (adapter) => adapter.once('error', () => {}),
      (adapter) => adapter.capabilities, (adapter) => adapter.opts, (adapter) => adapter.iterator
    ]) {
      const adapter = adaptersIn(t, { inMemory: true })()
      look(adapter)
      const keyv = new Keyv({ store: adapter, namespace: 'old' })
      look(adapter)
      keyv.namespace = 'new'
      look(adapter)
      await keyv.set('key', 1, 60_000)
      look(adapter)
      assert.equal(await keyv.get('key'), 1)
      assert.deepEqual(await gathered(keyv.iterator()), [['key', 1]])
      await keyv.clear()
      assert.equal(await keyv.get('key'), undefined)
      const again = new Keyv({ store: adapter, namespace: 'new' })
      await again.set('key', 2)
      assert.equal(await keyv.get('key'), 2, `${Keyv === Keyv5 ? 5 : 6} ${look}`)
    }
  }
})

test('the namespace of an adapter is that of a Keyv 6 without one, and Keyv 5 with another is refused', async (t) => {
  const adapter = () => connected(t, new KeyvFlowDB({ inMemory: true, namespace: 'own' }))
  assert.equal(new Keyv6({ store: adapter() }).namespace, 'own')
  assert.equal(new Keyv6({ store: adapter(), namespace: 'its' }).store.namespace, 'its')
  const five = new Keyv5({ store: adapter(), namespace: 'own' })
  await five.set('key', 1)
  assert.equal(await five.get('key'), 1)
  for (const namespace of [{}, { namespace: 'its' }, { namespace: '' }]) {
    const refusing = adapter()
    assert.throws(() => new Keyv5({ store: refusing, ...namespace }), { code: 'FLOWDB_INVALID_ARGUMENT', message: /"own"/ })
    assert.equal(refusing.namespace, 'own')
  }
})

test('an empty namespace is none, for both versions', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const all = [new Keyv5({ store: next(), namespace: '' }), new Keyv6({ store: next() }), new Keyv6({ store: next(), namespace: '' })]
  const named = new Keyv5({ store: next(), namespace: 'n' })
  named.namespace = ''
  await all[0].set('key', 1)
  for (const keyv of [...all, named]) assert.equal(await keyv.get('key'), 1)
})

test('keys that are no strings are refused by every call of the adapter', async (t) => {
  const adapter = adaptersIn(t, { inMemory: true })()
  const keyv = new Keyv6({ store: adapter })
  await keyv.set('x', 'of a string')
  for (const key of [5, undefined, null, ['x'], Symbol('x'), { toString: () => 'x' }]) {
    for (const call of [
      adapter.get(key), adapter.getMany(['x', key]), adapter.has(key), adapter.hasMany([key]), adapter.set(key, 1),
      adapter.setMany([{ key: 'x', value: 2 }, { key, value: 1 }]), adapter.delete(key), adapter.deleteMany(['x', key])
    ]) assert.equal((await errorOf(call)).code, 'FLOWDB_INVALID_KEY')
  }
  assert.deepEqual(await gathered(keyv.iterator()), [['x', 'of a string']])
})

test('what an iterator of keyv 5 cuts from keys, the one of the adapter gives whole', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const [none, colon, bare] = [
    new Keyv5({ store: next(), namespace: '' }), new Keyv5({ store: next(), namespace: 'a:b' }),
    new Keyv5({ store: next(), namespace: 'bare', useKeyPrefix: false })
  ]
  await Promise.all([none.set('c:k', 1), colon.set('c:k', 1), bare.set('c:k', 1)])
  const keysOf = async (iterator) => (await gathered(iterator)).map(([key]) => key)
  // Its own: it takes away everything up to the first colon.
  assert.deepEqual([await keysOf(none.iterator()), await keysOf(colon.iterator())], [['k'], ['b:c:k']])
  assert.deepEqual(await keysOf(bare.iterator()), ['c:k'])
  assert.deepEqual([await keysOf(none.store.iterator()), await keysOf(colon.store.iterator())], [['c:k'], ['a:b:c:k']])
})

test('keyv 5 takes a key that begins with the namespace for a prefixed one, and in arrays not', async (t) => {
  const keyv = new Keyv5({ store: adaptersIn(t, { inMemory: true })(), namespace: 'n' })
  await keyv.set('k', 1)
  assert.deepEqual([await keyv.get('n:k'), await keyv.getMany(['n:k', 'k'])], [1, [undefined, 1]])
  await keyv.set('n:n:k', 2)
  assert.deepEqual([await keyv.get('k'), await keyv.getMany(['n:k'])], [1, [2]])
})

test('keyv 5 with and without key prefixes iterate over one namespace together, and clear it together', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const [bare, prefixed] = [false, true].map((useKeyPrefix) => new Keyv5({ store: next(), namespace: 'n', useKeyPrefix }))
  await bare.set('k', 1)
  await prefixed.set('k', 2)
  assert.deepEqual((await gathered(bare.iterator())).sort(), [['k', 1], ['n:k', 2]])
  assert.deepEqual([await bare.get('n:k'), await prefixed.get('k')], [2, 2])
  await bare.clear()
  assert.deepEqual([await bare.get('k'), await prefixed.get('k')], [undefined, undefined])
})

test('an entry without a time to live stays, unless the database was opened elsewhere with one for all', async (t) => {
  const dataDir = temporary(t)
  const plain = connected(t, new KeyvFlowDB({ inMemory: true }))
  const others = closedAfter(t, Keyspace.open({ dataDir, defaultTtlSecs: 1 }))
  await others.ready
  const shared = connected(t, new KeyvFlowDB(dataDir))
  const all = [plain, shared].map((store) => new Keyv5({ store }))
  for (const keyv of all) await keyv.set('k', 1)
  await delay(1_100)
  assert.deepEqual(await Promise.all(all.map((keyv) => keyv.get('k'))), [1, undefined])
})

test('keyv 6 uses the adapter as it is, deletes many with an answer for each, and refuses a symbol', async (t) => {
  const adapter = adaptersIn(t, { inMemory: true })()
  const keyv = new Keyv6({ store: adapter })
  assert.equal(keyv.store, adapter)
  await keyv.setMany([{ key: 'a', value: 1n }, { key: 'b', value: 2, ttl: 60_000 }])
  assert.equal(await keyv.get('a'), 1n)
  assert.deepEqual(await keyv.deleteMany(['a', 'no', 'b']), [true, false, true])
  keyv.on('error', () => {})
  assert.equal(await keyv.set('c', Symbol('c')), false)
  assert.equal(await keyv.has('c'), false)
})

test('keyv 6 without a namespace keeps an adapter to itself, and a look at what one can do changes nothing', async (t) => {
  const adapter = connected(t, new KeyvFlowDB({ inMemory: true }))
  const other = connected(t, new KeyvFlowDB(adapter))
  const first = new Keyv6({ store: adapter })
  await first.set('k', 'of the first')
  assert.throws(() => new Keyv6({ store: adapter, namespace: 'b' }), { code: 'FLOWDB_UNSUPPORTED' })
  assert.equal(await first.get('k'), 'of the first')

  const five = new Keyv5({ store: other })
  assert.equal(typeof other.capabilities, 'object')
  await five.set('k', 'v', 60_000)
  assert.equal(await five.get('k'), 'v')
  assert.throws(() => new Keyv6({ store: other }), { code: 'FLOWDB_UNSUPPORTED' })
})

test('what expires while it is iterated over is not given, and what comes in its place is not deleted', async (t) => {
  for (const Keyv of [Keyv5, Keyv6]) {
    const store = connected(t, new KeyvFlowDB({ inMemory: true }))
    const keyv = new Keyv({ store, namespace: 'n' })
    await keyv.set('a', 'stays')
    await keyv.set('k', 'goes', 30)
    const given = []
    for await (const [key] of keyv.iterator()) {
      given.push(key)
      if (given.length > 1) break
      await delay(50)
      await keyv.set('k', 'fresh')
    }
    assert.deepEqual([given.length, await keyv.get('k')], [1, 'fresh'])
  }
})

test('keyv 6 gives moments: one that has passed is not there, and a late one does not come early', async (t) => {
  const adapter = adaptersIn(t, { inMemory: true })()
  const keyv = new Keyv6({ store: adapter, checkExpired: false })
  await keyv.set('key', 'old')
  await keyv.setRaw('key', { value: 'new', expires: Date.now() - 1 })
  assert.equal(await keyv.get('key'), undefined)
  await keyv.setRaw('key', { value: 'late', expires: Number.MAX_VALUE })
  assert.equal(await keyv.get('key'), 'late')
})

test('values that Keyv does not serialize come back as they went in', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const values = [new Map([['a', new Date(0)]]), Buffer.from([0, 255]), 'text', undefined, null, -0, { deep: [1n] }]
  const five = new Keyv5({ store: next(), serialize: undefined, deserialize: undefined })
  const six = new Keyv6({ store: next(), serialization: false })
  for (const [place, value] of values.entries()) {
    await five.set(`five ${place}`, value)
    await six.set(`six ${place}`, value)
    assert.deepEqual(await five.get(`five ${place}`), value)
    assert.deepEqual(await six.get(`six ${place}`), value)
  }
})

test('a write that fails changes nothing, and is told', async (t) => {
  const adapter = adaptersIn(t, { inMemory: true })()
  const keyv = new Keyv5({ store: adapter, throwOnErrors: true })
  const long = 'k'.repeat(20_000)
  const error = await errorOf(keyv.setMany([{ key: 'short', value: 1 }, { key: long, value: 2 }]))
  assert.equal(error.code, 'FLOWDB_INVALID_KEY')
  assert.equal(await keyv.has('short'), false)
})

test('options that make no sense are refused at once', () => {
  const misspelled = [{ nameSpace: 'n' }, { tableau: 1 }, { ttl: 1 }, { path: 'x' }, { defaultTtlSecs: 1 }, { defaultTtl: 1 }]
  const withDirectory = [{ namespace: 7 }, ...misspelled].map((option) => ({ dataDir: 'x', ...option }))
  for (const options of [undefined, null, 7, {}, [], ...withDirectory]) {
    assert.throws(() => new KeyvFlowDB(options), { code: 'FLOWDB_INVALID_ARGUMENT' }, inspect(options))
  }
})

test('an adapter that could not open its database tells it to every call', async (t) => {
  const file = join(temporary(t), 'file')
  writeFileSync(file, '')
  const adapter = new KeyvFlowDB(file)
  for (const call of [adapter.get('a'), adapter.set('a', 1), adapter.clear(), gathered(adapter.iterator())]) {
    assert.equal((await errorOf(call)).code, 'FLOWDB_IO')
  }
  await adapter.disconnect().catch(() => {})
})

test('adapters of one database close it with the last of them, and a second disconnect is nothing', async (t) => {
  const first = new KeyvFlowDB({ inMemory: true })
  const second = new KeyvFlowDB(first)
  await first.set('a', 1)
  await first.disconnect()
  await first.disconnect()
  assert.equal(await second.get('a'), 1)
  await second.disconnect()
  assert.equal((await errorOf(second.get('a'))).code, 'FLOWDB_CLOSED')
})

test('a second disconnect waits for the first, and a disconnected adapter is closed though others are not', async (t) => {
  const path = temporary(t)
  const adapter = connected(t, new KeyvFlowDB(path))
  await adapter.set('a', 1)
  const first = adapter.disconnect()
  await adapter.disconnect()
  // Refused while it is open.
  await Keyspace.destroy({ path })
  await first

  const next = adaptersIn(t, { inMemory: true })
  const [left, stays] = [next(), next()]
  await left.disconnect()
  for (const call of [left.get('a'), left.set('a', 1), left.clear(), gathered(left.iterator())]) {
    assert.equal((await errorOf(call)).code, 'FLOWDB_CLOSED')
  }
  assert.throws(() => new KeyvFlowDB(left), { code: 'FLOWDB_CLOSED' })
  assert.equal(await stays.get('a'), undefined)
})

test('cache-manager reads through two stores, keeps to its ttl, and clears only its own', async (t) => {
  const next = adaptersIn(t, { inMemory: true })
  const other = new Keyv5({ store: next(), namespace: 'other' })
  await other.set('user', 'stays')
  const cache = createCache({ stores: [new Keyv5(), new Keyv5({ store: next(), namespace: 'cache' })], ttl: 60_000 })
  let computed = 0
  const load = () => cache.wrap('user', async () => ({ name: 'Ada', computed: ++computed }))

  assert.deepEqual([await load(), await load()], [{ name: 'Ada', computed: 1 }, { name: 'Ada', computed: 1 }])
  // The first store forgets, as after a restart; the second one has it still.
  await cache.stores[0].clear()
  assert.deepEqual(await load(), { name: 'Ada', computed: 1 })
  await cache.mset([{ key: 'a', value: 1 }, { key: 'b', value: 2, ttl: 100 }])
  await delay(150)
  assert.deepEqual(await cache.mget(['a', 'b', 'c']), [1, undefined, undefined])
  await cache.mdel(['a'])
  assert.equal(await cache.get('a'), undefined)
  await cache.clear()
  assert.deepEqual([await cache.get('user'), await other.get('user')], [undefined, 'stays'])
})

test('the words of the suite can fail', () => {
  const wrong = [['toBe', 1, 2], ['toEqual', {}, { a: 1 }], ['toBeTruthy', 0], ['toBeFalsy', 1], ['toBeUndefined', null],
    ['toBeDefined', undefined], ['toBeNull', undefined]]
  for (const [word, actual, expected] of wrong) {
    assert.throws(() => expectations().expect(actual)[word](expected), { code: 'ERR_ASSERTION' }, word)
  }
  const { expect, verify } = expectations()
  expect.assertions(2)
  expect(1).toBe(1)
  assert.throws(verify, /1 expectations, and 2/)
})

test('a test of the suite that is left out must be one of the suite', () => {
  const words = vitest({ notOf: new Map([['met', 'why'], ['gone', 'why']]) })
  assert.throws(words.verify, /met, gone/)
  words.it('met', () => {})
  assert.throws(words.verify, /: gone/)
  words.it('gone', () => {})
  words.verify()
})
