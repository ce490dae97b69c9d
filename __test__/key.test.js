'use strict'

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { types } = require('node:util')

const { FlowDBError } = require('../lib/errors.js')
const {
  ARRAY_DEPTH_MAX, KEY_BYTES_MAX, compareKeys, decodeKey, encodeKey, plainKey, readKey, writeKey
} = require('../lib/key.js')
const { randomSource, seedOf } = require('./support')

const golden = JSON.parse(readFileSync(join(__dirname, '../tests/golden/keys.json'), 'utf8'))

/** The value of a golden vector, from its tagged notation. */
function untag (tagged) {
  const [[tag, content]] = Object.entries(tagged)
  switch (tag) {
    case 'null': return null
    case 'boolean': return content
    case 'number': return Number(content)
    case 'bigint': {
      const magnitude = BigInt(`0x${content.replace('-', '') || '0'}`)
      return content.startsWith('-') ? -magnitude : magnitude
    }
    case 'date': return new Date(Number(content))
    case 'string': return content
    case 'units': return String.fromCharCode(...content)
    case 'binary': return new Uint8Array(Buffer.from(content, 'hex'))
    case 'array': return content.map(untag)
    default: throw new Error(`unknown tag ${tag}`)
  }
}

/** The order of keys by the values alone: what the order of the encodings is held to. */
function compareValues (a, b) {
  const rank = (value) => {
    if (value === null) return 0
    if (typeof value === 'boolean') return 1
    if (typeof value === 'number' || typeof value === 'bigint') return 2
    if (types.isDate(value)) return 3
    if (typeof value === 'string') return 4
    return Array.isArray(value) ? 6 : 5
  }
  if (rank(a) !== rank(b)) return Math.sign(rank(a) - rank(b))
  const byOperators = (x, y) => (x < y ? -1 : x > y ? 1 : 0)
  switch (rank(a)) {
    case 2: return byOperators(a, b) || byOperators(typeof b, typeof a)
    case 3: return byOperators(a.getTime(), b.getTime())
    case 5: return Buffer.compare(a, b)
    case 6:
      for (let index = 0; index < Math.min(a.length, b.length); index++) {
        const order = compareValues(a[index], b[index])
        if (order !== 0) return order
      }
      return Math.sign(a.length - b.length)
    default: return byOperators(a, b)
  }
}

/** What a key comes back as: -0 is 0. */
function normal (value) {
  if (Array.isArray(value)) return value.map(normal)
  return typeof value === 'number' ? value + 0 : value
}

function randomValue (random, depth = 0) {
  const units = [0, 1, 2, 0x61, 0x62, 0x7f, 0x80, 0x7ff, 0x800, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff]
  switch (random.below(depth < 4 ? 9 : 7)) {
    case 0: return random.pick([null, true, false, 0, -0, Infinity, -Infinity, 5e-324, Number.MAX_VALUE])
    case 1: {
      const view = new DataView(new ArrayBuffer(8))
      view.setUint32(0, random.next())
      view.setUint32(4, random.next())
      return view.getFloat64(0) || 0
    }
    case 2: return random.below(100) / 4 - 10
    case 3: {
      const power = 1n << BigInt(random.pick([0, 3, 52, 53, 54, 64, 100, 1023, 1024, 1025, 4000, 8191]))
      return (power + BigInt(random.below(9) - 4)) * random.pick([1n, -1n])
    }
    case 4: return new Date(random.next() * random.below(1e6) - 4e14)
    case 5: return String.fromCharCode(...random.list(5, () => random.pick([...units, random.below(65536)])))
    case 6: return Uint8Array.from(random.list(5, () => random.pick([0, 1, 254, 255, random.below(256)])))
    default: return random.list(4, () => randomValue(random, depth + 1))
  }
}

function assertInvalid (value, message, why) {
  const expected = { name: 'FlowDBError', code: 'FLOWDB_INVALID_KEY', ...(message && { message }) }
  assert.throws(() => encodeKey(value), expected, why)
}

test('golden vectors encode to the bytes that Rust writes, and decode', () => {
  assert.ok(golden.length >= 120)
  for (const { description, value, hex } of golden) {
    const key = untag(value)
    assert.equal(encodeKey(key).toString('hex'), hex, description)
    const decoded = decodeKey(Buffer.from(hex, 'hex'))
    assert.deepEqual(decoded, normal(key), description)
    if (decoded instanceof Uint8Array) assert.equal(Object.getPrototypeOf(decoded), Uint8Array.prototype)
  }
})

test('golden vectors sort as their values do, every pair of them', () => {
  const keys = golden.map(({ value }) => untag(value))
  const encoded = golden.map(({ hex }) => Buffer.from(hex, 'hex'))
  for (let i = 0; i < keys.length; i++) {
    for (let j = 0; j < keys.length; j++) {
      const order = compareValues(keys[i], keys[j])
      assert.equal(Buffer.compare(encoded[i], encoded[j]), order, `${golden[i].description}, ${golden[j].description}`)
      assert.equal(compareKeys(keys[i], keys[j]), order)
    }
  }
})

test('random keys come back, and their encodings sort as they do', (t) => {
  const random = randomSource(seedOf(t))
  for (let round = 0; round < 40; round++) {
    const keys = Array.from({ length: 50 }, () => randomValue(random))
    const encoded = keys.map((key) => encodeKey(key))
    keys.forEach((key, i) => {
      assert.deepEqual(decodeKey(encoded[i]), normal(key))
      keys.forEach((other, j) => {
        const order = Buffer.compare(encoded[i], encoded[j])
        assert.equal(order, compareValues(key, other))
      })
    })
  }
})

test('every mutation of an encoding is another canonical key or refused', (t) => {
  const random = randomSource(seedOf(t))
  const values = [...golden.map(({ value }) => untag(value)), ...Array.from({ length: 50 }, () => randomValue(random))]
  const assertStrict = (bytes) => {
    let value
    try {
      value = decodeKey(bytes)
    } catch (error) {
      assert.equal(error.code, 'FLOWDB_INVALID_KEY')
      return
    }
    assert.deepEqual(encodeKey(value), bytes)
  }
  for (const value of values) {
    const bytes = encodeKey(value)
    for (let place = 0; place < Math.min(bytes.length, 24); place++) {
      for (let change = 1; change < 256; change += 1 + random.below(8)) {
        const mutated = Buffer.from(bytes)
        mutated[place] ^= change
        assertStrict(mutated)
      }
      assertStrict(bytes.subarray(0, place))
    }
    assertStrict(Buffer.concat([bytes, Buffer.of(0)]))
  }
})

test('the examples in the description of the format are true', () => {
  const page = readFileSync(join(__dirname, '../docs/format/keys.md'), 'utf8')
  const examples = [...page.matchAll(/^\| `(.+)` \| `([0-9a-f ]+)` \|$/gm)]
  assert.ok(examples.length >= 25, `${examples.length}`)
  for (const [, expression, hex] of examples) {
    const value = new Function(`return ${expression}`)()
    assert.equal(encodeKey(value).toString('hex'), hex.replaceAll(' ', ''), expression)
  }
})

test('a key is read from among other bytes, and says where it ends', () => {
  const keys = [[1, 'a', [2n ** 70n + 1n]], 'a\0b', new Date(5), null]
  const bytes = Buffer.concat([Buffer.of(9, 9), ...keys.map((key) => encodeKey(key)), Buffer.of(9)])
  let offset = 2
  for (const key of keys) {
    const { value, next } = readKey(bytes, offset)
    assert.deepEqual(value, key)
    assert.deepEqual(decodeKey(new Uint8Array(bytes), offset, next), key)
    assert.throws(() => decodeKey(bytes, offset, next - 1), { code: 'FLOWDB_INVALID_KEY' })
    assert.throws(() => decodeKey(bytes, offset, next + 1), { code: 'FLOWDB_INVALID_KEY' })
    offset = next
  }
})

test('decoded bytes are a copy', () => {
  const encoded = encodeKey(Buffer.from([1, 0, 2]))
  const decoded = decodeKey(encoded)
  encoded.fill(0xee)
  assert.deepEqual(decoded, Uint8Array.of(1, 0, 2))
})

test('an encoded key is a copy', () => {
  const [first, second] = [encodeKey('first'), encodeKey('other')]
  assert.equal(decodeKey(first), 'first')
  assert.equal(decodeKey(second), 'other')
})

test('an ArrayBuffer and any view give the key of their bytes, and only theirs', () => {
  const { buffer } = Uint8Array.of(9, 1, 0, 2, 9, 9, 9, 9)
  const expected = encodeKey(Uint8Array.of(1, 0, 2))
  for (const bytes of [
    buffer.slice(1, 4), new Uint8Array(buffer, 1, 3), new Int8Array(buffer, 1, 3), new Uint8ClampedArray(buffer, 1, 3),
    new DataView(buffer, 1, 3), Buffer.from(buffer, 1, 3)
  ]) {
    assert.deepEqual(encodeKey(bytes), expected, bytes.constructor.name)
  }
  const wide = Float64Array.of(1.5)
  assert.deepEqual(encodeKey(wide), encodeKey(new Uint8Array(wide.buffer)))
  assert.deepEqual(encodeKey(new SharedArrayBuffer(2)), encodeKey(new Uint8Array(2)))
})

test('equal numbers and bigints are two keys, and -0 is 0', () => {
  assert.equal(compareKeys(5, 5n), -1)
  assert.equal(compareKeys(5n, 5 + 2 ** -40), -1)
  assert.equal(compareKeys(0, -0), 0)
  assert.equal(compareKeys(0n, -0), 1)
  assert.ok(Object.is(decodeKey(encodeKey(-0)), 0))
  assert.equal(compareKeys(2 ** 53, 2n ** 53n + 1n), -1)
  assert.equal(compareKeys(Infinity, 2n ** 8192n - 1n), 1)
})

test('what has no place in the order is refused, with the reason and the place', () => {
  assertInvalid(NaN, 'a key can\'t be NaN')
  assertInvalid(undefined, 'a key can\'t be undefined')
  assertInvalid(new Date(NaN), 'a key can\'t be an invalid date')
  assertInvalid(() => {}, 'a key can\'t be a function')
  assertInvalid(Symbol('s'), 'a key can\'t be a symbol')
  assertInvalid({}, /^a key can't be an object/)
  for (const value of [new Map(), /x/, Object('text'), Object(1), Object(1n), new Proxy({}, {}), Promise.resolve()]) {
    assertInvalid(value, /^a key can't be an object/)
  }
  assertInvalid([1, 2, NaN], 'element 2 of the key can\'t be NaN')
  assertInvalid([1, [2, [undefined]]], 'element [1][1][0] of the key can\'t be undefined')
  assertInvalid([1, , 3], 'element 1 of the key can\'t be undefined') // eslint-disable-line no-sparse-arrays
  assertInvalid(2n ** 8192n, /^a key can't be a bigint of 2\^8192/)
  assertInvalid([-(2n ** 8192n)], /^element 0 of the key can't be a bigint of 2\^8192/)
  assert.throws(() => compareKeys(1, NaN), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => compareKeys(NaN, NaN), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => compareKeys('a', {}), { code: 'FLOWDB_INVALID_KEY' })
})

test('a detached buffer is refused rather than taken for no bytes', () => {
  const detached = new ArrayBuffer(8)
  const views = [new Uint8Array(detached), new DataView(detached), new Uint16Array(detached)]
  structuredClone(detached, { transfer: [detached] })
  for (const value of [detached, ...views]) assertInvalid(value, 'a key can\'t be a detached buffer')
  assert.deepEqual(decodeKey(encodeKey(new ArrayBuffer(0))), new Uint8Array(0))
})

test('arrays nest to the limit, and a cycle ends there', () => {
  const nested = (depth) => Array.from({ length: depth - 1 }).reduce((inner) => [inner], [])
  assert.deepEqual(decodeKey(encodeKey(nested(ARRAY_DEPTH_MAX))), nested(ARRAY_DEPTH_MAX))
  assertInvalid(nested(ARRAY_DEPTH_MAX + 1), 'arrays in a key are nested more than 32 deep')
  const cycle = [1]
  cycle.push(cycle)
  assertInvalid(cycle, 'arrays in a key are nested more than 32 deep')
  assert.throws(() => writeKey(cycle, Buffer.alloc(KEY_BYTES_MAX), 0), { code: 'FLOWDB_INVALID_KEY' })
  assert.throws(() => decodeKey(Buffer.alloc(100, 0x70)), { code: 'FLOWDB_INVALID_KEY' })
})

test('a key of the largest size is taken, and one byte more is refused', () => {
  for (const make of [
    (length) => 'a'.repeat(length - 2),
    (length) => new Uint8Array(length - 3).fill(7),
    (length) => new Array(length - 2).fill(null),
    (length) => [...new Array(length - 5).fill(true), 1]
  ]) {
    const largest = make(KEY_BYTES_MAX)
    const encoded = encodeKey(largest)
    assert.equal(encoded.length, KEY_BYTES_MAX)
    assert.deepEqual(decodeKey(encoded), largest)
    assertInvalid(make(KEY_BYTES_MAX + 1), 'a key takes more than 16384 bytes encoded')
    assert.throws(() => writeKey(make(KEY_BYTES_MAX + 1), Buffer.alloc(100_000), 5), { code: 'FLOWDB_INVALID_KEY' })
  }
  assertInvalid('a'.repeat(2 ** 28), 'a key takes more than 16384 bytes encoded')
  const tooLong = Buffer.concat([Buffer.of(0x50), Buffer.alloc(KEY_BYTES_MAX - 1, 'a'), Buffer.of(0)])
  assert.throws(() => decodeKey(tooLong), { code: 'FLOWDB_INVALID_KEY' })
  tooLong[1] = 0x01
  tooLong[2] = 0x01
  assert.throws(() => decodeKey(tooLong), { code: 'FLOWDB_INVALID_KEY' })
})

test('a key without room asks for it and writes nothing behind the end', (t) => {
  const random = randomSource(seedOf(t))
  const values = [...golden.map(({ value }) => untag(value)), ...Array.from({ length: 50 }, () => randomValue(random))]
  for (const value of values) {
    const encoded = encodeKey(value)
    const buffer = Buffer.alloc(encoded.length + 8, 0xee)
    for (let room = 0; room <= Math.min(encoded.length, 200); room++) {
      const next = writeKey(value, buffer.subarray(0, 3 + room), 3)
      assert.equal(next, room === encoded.length ? 3 + room : -1)
      assert.ok(buffer.subarray(3 + room).every((byte) => byte === 0xee))
    }
    assert.equal(writeKey(value, buffer, 3), 3 + encoded.length)
    assert.deepEqual(buffer.subarray(3, 3 + encoded.length), encoded)
    assert.ok(buffer.subarray(0, 3).every((byte) => byte === 0xee))
  }
})

test('a getter that encodes another key, or throws, does not disturb the key that it belongs to', () => {
  const array = ['before', , 'after'] // eslint-disable-line no-sparse-arrays
  Object.defineProperty(array, 1, { get: () => encodeKey(['inner'.repeat(100), 7]).length })
  assert.deepEqual(decodeKey(encodeKey(array)), ['before', 507, 'after'])

  const failing = ['before', , 'after'] // eslint-disable-line no-sparse-arrays
  Object.defineProperty(failing, 1, { get () { throw new RangeError('mine') } })
  assert.throws(() => encodeKey(failing), ({ code, cause }) => code === 'FLOWDB_INVALID_KEY' && cause.message === 'mine')
  assert.deepEqual(decodeKey(encodeKey(array)), ['before', 507, 'after'])
})

test('a proxy of an array is read once, and an endless one ends at the size limit', () => {
  let reads = 0
  const proxy = new Proxy([1, 2], { get: (target, name) => (reads++, Reflect.get(target, name)) })
  assert.deepEqual(decodeKey(encodeKey(proxy)), [1, 2])
  assert.equal(reads, 3, 'the length and each element')
  const endless = new Proxy([], { get: (target, name) => (name === 'length' ? 2 ** 53 - 1 : null) })
  assertInvalid(endless, 'a key takes more than 16384 bytes encoded')
  const bushy = Array.from({ length: 31 }).reduce((inner) => [inner, inner, inner], [])
  assertInvalid(bushy, 'a key takes more than 16384 bytes encoded')
})

test('overridden methods and properties of dates and buffers are not called', () => {
  const explode = { get () { throw new Error('was called') } }
  const date = new Date(5)
  Object.defineProperties(date, { getTime: explode, valueOf: explode, [Symbol.toPrimitive]: explode })
  assert.deepEqual(encodeKey(date), encodeKey(new Date(5)))
  const overrides = { length: explode, buffer: explode, byteOffset: explode, byteLength: explode }
  for (const bytes of [Buffer.of(1, 2), Uint16Array.of(513), new DataView(new ArrayBuffer(2))]) {
    const plain = encodeKey(bytes)
    assert.deepEqual(encodeKey(Object.defineProperties(bytes, overrides)), plain)
  }
})

test('a plain key is the value itself, or a copy of an array without a user\'s code in it', () => {
  const date = new Date(1)
  for (const value of [1, 'a', null, date, undefined]) assert.equal(plainKey(value), value)
  const array = [1, [date]]
  const plain = plainKey(array)
  assert.deepEqual(plain, array)
  assert.notEqual(plain, array)
  assert.notEqual(plain[1], array[1])
  assert.equal(plain[1][0], date)
})

test('an error of ours has its code, message and cause', () => {
  const cause = new Error('below')
  const error = new FlowDBError('FLOWDB_IO', 'writing', { cause })
  assert.ok(error instanceof Error)
  assert.deepEqual([error.name, error.code, error.message, error.cause], ['FlowDBError', 'FLOWDB_IO', 'writing', cause])
  assert.match(error.stack, /^FlowDBError: writing\n/)
  assert.ok(!('cause' in new FlowDBError('FLOWDB_IO', 'writing')))
})
