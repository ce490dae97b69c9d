'use strict'

/* Documents of FlowDB: what JSON holds comes back as it was, and what JSON would damage is refused with its place. */

const assert = require('node:assert/strict')
const buffer = require('node:buffer')
const { test } = require('node:test')
const { FORMAT } = require('../lib/packing.js')
const { Run } = require('../lib/run.js')
const { encodeDocument, encodeValue, utf8Length } = require('../lib/values.js')
const { errorOf, openInMemory } = require('./support')

const open = (t) => openInMemory(t, { docs: null })

/** The text of a document as it is packed. */
function packed (encoded) {
  const { bytes } = new Run().document(encoded)
  assert.equal(bytes.readUInt32LE(1), bytes.length - 5)
  return bytes.toString('utf8', 5)
}

test('what JSON holds comes back as it was', async (t) => {
  const db = await open(t)
  const documents = [
    null, true, 0, -1.5, 1e300, '', 'text', '\ud800 alone', '\u0000', [], {}, [[[]]], { a: { b: [1, { c: null }] } },
    { '': 1, 'a b': 2, 'ключ': 3 }, JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}'), { then: 'a word' },
    'x'.repeat(100_000)
  ]
  await Promise.all(documents.map((document, key) => db.put('docs', document, key)))
  for (const [key, document] of documents.entries()) assert.deepStrictEqual(await db.get('docs', key), document)
  assert.deepStrictEqual(await db.getAll('docs'), documents)
  assert.equal({}.x, undefined, 'a document reached the prototype of every object')
})

test('what JSON would damage is refused, and the error names the place', async (t) => {
  const db = await open(t)
  const cyclic = { list: [{}] }
  cyclic.list[0].back = cyclic
  const damages = [
    [undefined, 'the document is undefined'],
    [() => {}, 'the document is a function'],
    [Symbol('s'), 'the document is a symbol'],
    [{ when: new Date() }, 'the document\'s when is a Date'],
    [{ a: [1, { b: new Map() }] }, 'the document\'s a[1].b is a Map'],
    [[new Set()], 'the document\'s [0] is a Set'],
    [{ big: 1n }, 'the document\'s big is a bigint'],
    [{ n: NaN }, 'the document\'s n is NaN'],
    [{ n: [Infinity] }, 'the document\'s n[0] is Infinity'],
    [{ n: -Infinity }, 'the document\'s n is -Infinity'],
    [{ bytes: new Uint8Array(2) }, 'the document\'s bytes is a typed array'],
    [{ bytes: Buffer.from('x') }, 'the document\'s bytes is a typed array'],
    [{ bytes: new ArrayBuffer(2) }, 'the document\'s bytes is an ArrayBuffer'],
    [{ f () {} }, 'the document\'s f is a function'],
    [{ s: Symbol('s') }, 'the document\'s s is a symbol'],
    [{ list: [1, undefined] }, 'the document\'s list[1] is undefined'],
    [{ list: [, 1] }, 'the document\'s list[0] is undefined'], // eslint-disable-line no-sparse-arrays
    [{ e: new Error('x') }, 'the document\'s e is an Error'],
    [{ r: /x/ }, 'the document\'s r is a RegExp'],
    [{ p: Promise.resolve() }, 'the document\'s p is a Promise'],
    [{ o: Object(1) }, 'the document\'s o is a primitive in an object'],
    [{ 'a key': { 'b-c': 1n } }, 'the document\'s ["a key"]["b-c"] is a bigint'],
    [cyclic, 'the document\'s list[0].back contains itself']
  ]
  for (const [document, message] of damages) {
    const error = await errorOf(db.put('docs', document, 1))
    assert.equal(error.code, 'FLOWDB_INVALID_VALUE')
    assert.ok(error.message.startsWith(message), `${error.message} should start: ${message}`)
  }
  assert.equal(await db.count('docs'), 0)
})

test('undefined as a property is simply not there', async (t) => {
  const db = await open(t)
  await db.put('docs', { a: undefined, b: 1 }, 1)
  assert.deepStrictEqual(await db.get('docs', 1), { b: 1 })
})

test('an instance of a class is stored by its properties, or by its toJSON', async (t) => {
  const db = await open(t)
  class Point {
    x = 1
    get ignored () { return 2 }
  }
  class Money {
    constructor (cents) { this.cents = cents }
    toJSON () { return { euro: this.cents / 100 } }
  }
  await db.put('docs', { point: new Point(), price: new Money(250) }, 1)
  assert.deepStrictEqual(await db.get('docs', 1), { point: { x: 1 }, price: { euro: 2.5 } })
  await assert.rejects(db.put('docs', { price: new Money(NaN) }, 2), { code: 'FLOWDB_INVALID_VALUE', message: /price\.euro is NaN/ })
  await assert.rejects(db.put('docs', { toJSON: () => undefined }, 2), { code: 'FLOWDB_INVALID_VALUE' })
})

test('a getter that throws refuses the document, and its error is the cause', async (t) => {
  const db = await open(t)
  const thrown = new Error('thrown by a getter')
  const error = await errorOf(db.put('docs', { get a () { throw thrown } }, 1))
  assert.equal(error.code, 'FLOWDB_INVALID_VALUE')
  assert.equal(error.cause, thrown)
  assert.equal(await db.count('docs'), 0)
})

test('a getter or proxy that calls the database leaves both calls whole', async (t) => {
  const db = await open(t)
  let inner
  const document = {
    get a () {
      inner ??= db.put('docs', 'inner', 'inner')
      return 1
    },
    b: 2
  }
  const key = new Proxy(['outer'], {
    get (target, name) {
      db.get('docs', 'inner').catch(() => {})
      return target[name]
    }
  })
  await db.put('docs', document, key)
  await inner
  assert.deepStrictEqual(await db.getAll('docs'), ['inner', { a: 1, b: 2 }])
})

test('a document may be nested deep, and one that is too deep is refused', async (t) => {
  const db = await open(t)
  const nested = (depth) => {
    let document = {}
    for (let level = 1; level < depth; level++) document = { inside: document }
    return document
  }
  await db.put('docs', nested(900), 1)
  assert.deepStrictEqual(await db.get('docs', 1), nested(900))
  assert.equal(await db.delete('docs', 1), true)
  for (const depth of [1100, 100_000]) {
    await assert.rejects(db.put('docs', nested(depth), 2), { code: 'FLOWDB_INVALID_VALUE' })
  }
  assert.equal(await db.count('docs'), 0)
})

test('a document that is as deep can be stored under a key path, indexed and deleted', async (t) => {
  const db = await openInMemory(t, { docs: 'id' })
  await db.createIndex('docs', 'n', 'n')
  let deep = 1
  for (let level = 0; level < 900; level++) deep = [deep]
  await db.put('docs', { id: 1, deep, n: 5 })
  assert.equal((await db.getByIndex('docs', 'n', 5)).length, 1)
  assert.equal(await db.delete('docs', 1), true)
})

test('a string is packed as JSON writes it, whatever is in it', () => {
  const units = Array.from({ length: 0x10000 }, (_, unit) => String.fromCharCode(unit))
  const pack = (encoded) => Buffer.from(new Run().document(encoded).bytes)
  const texts = ['', 'plain', 'Grüße, Ωmega, \u{1f600}', '\ud83d', '\ude00', 'x'.repeat(70_000), 'ß'.repeat(70_000)]
  for (const text of [...texts, ...units]) {
    const json = JSON.stringify(text)
    assert.deepEqual(pack(encodeValue(text)), pack({ format: FORMAT.JSON, text: json }), json)
  }
})

test('a document with long strings is stored as the JSON that JSON.stringify gives, whatever is to be escaped', () => {
  const long = 'text – €😀 '.repeat(100)
  const all = String.fromCharCode(...Array(0x300).keys())
  const documents = [
    long, all, '\n'.repeat(70_000), `${long}"`, `\\${long}`, [long], [[], long, [1, null, [all]]],
    { text: long }, { a: 1, text: all, 'b "quoted"': [true, { long, more: long }], none: undefined, c: 'short\n' },
    { ['__proto__']: long, '': all, empty: {}, list: [] }, Object.assign(Object.create(null), { long }),
    { half: `${long}\ud800`, whole: long }, { get long () { return long } },
    { when: { toJSON: () => 'now' }, long }, { at: { toJSON: () => long } }
  ]
  for (const document of documents) {
    const encoded = encodeDocument(document)
    assert.equal(packed(encoded), JSON.stringify(document))
    assert.equal(utf8Length(encoded), Buffer.byteLength(JSON.stringify(document)))
  }
  assert.ok(encodeDocument({ long }).pieces !== undefined, 'the letters of long strings do not pass through JSON.stringify')
  assert.equal(encodeDocument({ short: 'short' }).pieces, undefined)
})

test('a document with long strings is read as JSON.stringify reads it', () => {
  const long = 'long '.repeat(200)
  const growing = () => {
    const list = [long, 0, 1]
    Object.defineProperty(list, 1, { enumerable: true, get: () => list.push('late') })
    return list
  }
  const documents = [
    () => ({ long, hidden: new Proxy({ a: 1 }, { get: (of, key) => key === 'toJSON' ? () => 'shown' : of[key] }) }),
    () => ({ long, plain: Object.assign(Object.create({ toJSON: 5 }), { a: 1 }) }),
    () => [long, Object.setPrototypeOf(Object(true), null)]
  ]
  for (const document of documents) assert.equal(packed(encodeDocument(document())), JSON.stringify(document()))
  assert.deepEqual(JSON.parse(packed(encodeDocument(growing()))).length, 3 + 1, 'its length is read once, as it is then')
})

test('letters that might not have room in a string once they are escaped are left to JSON.stringify', () => {
  // It refuses what is too long for a string: that could be stored and never be read again.
  const million = 'x'.repeat(1_000_000)
  const sixth = Math.floor(buffer.constants.MAX_STRING_LENGTH / 6 / million.length)
  assert.ok(encodeDocument(Array(sixth).fill(million)).pieces !== undefined)
  assert.equal(encodeDocument(Array(sixth + 1).fill(million)).pieces, undefined)
  assert.equal(encodeValue(Array(sixth + 1).fill(million)).pieces, undefined)
})

test('a long string that grows when it is escaped leaves what was packed before it as it was', () => {
  const run = new Run(64)
  const documents = ['first', '"'.repeat(1000), { second: '\0'.repeat(50_000) }, 'last']
  for (const document of documents) run.document(encodeDocument(document))
  let at = 0
  for (const document of documents) {
    const end = at + 5 + run.bytes.readUInt32LE(at + 1)
    assert.deepEqual(JSON.parse(run.bytes.toString('utf8', at + 5, end)), document)
    at = end
  }
  assert.equal(at, run.length)
})
