'use strict'

/* Writes of FlashStore that happen only where entries are as they were read. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore } = require('..')
const { errorOf, flashInMemory, flashOnDisk, gathered } = require('./support')

const HOUR = 3600

test('getEntry gives an entry with its version, its time of writing and its expiry', async (t) => {
  const store = flashInMemory(t)
  const before = Date.now()
  await store.set(['a', 1], { n: 1 })
  await store.set(['a', 1], undefined, { ttl: HOUR })
  const { updatedAt, expiresAt, ...entry } = await store.getEntry(['a', 1])
  assert.deepEqual(entry, { key: ['a', 1], value: undefined, version: 2 })
  assert.ok(updatedAt >= before && updatedAt <= Date.now())
  assert.equal(expiresAt, updatedAt + HOUR * 1000)
  assert.equal(await store.getEntry('none'), undefined)
  assert.equal(await store.namespace('none').getEntry('none'), undefined)
})

test('set on a condition is made only where it is met, and says what was found', async (t) => {
  const store = flashInMemory(t)
  assert.equal(await store.set('a', 1, { ifAbsent: true }), store)
  await store.set('a', 2, { ifVersion: 1 })
  for (const options of [{ ifAbsent: true }, { ifVersion: 1 }, { ifVersion: 0 }]) {
    const error = await errorOf(store.set('a', 3, options))
    assert.equal(error.code, 'FLOWDB_CONSTRAINT')
    assert.match(error.message, /"a"/)
  }
  assert.equal((await errorOf(store.set('b', 1, { ifVersion: 1 }))).code, 'FLOWDB_CONSTRAINT')
  assert.deepEqual(await gathered(store), [['a', 2]])
})

test('of those who set with the version that all have read, one succeeds', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 0)
  const { version } = await store.getEntry('a')
  const tries = Array.from({ length: 50 }, (_, n) => store.set('a', n, { ifVersion: version }))
  const settled = await Promise.allSettled(tries)
  assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('atomic makes its changes when all checks are met', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  await store.set('gone', 1)
  const entry = await store.getEntry('a')

  const done = await store.atomic()
    .check(entry, { key: 'b', version: null })
    .check({ key: 'c', version: 0 })
    .set('a', 2)
    .set('b', { deep: new Map([[1, 2]]) }, { ttl: HOUR })
    .delete('gone')
    .delete('none')
    .sum('n', 5)
    .sum('n', 2)
    .commit()

  assert.deepEqual(done, { ok: true, versions: [2, 1, 0, 0, 2, 2] })
  assert.deepEqual(await gathered(store), [['a', 2], ['b', { deep: new Map([[1, 2]]) }], ['n', 7]])
  assert.ok(await store.ttl('b') <= HOUR)
})

test('atomic changes nothing when a check is not met, and says which', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  const atomic = store.atomic().check({ key: 'a', version: 1 }, { key: 'b', version: 3 }).set('a', 2).delete('b')
  assert.deepEqual(await atomic.commit(), { ok: false, unmet: 1 })
  assert.deepEqual(await store.atomic().set('a', 3).check({ key: 'a', version: null }).commit(), { ok: false, unmet: 0 })
  assert.deepEqual(await gathered(store), [['a', 1]])
})

test('atomic checks what was there before its own changes', async (t) => {
  const store = flashInMemory(t)
  const done = await store.atomic().set('a', 1).check({ key: 'a', version: null }).commit()
  assert.deepEqual(done, { ok: true, versions: [1] })
})

test('an entry that was deleted and set again is not the one that was read', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  const entry = await store.getEntry('a')
  while (Date.now() === entry.updatedAt) await new Promise(setImmediate)
  await store.delete('a')
  await store.set('a', 1)
  assert.equal((await store.getEntry('a')).version, entry.version)
  assert.deepEqual(await store.atomic().check(entry).set('a', 2).commit(), { ok: false, unmet: 0 })
})

test('a check of an entry that expires says no once it has', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1, { ttl: 0.02 })
  while (await store.has('a')) await new Promise(setImmediate)
  assert.deepEqual(await store.atomic().check({ key: 'a', version: 1 }).set('a', 2).commit(), { ok: false, unmet: 0 })
  assert.equal((await store.atomic().check({ key: 'a', version: null }).set('a', 2).commit()).ok, true)
})

test('of those who commit with the version that all have read, one succeeds', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 0)
  const entry = await store.getEntry('a')
  const tries = Array.from({ length: 50 }, (_, n) => store.atomic().check(entry).set('a', n).commit())
  assert.equal((await Promise.all(tries)).filter(({ ok }) => ok).length, 1)
})

test('atomic reaches over namespaces, which come into being with it', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open()
  const [users, mails] = [store.namespace('users', { defaultTtl: HOUR }), store.namespace('mails')]
  const add = (id, mail) => store.atomic()
    .in(users).check({ key: id, version: null }).set(id, { mail })
    .in(mails).check({ key: mail, version: null }).set(mail, id)
    .in(store).sum('users', 1)
    .commit()

  assert.equal((await add(1, 'a@b')).ok, true)
  assert.deepEqual(await add(2, 'a@b'), { ok: false, unmet: 1 })
  assert.equal((await add(2, 'c@d')).ok, true)
  await store.close()

  const again = open()
  assert.deepEqual(await gathered(again.namespace('users')), [[1, { mail: 'a@b' }], [2, { mail: 'c@d' }]])
  assert.ok(await again.namespace('users').ttl(1) <= HOUR)
  assert.deepEqual(await gathered(again.namespace('mails')), [['a@b', 1], ['c@d', 2]])
  assert.equal(await again.get('users'), 2)
})

test('sum, min and max are those of numbers and of bigints, whichever of them begins', async (t) => {
  const store = flashInMemory(t)
  await store.atomic().sum('n', 0.1).min('low', 3).max('high', -3).sum('big', 2n ** 64n).min('least', 5n).commit()
  await store.atomic().sum('n', 0.2).min('low', 5).max('high', -5).sum('big', -1n).min('least', -(2n ** 70n)).commit()
  await store.atomic().sum('n', -1.5).min('low', -1).max('high', 1e300).sum('big', -(2n ** 65n)).max('least', 0n).commit()
  assert.deepEqual(Object.fromEntries(await gathered(store)), {
    n: 0.1 + 0.2 - 1.5, low: -1, high: 1e300, big: 2n ** 64n - 1n - 2n ** 65n, least: 0n
  })
})

test('a number goes on from whatever set has written', async (t) => {
  const numbers = [0, -0, 1, -1, 127, 2 ** 31, -(2 ** 31), 2 ** 53, 0.1, 1e21, 1e-7, 5e-324, 1.7976931348623157e308]
  for (const valueEncoding of ['auto', 'structured']) {
    const store = new FlashStore({ inMemory: true, valueEncoding })
    t.after(() => store.close())
    for (const number of numbers) {
      await store.set('a', number)
      assert.equal(await store.incr('a', 1), number + 1, `${number}, ${valueEncoding}`)
      assert.equal(await store.get('a'), number + 1)
    }
    for (const number of [0n, 1n, -1n, 2n ** 63n, -(2n ** 63n), 2n ** 64n - 1n, -(2n ** 64n), 10n ** 100n]) {
      await store.set('a', number)
      assert.equal(await store.incr('a', 1n), number + 1n, `${number}, ${valueEncoding}`)
      assert.equal(await store.get('a'), number + 1n)
      assert.equal(await store.incr('a', -number), 1n)
    }
  }
})

test('what is no number is refused with a typed error and changes nothing', async (t) => {
  const store = flashInMemory(t)
  await store.set('n', 5)
  for (const value of ['5', null, undefined, NaN, true, [5], { n: 5 }, new Date(5)]) {
    await store.set('a', value)
    const error = await errorOf(store.atomic().sum('n', 1).sum('a', 1).commit())
    assert.equal(error.code, 'FLOWDB_INVALID_VALUE', String(value))
    assert.equal((await errorOf(store.incr('a'))).code, 'FLOWDB_INVALID_VALUE')
    assert.deepEqual(await store.get('a'), value)
  }
  for (const given of [NaN, Infinity, '5', null, {}]) {
    assert.throws(() => store.atomic().sum('n', given), { code: 'FLOWDB_INVALID_VALUE' })
    assert.equal((await errorOf(store.incr('n', given))).code, 'FLOWDB_INVALID_VALUE')
  }
  assert.equal((await errorOf(store.incr('n', 1n))).code, 'FLOWDB_INVALID_VALUE')
  await store.set('high', Number.MAX_VALUE)
  assert.equal((await errorOf(store.incr('high', Number.MAX_VALUE))).code, 'FLOWDB_INVALID_VALUE')
  await store.set('big', 5n)
  assert.equal((await errorOf(store.incr('big', 1))).code, 'FLOWDB_INVALID_VALUE')
  assert.equal(await store.get('n'), 5)
})

test('a number keeps the expiry of its entry, and a new one has the default of its store', async (t) => {
  const store = new FlashStore({ inMemory: true, defaultTtl: HOUR })
  t.after(() => store.close())
  await store.set('a', 1, { ttl: 10 * HOUR })
  await store.incr('a')
  await store.incr('b')
  assert.ok(await store.ttl('a') > 9 * HOUR)
  assert.ok(await store.ttl('b') <= HOUR)
})

test('a store that takes only text or bytes takes no number', async (t) => {
  for (const valueEncoding of ['utf8', 'binary']) {
    const store = new FlashStore({ inMemory: true, valueEncoding })
    t.after(() => store.close())
    assert.equal((await errorOf(store.incr('a'))).code, 'FLOWDB_INVALID_VALUE')
    assert.throws(() => store.atomic().max('a', 1), { code: 'FLOWDB_INVALID_VALUE' })
    assert.equal(await store.size, 0)
  }
})

test('what atomic is given is checked in the call, and taken as it is then', async (t) => {
  const store = flashInMemory(t)
  const other = flashInMemory(t)
  const atomic = () => store.atomic()
  assert.throws(() => atomic().set(undefined, 1), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => atomic().delete({}), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => atomic().sum(NaN, 1), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => atomic().set('a', () => {}), { code: 'FLOWDB_NOT_CLONEABLE' })
  assert.throws(() => atomic().set('a', 1, { ttl: 0 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  assert.throws(() => atomic().set('a', 1, { ifVersion: 1 }), { code: 'FLOWDB_INVALID_ARGUMENT' })
  for (const entry of [undefined, { key: 'a' }, { key: 'a', version: -1 }, { key: 'a', version: '1' }, { key: 'a', version: 1, x: 1 }]) {
    assert.throws(() => atomic().check(entry), { code: 'FLOWDB_INVALID_ARGUMENT' }, JSON.stringify(entry))
  }
  for (const place of [undefined, 'users', {}, other, other.namespace('a')]) {
    assert.throws(() => atomic().in(place), { code: 'FLOWDB_INVALID_ARGUMENT' })
  }
  const value = { n: 1 }
  const changes = atomic().set('a', value)
  value.n = 2
  await changes.commit()
  assert.deepEqual(await store.get('a'), { n: 1 })
  assert.deepEqual(await atomic().commit(), { ok: true, versions: [] })
  assert.deepEqual(await store.namespace('none').atomic().commit(), { ok: true, versions: [] })
})

test('atomic on a store that is closed rejects', async () => {
  const store = new FlashStore({ inMemory: true })
  const atomic = store.atomic().set('a', 1)
  await store.close()
  assert.equal((await errorOf(atomic.commit())).code, 'FLOWDB_CLOSED')
})
