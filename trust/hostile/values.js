'use strict'

/*
 * What a hostile or careless program may give in the place of an argument: each value with a name, made anew for every
 * call by a function of the `trap`, which has what its code may do.
 *
 * Code in an argument throws `trap.error()`, and calls `trap.reenter()`, which uses and closes what is being called.
 * What a function throws that is called as a function is noted in `trap.thrown`: that reaches the caller as it is.
 */

const { Readable, Writable } = require('node:stream')
const { runInNewContext } = require('node:vm')
const { KeyRange } = require('../..')

const MIB = 1 << 20
const DEEP = 20_000

/** What code in an argument may do, and what its functions have thrown. */
class Trap {
  /** What functions have thrown. @type {Set<unknown>} */
  thrown = new Set()
  /** Uses and closes what is being called. @type {() => void} */
  reenter = () => {}

  error () {
    return new Error('thrown by an argument')
  }

  /** Lets a function throw, so that its caller gets that. */
  throws (thrown) {
    this.thrown.add(thrown)
    throw thrown
  }
}

function cyclic (make, put) {
  const value = make()
  put(value, value)
  return value
}

/** What has no code and takes long to make is made once. */
function once (make) {
  let made
  return () => {
    made ??= make()
    return made
  }
}

function nested (levels, wrap) {
  let value = 1
  for (let level = 0; level < levels; level++) value = wrap(value)
  return value
}

function revoked (target) {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

/** A proxy every trap of which does the same. */
function trapped (target, act) {
  return new Proxy(target, new Proxy({}, { get: () => act }))
}

/** A proxy that passes everything on, and does something before. */
function watched (target, act) {
  const handler = new Proxy({}, {
    get: (_, name) => (...args) => {
      act()
      return Reflect[name](...args)
    }
  })
  return new Proxy(target, handler)
}

function detached (bytes) {
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

/** A view of a buffer that has shrunk under it. */
function shrunk (length, end) {
  const buffer = new ArrayBuffer(length, { maxByteLength: length })
  const view = new Uint8Array(buffer, 8, 8)
  buffer.resize(end)
  return view
}

const methodsThat = (act) => ({
  id: 1,
  toString: act,
  valueOf: act,
  toJSON: act,
  [Symbol.toPrimitive]: act,
  get [Symbol.toStringTag] () { return act() }
})

const getterOf = (name, get) => Object.defineProperty({ id: 1 }, name, { get, enumerable: true })
const thenableThat = (then) => ({ id: 1, then })
const iterableThat = (next) => ({ id: 1, [Symbol.iterator]: () => ({ next }) })

/** Every value that is one, or has none of its own code. */
const PLAIN = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  0: () => 0,
  '-0': () => -0,
  '-1': () => -1,
  1.5: () => 1.5,
  NaN: () => NaN,
  Infinity: () => Infinity,
  '2^32': () => 2 ** 32,
  '2^53': () => 2 ** 53,
  '1n': () => 1n,
  'a bigint of 64 bits': () => 2n ** 64n,
  'a bigint of 100,000 bits': once(() => 1n << 100_000n),
  'the empty string': () => '',
  'a string': () => 'x',
  'a NUL': () => 'a\0b',
  'a way out': () => '../x',
  'half a surrogate pair': () => '\ud800',
  'a mebibyte of text': once(() => 'x'.repeat(MIB)),
  __proto__name: () => '__proto__',
  constructor: () => 'constructor',
  'a symbol': () => Symbol('x'),
  'Symbol.iterator': () => Symbol.iterator,
  'an empty array': () => [],
  'an array': () => [1, 'x'],
  'an array of 2^32 - 1 holes': () => new Array(2 ** 32 - 1),
  'what is like an array of 2^53 - 1': () => ({ id: 1, length: 2 ** 53 - 1 }),
  'two thousand arrays': once(() => nested(2000, (value) => [value])),
  'deep arrays': once(() => nested(DEEP, (value) => [value])),
  'deep objects': once(() => nested(DEEP, (value) => ({ id: 1, value }))),
  'a cyclic object': () => cyclic(() => ({ id: 1 }), (object, it) => { object.it = it }),
  'a cyclic array': () => cyclic(() => [], (array, it) => { array.push(it) }),
  'an invalid date': () => new Date(NaN),
  'a date': () => new Date(0),
  'a regular expression': () => /x/,
  'a map': () => new Map([[1, 1]]),
  'a set': () => new Set([1]),
  'a weak map': () => new WeakMap(),
  'a resolved promise': () => Promise.resolve(1),
  'an error': () => new Error('x'),
  arguments: () => (function () { return arguments })(1, 2),
  'an object without prototype': () => Object.assign(Object.create(null), { id: 1 }),
  'an object of another context': () => runInNewContext('({ id: 1 })'),
  'an array of another context': () => runInNewContext('[1, 2]'),
  'a property __proto__': () => JSON.parse('{"id":1,"__proto__":{"limit":1,"unique":true,"readOnly":true}}'),
  'inherited options': () => Object.create({ id: 1, limit: 1, reverse: true, ttl: 1 }),
  'a frozen object': () => Object.freeze({ id: 1 }),
  'a string object': () => new String('x'),
  'a bigint object': () => Object(1n),
  'a symbol object': () => Object(Symbol('x')),
  'an aborted signal': () => AbortSignal.abort(),
  'an object that says it is a signal': () => Object.create(AbortSignal.prototype),
  globalThis: () => globalThis
}

/** Bytes, in every state that they may be in. */
const BYTES = {
  bytes: () => new Uint8Array([1, 2]),
  'no bytes': () => new Uint8Array(0),
  'a mebibyte': () => new Uint8Array(MIB),
  'detached bytes': () => detached(new Uint8Array(8)),
  'a detached buffer': () => detached(new Uint8Array(8)).buffer,
  'shared bytes': () => new Uint8Array(new SharedArrayBuffer(8)),
  'a shared buffer': () => new SharedArrayBuffer(8),
  'bytes out of a shrunk buffer': () => shrunk(32, 4),
  'bytes partly out of a shrunk buffer': () => shrunk(32, 12),
  'bytes that follow their buffer': () => new Uint8Array(new ArrayBuffer(8, { maxByteLength: MIB })),
  'doubles': () => new Float64Array([NaN, -0]),
  'big integers': () => new BigInt64Array(2),
  'a data view': () => new DataView(new ArrayBuffer(8)),
  'a Buffer': () => Buffer.from('x'),
  'bytes that lie about their length': () => Object.defineProperties(new Uint8Array(2), {
    length: { value: 2 ** 40 }, byteLength: { value: 2 ** 40 }, byteOffset: { value: -8 }
  }),
  'bytes of a class that lies': () => new (class extends Uint8Array {
    static get [Symbol.species] () { return Array }
    get length () { return 2 ** 33 }
    subarray () { return 'x' }
  })(2),
  'an object that says it is bytes': () => Object.create(Uint8Array.prototype),
  'memory of WebAssembly': () => new Uint8Array(new globalThis.WebAssembly.Memory({ initial: 1 }).buffer, 0, 4)
}

/** Values whose code throws. @type {Record<string, (trap: Trap) => unknown>} */
const THROWING = {
  'a revoked object': () => revoked({}),
  'a revoked array': () => revoked([]),
  'a revoked function': () => revoked(() => {}),
  'a function that throws': (trap) => () => trap.throws(trap.error()),
  'a function that throws no error': (trap) => () => trap.throws('text'),
  'a function that rejects': (trap) => async () => trap.throws(trap.error()),
  'a generator': () => function * () { yield 1 },
  'a class': () => class {},
  'a function': () => () => 1,
  'traps that throw': (trap) => trapped({}, () => { throw trap.error() }),
  'traps of an array that throw': (trap) => trapped([], () => { throw trap.error() }),
  'traps that give nonsense': () => trapped({}, () => -1),
  'an array that lies about its length': () => new Proxy([], { get: (target, name) => name === 'length' ? 2 ** 53 : 1 }),
  'methods that throw': (trap) => methodsThat(() => { throw trap.error() }),
  'methods that give an object': () => methodsThat(() => ({})),
  'a getter that throws': (trap) => getterOf('key', () => { throw trap.error() }),
  'a key that throws': (trap) => getterOf('id', () => { throw trap.error() }),
  'an element that throws': (trap) => Object.defineProperty([], 0, { get: () => { throw trap.error() }, enumerable: true }),
  'a thenable': () => thenableThat((resolve) => resolve(1)),
  'a thenable that rejects': (trap) => thenableThat((resolve, reject) => reject(trap.error())),
  'a thenable that throws': (trap) => thenableThat(() => { throw trap.error() }),
  'a getter then that throws': (trap) => getterOf('then', () => { throw trap.error() }),
  'an iterable that throws': (trap) => iterableThat(() => { throw trap.error() }),
  'an iterable of nothing that is one': () => ({ id: 1, [Symbol.iterator]: 1 }),
  'an iterable that gives no object': () => iterableThat(() => 1),
  'a range that throws': (trap) => Object.create(KeyRange.prototype, {
    lower: { get: () => { throw trap.error() }, enumerable: true }
  }),
  'a range of nonsense': () => Object.create(KeyRange.prototype, {
    lower: { value: Symbol('x') }, upper: { value: {} }, lowerOpen: { value: 1 }, upperOpen: { value: null }
  }),
  'a stream that fails': (trap) => new Readable({ read () { this.destroy(trap.error()) } }),
  'a stream that takes nothing': (trap) => new Writable({ write: (chunk, encoding, done) => done(trap.error()) }).on('error', () => {})
}

/** Values whose code uses and closes what is being called. @type {Record<string, (trap: Trap) => unknown>} */
const REENTRANT = {
  'a getter that closes': (trap) => getterOf('name', () => trap.reenter()),
  'a key that closes': (trap) => getterOf('id', () => { trap.reenter(); return 1 }),
  'an element that closes': (trap) => Object.defineProperty([], 0, { get: () => { trap.reenter(); return 1 }, enumerable: true }),
  'a proxy that closes': (trap) => watched({ id: 1 }, () => trap.reenter()),
  'an array that closes': (trap) => watched([1, 2], () => trap.reenter()),
  'methods that close': (trap) => methodsThat(() => { trap.reenter(); return 1 }),
  'a function that closes': (trap) => () => { trap.reenter(); return { id: 1 } },
  'an iterable that closes': (trap) => [1][Symbol.iterator].call(watched([1], () => trap.reenter())),
  'a range that closes': (trap) => Object.create(KeyRange.prototype, {
    lower: { get: () => { trap.reenter(); return 1 } },
    upper: { value: 2 },
    lowerOpen: { value: false },
    upperOpen: { value: false }
  }),
  'bytes that are taken away while they are read': () => {
    const bytes = new Uint8Array(64)
    const take = () => { if (bytes.length > 0) detached(bytes); return 1 }
    return [bytes, Object.defineProperty([], 0, { get: take, enumerable: true }), bytes]
  },
  'an array that grows and shrinks while it is read': () => {
    const array = [1, 2, 3]
    const change = () => {
      array.length = 0
      array.push(...new Array(100).fill(7))
      return 1
    }
    return Object.defineProperty(array, 1, { get: change, enumerable: true })
  }
}

/** @type {Record<string, (trap: Trap) => unknown>} */
const VALUES = { ...PLAIN, ...BYTES, ...THROWING, ...REENTRANT }

module.exports = { Trap, VALUES }
