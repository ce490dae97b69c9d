'use strict'

/* How FlashStore writes values: valueEncoding. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore } = require('..')
const { flashInMemory, gathered, temporary } = require('./support')

const nested = (levels) => {
  let value = 1
  for (let level = 0; level < levels; level++) value = [value]
  return value
}

/** What each encoding takes, and what it refuses. */
const TAKES = {
  json: [1, 'text', '', true, null, [1, [2]], { a: { b: null } }, '\ud800', nested(500), JSON.parse('{"__proto__":1}')],
  structured: [1, undefined, new Map([[1, new Set([2])]]), new Date(5), 12n, -0, NaN, { a: undefined }, /x/g, [1, [2]]],
  utf8: ['', 'text', 'ü\u{1f600}\0', 'x'.repeat(100_000)],
  binary: [Buffer.from(''), Buffer.from([0, 255]), Buffer.alloc(100_000, 7)]
}
const REFUSES = {
  json: [undefined, -0, NaN, 1n, new Date(0), new Map(), { a: undefined }, [undefined], Buffer.from('a'), () => {}, nested(1001), { toJSON: () => 1 }],
  utf8: ['\ud800', 1, null, undefined, Buffer.from('a'), Object('text')],
  binary: ['text', 1, null, undefined, new Uint16Array(1), new ArrayBuffer(1), [1]]
}

for (const [valueEncoding, values] of Object.entries(TAKES)) {
  test(`a store of valueEncoding ${valueEncoding} keeps what it takes, and any other store reads it`, async (t) => {
    const folder = temporary(t)
    const store = new FlashStore({ dataDir: folder, valueEncoding })
    await store.setMany(values.map((value, key) => [key, value]))
    for (const [key, value] of values.entries()) await store.namespace('alone').set(key, value)
    await store.close()
    for (const other of ['auto', 'json', 'structured', 'utf8', 'binary']) {
      const reader = new FlashStore({ dataDir: folder, valueEncoding: other })
      assert.deepStrictEqual(await gathered(reader.values()), values)
      for (const [key, value] of values.entries()) assert.deepStrictEqual(await reader.namespace('alone').get(key), value)
      await reader.close()
    }
  })
}

for (const [valueEncoding, values] of Object.entries(REFUSES)) {
  test(`a store of valueEncoding ${valueEncoding} refuses what would come back as another value`, async (t) => {
    const store = new FlashStore({ inMemory: true, valueEncoding })
    t.after(() => store.close())
    for (const value of values) {
      await assert.rejects(store.set('key', value), { code: 'FLOWDB_INVALID_VALUE' }, String(value))
      await assert.rejects(store.setMany([['key', value]]), { code: 'FLOWDB_INVALID_VALUE' })
    }
    assert.equal(await store.has('key'), false)
  })
}

test('a store of valueEncoding structured refuses what structured clone refuses', async (t) => {
  const store = new FlashStore({ inMemory: true, valueEncoding: 'structured' })
  t.after(() => store.close())
  await assert.rejects(store.set('key', () => {}), { code: 'FLOWDB_NOT_CLONEABLE' })
})

test('bytes of any Uint8Array come back as a Buffer with memory of its own', async (t) => {
  const store = new FlashStore({ inMemory: true, valueEncoding: 'binary' })
  t.after(() => store.close())
  const bytes = new Uint8Array([1, 2, 3])
  const set = store.set('key', bytes)
  bytes.fill(9)
  await set
  const one = await store.get('key')
  assert.deepStrictEqual(one, Buffer.from([1, 2, 3]))
  one.fill(7)
  assert.deepStrictEqual(await store.get('key'), Buffer.from([1, 2, 3]))
  assert.equal(one.buffer.byteLength, 3)
})

test('bytes that are gone are refused, and a length of their own is not believed', async (t) => {
  const store = new FlashStore({ inMemory: true, valueEncoding: 'binary' })
  t.after(() => store.close())
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  await assert.rejects(store.set('key', bytes), { code: 'FLOWDB_INVALID_VALUE', message: /detached/ })
  await assert.rejects(store.setMany([['key', bytes]]), { code: 'FLOWDB_INVALID_VALUE' })
  assert.throws(() => store.setSync('key', bytes), { code: 'FLOWDB_INVALID_VALUE' })
  assert.equal(await store.has('key'), false)
  for (const length of [0, 1, 100, 2 ** 40]) {
    await store.set('key', Object.defineProperty(Buffer.from('abc'), 'length', { value: length }))
    assert.deepEqual(await store.get('key'), Buffer.from('abc'))
  }
})

test('a value is taken as it is, whatever toJSON it has', async (t) => {
  const values = [() => 'another', () => undefined].map((toJSON) => Object.defineProperty({ a: 1 }, 'toJSON', { value: toJSON }))
  for (const valueEncoding of ['auto', 'structured']) {
    const store = new FlashStore({ inMemory: true, valueEncoding })
    t.after(() => store.close())
    for (const value of values) {
      await store.set('key', [value])
      assert.deepEqual(await store.get('key'), [{ a: 1 }])
    }
  }
  const store = new FlashStore({ inMemory: true, valueEncoding: 'json' })
  t.after(() => store.close())
  for (const value of values) await assert.rejects(store.set('key', value), { code: 'FLOWDB_INVALID_VALUE' })
  await store.set('key', { toJSON: 'no function' })
  assert.deepEqual(await store.get('key'), { toJSON: 'no function' })
})

test('bytes are taken as they are in the call, also where a call takes many', async (t) => {
  const store = new FlashStore({ inMemory: true, valueEncoding: 'binary' })
  t.after(() => store.close())
  const bytes = Buffer.alloc(1)
  const filled = function * (of) {
    for (bytes[0] = 1; bytes[0] <= 3; bytes[0]++) yield of(bytes[0])
  }
  await store.setMany(filled((n) => [n, bytes]))
  assert.deepEqual(await gathered(store), [1, 2, 3].map((n) => [n, Buffer.from([n])]))
  await store.batch(filled((n) => ({ type: 'set', key: -n, value: bytes })))
  assert.deepEqual(await store.getMany([-1, -2, -3]), [1, 2, 3].map((n) => Buffer.from([n])))

  bytes[0] = 7
  const atomic = store.atomic().set('key', bytes)
  bytes[0] = 8
  await atomic.commit()
  assert.deepEqual(await store.get('key'), Buffer.from([7]))
})

test('a namespace has an encoding of its own, or that of the store that it is in', async (t) => {
  const store = new FlashStore({ inMemory: true, valueEncoding: 'utf8' })
  t.after(() => store.close())
  await assert.rejects(store.namespace('a').set('key', 1), { code: 'FLOWDB_INVALID_VALUE' })
  await store.namespace('b', { valueEncoding: 'auto' }).set('key', 1)
  await store.namespace('b', { valueEncoding: 'json' }).namespace('c').set('key', [1])
  assert.deepEqual(await store.namespace('b').get('key'), 1)
  assert.deepEqual(await store.namespace('b').namespace('c').get('key'), [1])
  assert.throws(() => new FlashStore({ inMemory: true, valueEncoding: 'msgpack' }), { code: 'FLOWDB_INVALID_ARGUMENT' })
})

test('undefined is a value', async (t) => {
  const store = flashInMemory(t)
  await store.set('key', undefined)
  assert.equal(await store.has('key'), true)
  assert.deepEqual(await gathered(store), [['key', undefined]])
})
