'use strict'

/* Documents and keys at the edge of what can be stored: they come back as they were, or get a typed error. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlowDB } = require('..')
const { errorOf, gathered, openInMemory, temporary } = require('./support')

const JSON_TEXT = [
  '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"id":1}',
  '{"id":1,"toString":0,"hasOwnProperty":1,"__defineGetter__":[],"prototype":"x"}',
  '{"id":1,"":{"":""}," ":0,"a.b":1,"a":{"b":2},"0":1,"-0":2,"length":3}',
  '{"id":1,"nul":"\\u0000","half":"\\ud800","other half":"\\udfff x","pair":"\\ud83d\\ude00","\\ud800":1}'
]

/** Everything that writes a document, by its name. */
const WRITES = {
  put: (on, document) => on.put('docs', document),
  putMany: (on, document) => on.putMany('docs', [{ id: 0 }, document]),
  modify: (on, document) => on.modify('docs', 1, () => document),
  patch: async (on, document) => {
    await on.put('docs', { id: 1, gone: true })
    await on.patch('docs', 1, { ...document, gone: null })
  },
  update: async (on, document) => {
    await on.put('docs', { id: 1 })
    for await (const cursor of on.cursor('docs', { range: 1 })) await cursor.update(document)
  }
}

test('documents with names that mean something to JavaScript are data, whatever writes and reads them', async (t) => {
  const db = await openInMemory(t, { docs: 'id' })
  await db.createIndex('docs', 'proto', '__proto__.polluted')
  await db.createIndex('docs', 'constructor', 'constructor')
  for (const text of JSON_TEXT) {
    for (const [name, write] of Object.entries(WRITES)) {
      await db.clear('docs')
      const document = JSON.parse(text)
      await write(db, document)
      const read = [await db.get('docs', 1), ...await db.getMany('docs', [1]), ...await db.getAll('docs', 1)]
      for (const cursor of await gathered(db.cursor('docs', { range: 1 }))) read.push(cursor.value)
      for (const one of read) assert.equal(JSON.stringify(sorted(one)), JSON.stringify(sorted(document)), `${name} ${text}`)
    }
  }
  await db.put('docs', JSON.parse(JSON_TEXT[0]))
  assert.equal((await db.getByIndex('docs', 'proto', 1)).length, 1)
  assert.deepEqual(await db.getByIndex('docs', 'constructor', 'Object'), [])
  assert.equal({}.polluted, undefined)
})

/** The same with the names in order. */
function sorted (value) {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  return Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([name, inner]) => [name, sorted(inner)])
}

test('a hundred levels of nesting come back, a thousand too, and more is a typed error', async (t) => {
  const db = await openInMemory(t, { docs: 'id' })
  const nested = (levels, end) => {
    let value = end
    for (let level = 0; level < levels; level++) value = level % 2 === 0 ? { x: value } : [value]
    return value
  }
  for (const levels of [100, 998]) {
    for (const [name, write] of Object.entries(WRITES)) {
      const document = { id: 1, deep: nested(levels, 'end') }
      await write(db, document)
      assert.deepEqual(await db.get('docs', 1), document, name)
    }
    await db.patch('docs', 1, { deep: { x: ['patched'] } })
    assert.deepEqual(await db.get('docs', 1), { id: 1, deep: { x: ['patched'] } })
  }
  for (const [name, write] of Object.entries(WRITES)) {
    assert.equal((await errorOf(write(db, { id: 1, deep: nested(1000, 1) }))).code, 'FLOWDB_INVALID_VALUE', name)
  }
})

test('a string of 64 MB comes back by every way, and is patched and deleted like any other', async (t) => {
  const db = FlowDB.open({ dataDir: temporary(t), durability: 'relaxed' })
  await db.createObjectStore('docs', 'id')
  await db.createIndex('docs', 'text', 'text')
  const text = 'é"\n'.repeat(64 * 1024 * 1024 / 4)
  await db.put('docs', { id: 1, text })
  assert.equal(Buffer.byteLength(text), 64 * 1024 * 1024)

  const check = (document) => assert.ok(document.text === text)
  check(await db.get('docs', 1))
  check((await db.getMany('docs', [1]))[0])
  await db.patch('docs', 1, { small: 1 })
  await db.modify('docs', 1, (document) => ({ ...document, smaller: 2 }))
  for await (const { value } of db.cursor('docs')) check(value)
  const { small, smaller } = await db.get('docs', 1)
  assert.deepEqual([small, smaller], [1, 2])
  assert.equal(await db.countByIndex('docs', 'text'), 0, 'too long for a key, so it is in no index')
  assert.equal(await db.delete('docs', { gte: 0 }), 1)
  await db.close()
})

test('empty keys and the longest ones are keys like others, and longer ones a typed error', async (t) => {
  const db = await openInMemory(t, { docs: null, keyed: 'id' })
  const longest = 'k'.repeat(16 * 1024 - 2)
  const keys = ['', 'a', longest, '\ud800', '\ud83d\ude00', '\udfff', new Uint8Array(0), [], ['']]
  assert.deepEqual(await db.putMany('docs', keys.map((_, place) => place), keys), keys)
  assert.deepEqual(await db.getAllKeys('docs'), keys)
  assert.deepEqual(await db.getMany('docs', keys), keys.map((_, place) => place))
  assert.deepEqual(await db.getAllKeys('docs', { prefix: 'k' }), [longest])
  assert.equal(await db.count('docs', { prefix: '' }), 6)
  assert.equal(await db.put('keyed', { id: '' }), '')
  assert.deepEqual(await db.get('keyed', ''), { id: '' })

  const tooLong = 'k'.repeat(16 * 1024)
  for (const call of [
    () => db.put('docs', 1, tooLong), () => db.put('keyed', { id: tooLong }), () => db.putMany('docs', [1], [tooLong]),
    () => db.getMany('docs', [tooLong]), () => db.delete('docs', tooLong), () => db.modify('docs', tooLong, () => 1),
    () => db.patch('docs', tooLong, 1), () => db.getKey('docs', tooLong), () => db.count('docs', { gt: tooLong }),
    () => db.count('docs', { prefix: tooLong }), () => db.has('docs', tooLong)
  ]) assert.equal((await errorOf(Promise.resolve().then(call))).code, 'FLOWDB_INVALID_KEY', String(call))
  assert.equal(await db.delete('docs', { gte: '' }), keys.length)
})

test('a document with ten thousand entries in an index has each of them, and loses each', async (t) => {
  const db = await openInMemory(t, { docs: 'id' })
  await db.createIndex('docs', 'tags', 'tags', { multiEntry: true })
  const tags = Array.from({ length: 10_000 }, (_, tag) => `tag ${tag} ${'\ud800'.repeat(tag % 3)}`)
  await db.putMany('docs', [{ id: 1, tags }, { id: 2, tags: tags.slice(0, 10) }])

  assert.equal(await db.countByIndex('docs', 'tags'), 10_010)
  assert.equal(await db.getKeyByIndex('docs', 'tags', tags[9999]), 1)
  assert.equal((await gathered(db.cursor('docs', { index: 'tags', direction: 'prevunique' }))).length, 10_000)
  await db.modify('docs', 1, (document) => ({ ...document, tags: document.tags.slice(5000) }))
  assert.equal(await db.countByIndex('docs', 'tags'), 5010)
  await db.patch('docs', 1, { tags })
  assert.equal(await db.countByIndex('docs', 'tags'), 10_010)
  assert.equal(await db.delete('docs', { lte: 1 }), 1)
  assert.equal(await db.countByIndex('docs', 'tags'), 10)
  await db.put('docs', { id: 3, tags: [tags, tags] })
  assert.equal(await db.countByIndex('docs', 'tags'), 10, 'an array of ten thousand is too long for a key')
})
