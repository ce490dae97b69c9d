'use strict'

/* A database that is opened with `readOnly` shows everything and changes nothing. */

const assert = require('node:assert/strict')
const { readFileSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')

const { FlowDB } = require('../index.js')
const { temporary } = require('./support.js')

/** The files of a folder with their bytes. */
const filesOf = (folder) => readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name)).toString('hex')])

async function withNotes (dataDir) {
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('notes', { keyPath: 'id' })
  await db.put('notes', { id: 1, text: 'kept' })
  await db.close()
}

test('readOnly shows what is there, refuses every write and changes no file', async (t) => {
  const dataDir = join(temporary(t), 'db')
  await withNotes(dataDir)
  const before = filesOf(dataDir)

  const db = FlowDB.open({ dataDir, readOnly: true })
  const writes = [
    db.put('notes', { id: 2 }), db.add('notes', { id: 2 }), db.delete('notes', 1), db.clear('notes'),
    db.createObjectStore('more'), db.deleteObjectStore('notes'), db.createIndex('notes', 'byText', 'text'),
    db.transaction(['notes'], 'readwrite').put('notes', { id: 2 })
  ]
  for (const [at, write] of writes.entries()) {
    await assert.rejects(write, { name: 'FlowDBError', code: 'FLOWDB_READ_ONLY' }, `write ${at}`)
  }
  assert.deepEqual(await db.get('notes', 1), { id: 1, text: 'kept' })
  assert.deepEqual(await db.getAll('notes'), [{ id: 1, text: 'kept' }])
  const transaction = db.transaction(['notes'])
  assert.equal(await transaction.count('notes'), 1)
  await transaction.commit()
  await db.close()

  assert.deepEqual(filesOf(dataDir), before)
})

test('readOnly finds no database where there is none, and creates nothing', async (t) => {
  const folder = temporary(t)
  for (const dataDir of [folder, join(folder, 'db')]) {
    const db = FlowDB.open({ dataDir, readOnly: true, createIfMissing: true })
    await assert.rejects(db.get('notes', 1), { code: 'FLOWDB_NOT_FOUND' })
    await assert.rejects(db.put('notes', 'text', 1), { code: 'FLOWDB_NOT_FOUND' })
    await db.close()
  }
  assert.deepEqual(readdirSync(folder), [])
})

test('openers in one process have to agree on readOnly', async (t) => {
  const dataDir = join(temporary(t), 'db')
  await withNotes(dataDir)
  const reader = FlowDB.open({ dataDir, readOnly: true })
  await reader.ready
  const writer = FlowDB.open({ dataDir })
  await assert.rejects(writer.ready, { code: 'FLOWDB_INVALID_ARGUMENT', message: /reading only/ })
  await reader.close()

  const later = FlowDB.open({ dataDir })
  await later.put('notes', { id: 2 })
  await later.close()
})

test('readOnly is true or false, and means nothing in memory', () => {
  assert.throws(() => FlowDB.open({ dataDir: 'db', readOnly: 1 }), { code: 'FLOWDB_INVALID_ARGUMENT', message: /readOnly/ })
  assert.throws(() => FlowDB.open({ inMemory: true, readOnly: true }), { code: 'FLOWDB_INVALID_ARGUMENT', message: /readOnly/ })
})
