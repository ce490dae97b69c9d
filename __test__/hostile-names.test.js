'use strict'

/* Names and paths that are tricks, and objects whose prototypes somebody has changed. */

const assert = require('node:assert/strict')
const { existsSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStore, FlowDB } = require('..')
const { FlowLevel } = require('../lib/level')
const { errorOf, openInMemory, runProgram, temporary } = require('./support')

/** Words that mean something to a file system, a URL, a shell or JavaScript. */
const TRICKS = [
  '..', '../..', '/', '\\', '../../etc/passwd', 'a/b', 'C:\\x', 'CON', 'CURRENT', 'LOCK', '.', '~', '$HOME', '%2e%2e', '*',
  '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '{}', '\u202e', '\u{1f600}', ' ', 'x'.repeat(240)
]

test('names are data: whatever they look like, no file is made for them, and each is its own', async (t) => {
  const dataDir = join(temporary(t), 'a', 'b', 'db')
  const db = FlowDB.open({ dataDir })
  const store = new FlashStore({ dataDir: `${dataDir}-entries` })
  const level = new FlowLevel(`${dataDir}-level`)
  await Promise.all([db.ready, store.size, level.open()])
  for (const [number, name] of TRICKS.entries()) {
    await db.createObjectStore(name, 'id')
    await db.createIndex(name, name, name === 'id' ? 'x' : 'id')
    await db.put(name, { id: number })
    await db.series(name).append(name, number, { ts: 1 })
    await store.namespace(name).set(name, number)
    await level.put(name, String(number))
  }
  for (const [number, name] of TRICKS.entries()) {
    assert.deepEqual(await db.getAll(name), [{ id: number }], name)
    assert.deepEqual(await db.getByIndex(name, name, number), [{ id: number }], name)
    assert.equal((await db.series(name).latest(name)).value, number, name)
    assert.deepEqual(await store.namespace(name).getAllEntries(), [[name, number]])
    assert.equal(await level.get(name), String(number))
  }
  assert.deepEqual((await db.storeNames()).sort(), [...TRICKS].sort())
  await Promise.all([db.close(), store.close(), level.close()])

  assert.deepEqual(readdirSync(join(dataDir, '..')).sort(), ['db', 'db-entries', 'db-level'])
  for (const folder of ['db', 'db-entries', 'db-level']) {
    const others = readdirSync(join(dataDir, '..', folder)).filter((file) => !/^(CURRENT|LOCK|MANIFEST|[0-9]+\.|MANIFEST-)/i.test(file))
    assert.deepEqual(others, [])
  }
})

test('a NUL, an empty or a too long name, and a path with a NUL, are refused wherever they are given, and nothing is made', async (t) => {
  const folder = temporary(t)
  const db = await openInMemory(t, { rows: 'id' })
  for (const name of ['', 'a\0b', '\0', 'x'.repeat(256), 'é'.repeat(128)]) {
    for (const call of [
      () => db.createObjectStore(name), () => db.createIndex('rows', name, 'x'), () => db.get(name, 1),
      () => db.series(name).append(1, 1), () => db.transaction(name), () => db.watch({ store: name }),
      () => db.query(name)
    ]) assert.equal((await errorOf(Promise.resolve().then(call))).code, 'FLOWDB_INVALID_ARGUMENT', `${call} ${name.length}`)
  }
  for (const path of ['', join(folder, 'a\0b'), `${join(folder, 'x')}\0`]) {
    for (const call of [
      () => FlowDB.open({ dataDir: path }).ready, () => FlashStore.open(path), () => FlowDB.destroy({ dataDir: path }),
      () => FlowDB.repair({ dataDir: path }), () => db.checkpoint(path), () => db.export(path), () => db.import(path)
    ]) {
      const { code } = await errorOf(Promise.resolve().then(call))
      assert.match(code, /^FLOWDB_(INVALID_ARGUMENT|UNSUPPORTED)$/, `${call} ${JSON.stringify(path)}`)
    }
  }
  assert.deepEqual(readdirSync(folder), [])
})

test('a relative directory is that of the moment of the call, and one with dots is the one that it leads to', async (t) => {
  const folder = temporary(t)
  const before = process.cwd()
  t.after(() => process.chdir(before))
  process.chdir(folder)
  const db = FlowDB.open({ dataDir: 'sub/../db' })
  process.chdir(before)
  await db.createObjectStore('rows', 'id')
  assert.ok(existsSync(join(folder, 'db', 'CURRENT')))
  assert.ok(!existsSync(join(folder, 'sub')))
  const other = FlowDB.open({ dataDir: join(folder, 'db', '.', '..', 'db') })
  assert.deepEqual(await other.storeNames(), ['rows'])
  await Promise.all([db.close(), other.close()])
})

test('options are those of their object alone, whatever its prototype or Object.prototype has', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await db.putMany('rows', [{ id: 1 }, { id: 2 }])
  const inherited = Object.create({ limit: 1, reverse: true })
  // An object of a class is no plain one.
  assert.equal((await errorOf(db.getAll('rows', undefined, inherited))).code, 'FLOWDB_INVALID_ARGUMENT')
  const own = JSON.parse('{"__proto__":{"limit":1}}')
  assert.equal((await errorOf(db.getAll('rows', undefined, own))).code, 'FLOWDB_INVALID_ARGUMENT')

  const { code, errors, output } = await runProgram('opens-in-a-polluted-process.js', [temporary(t)])
  assert.deepEqual({ code, errors }, { code: 0, errors: '' })
  assert.equal(output, 'as ever')
})
