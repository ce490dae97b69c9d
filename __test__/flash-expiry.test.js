'use strict'

/* When entries of FlashStore expire. */

const assert = require('node:assert/strict')
const { setTimeout: sleep } = require('node:timers/promises')
const { test } = require('node:test')
const { FlashStore } = require('..')
const { errorOf, flashInMemory, flashOnDisk, gathered } = require('./support')

const HOUR = 3600

/** Waits until an entry is gone, and gives the time at which that was seen. */
async function untilGone (store, key) {
  while (await store.has(key)) await sleep(5)
  return Date.now()
}

test('ttl gives the seconds that are left, Infinity where an entry stays, undefined where there is none', async (t) => {
  const store = flashInMemory(t)
  await store.set('goes', 1, { ttl: HOUR })
  await store.set('stays', 1)
  await store.set('at', undefined, { expiresAt: new Date(Date.now() + 2 * HOUR * 1000) })

  const left = await store.ttl('goes')
  assert.ok(left > HOUR - 600 && left <= HOUR, String(left))
  assert.ok(await store.ttl('at') > HOUR)
  assert.equal(await store.ttl('stays'), Infinity)
  assert.equal(await store.ttl('none'), undefined)
  assert.equal(await store.namespace('none').ttl('none'), undefined)
})

test('what ttl says is what getEntry says', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1, { ttl: HOUR })
  const before = Date.now()
  const left = await store.ttl('a')
  const after = Date.now()
  const { expiresAt } = await store.getEntry('a')
  assert.ok(expiresAt - after <= left * 1000 && left * 1000 <= expiresAt - before, String(left))
})

test('an entry is not there from the millisecond of its expiry on, and is until then', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1, { ttl: 0.05 })
  await store.set('b', 1)
  const { expiresAt } = await store.getEntry('a') ?? {}
  const goneAt = await untilGone(store, 'a')
  assert.ok(expiresAt === undefined || goneAt >= expiresAt)

  assert.equal(await store.get('a'), undefined)
  assert.equal(await store.getEntry('a'), undefined)
  assert.equal(await store.ttl('a'), undefined)
  assert.equal(await store.size, 1)
  assert.deepEqual(await gathered(store), [['b', 1]])
  assert.equal(await store.expire('a', HOUR), false)
  assert.equal(await store.persist('a'), false)
  assert.equal(await store.delete('a'), false)
})

test('a plain set takes an expiry away, or begins the default of the store anew', async (t) => {
  const store = new FlashStore({ inMemory: true, defaultTtl: HOUR })
  t.after(() => store.close())
  const lasting = store.namespace('lasting', { defaultTtl: null })

  await lasting.set('a', 1, { ttl: 60 })
  await lasting.set('a', 2)
  assert.equal(await lasting.ttl('a'), Infinity)

  await store.set('a', 1, { ttl: 60 })
  await store.set('a', 2)
  assert.ok(await store.ttl('a') > 60)
  await store.set('a', 3, { expiresAt: null })
  assert.equal(await store.ttl('a'), Infinity)
})

test('expire changes the expiry of an entry and neither its value, version nor time of writing', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', { n: 1 })
  const { expiresAt: never, ...before } = await store.getEntry('a')
  assert.equal(never, undefined)

  assert.equal(await store.expire('a', HOUR), true)
  const { expiresAt, ...after } = await store.getEntry('a')
  assert.deepEqual(after, before)
  assert.ok(expiresAt > Date.now())
  assert.equal(await store.expire('a', { ttl: 2 * HOUR }), true)
  assert.ok(await store.ttl('a') > HOUR)
  const moment = Date.now() + 3 * HOUR * 1000
  assert.equal(await store.expire('a', { expiresAt: moment }), true)
  assert.equal((await store.getEntry('a')).expiresAt, moment)
  assert.equal(await store.persist('a'), true)
  assert.equal(await store.ttl('a'), Infinity)

  assert.equal(await store.expire('a', { expiresAt: 1 }), true)
  assert.equal(await store.has('a'), false)
  assert.equal(await store.expire('none', HOUR), false)
  assert.equal(await store.persist('none'), false)
})

test('purgeExpired forgets what has expired of one namespace and says how many', async (t) => {
  const store = flashInMemory(t)
  const other = store.namespace('other')
  for (let key = 0; key < 10; key++) {
    await store.set(key, 1, { ttl: 0.02 })
    await other.set(key, 1, { ttl: 0.02 })
  }
  await store.set('stays', 1)
  await untilGone(store, 9)
  await untilGone(other, 9)

  assert.equal(await store.purgeExpired(), 10)
  assert.equal(await store.purgeExpired(), 0)
  assert.equal(await other.purgeExpired(), 10)
  assert.equal(await store.namespace('none').purgeExpired(), 0)
  assert.equal(await store.size, 1)
})

test('an expiry is there after the store was closed and opened again', async (t) => {
  const { open } = flashOnDisk(t)
  const store = open()
  await store.set('a', 1, { ttl: HOUR })
  const { expiresAt } = await store.getEntry('a')
  await store.close()
  assert.equal((await open().getEntry('a')).expiresAt, expiresAt)
})

test('what is no expiry or no key is refused and changes nothing', async (t) => {
  const store = flashInMemory(t)
  await store.set('a', 1)
  for (const when of [undefined, null, 0, -1, NaN, Infinity, '5', {}, { ttl: 0 }, { ttl: 1, expiresAt: 5 }, { ttl: '5' }, []]) {
    const error = await errorOf(store.expire('a', when))
    assert.equal(error.code, 'FLOWDB_INVALID_ARGUMENT', String(when))
    assert.match(error.message, /expire/)
  }
  for (const options of [{ ttl: 0 }, { ttl: 1, expiresAt: 5 }, { expiresAt: 'soon' }, { tll: 5 }]) {
    assert.equal((await errorOf(store.set('a', 2, options))).code, 'FLOWDB_INVALID_ARGUMENT')
  }
  for (const call of ['ttl', 'persist', 'getEntry']) {
    assert.equal((await errorOf(store[call](undefined))).code, 'FLOWDB_INVALID_KEY', call)
  }
  assert.equal((await errorOf(store.expire({}, HOUR))).code, 'FLOWDB_INVALID_KEY')
  const { value, version, expiresAt } = await store.getEntry('a')
  assert.deepEqual([value, version, expiresAt], [1, 1, undefined])
})

test('calls on expiry see what was set before them without being awaited', async (t) => {
  const store = flashInMemory(t)
  store.set('a', 1, { ttl: HOUR })
  const left = store.ttl('a')
  store.persist('a')
  const later = store.ttl('a')
  assert.ok(await left <= HOUR)
  assert.equal(await later, Infinity)
})
