'use strict'

/* y-leveldb on flowdb/level: shared documents that two people edit, kept across reopenings. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { LeveldbPersistence } = require('y-leveldb')
const Y = require('yjs')
const { closedAfter, temporary } = require('../__test__/support.js')
const { FlowLevel } = require('../lib/level.js')

const EDITS = 600

test('a shared document is what its editors made of it, after a reopening and a merge', async (t) => {
  const folder = temporary(t)
  const open = () => new LeveldbPersistence(folder, { Level: FlowLevel })

  let kept = open()
  const [ada, max] = [new Y.Doc(), new Y.Doc()]
  // Both see what the other writes, and each update is kept once.
  ada.on('update', (update, origin) => {
    kept.storeUpdate('minutes', update)
    if (origin !== 'network') Y.applyUpdate(max, update, 'network')
  })
  max.on('update', (update, origin) => {
    if (origin !== 'network') Y.applyUpdate(ada, update, 'network')
  })
  for (let number = 0; number < EDITS; number++) {
    const editor = number % 3 === 0 ? max : ada
    editor.getText('text').insert(number, String(number % 10))
    editor.getMap('topics').set(`topic ${number % 7}`, number)
  }
  const text = ada.getText('text').toString()
  assert.equal(text.length, EDITS)
  await kept.setMeta('minutes', 'owner', { name: 'Ada', since: [2024, 1] })
  await kept.destroy()

  kept = open()
  // There are more updates than y-leveldb keeps apart: it merges them as it reads.
  const read = await kept.getYDoc('minutes')
  assert.equal(read.getText('text').toString(), text)
  assert.deepEqual(read.getMap('topics').toJSON(), ada.getMap('topics').toJSON())
  assert.deepEqual(await kept.getStateVector('minutes'), Y.encodeStateVector(ada))
  assert.deepEqual(await kept.getMeta('minutes', 'owner'), { name: 'Ada', since: [2024, 1] })

  // An editor who was away gets what is new to it, and no more.
  const late = new Y.Doc()
  Y.applyUpdate(late, await kept.getDiff('minutes', Y.encodeStateVector(late)))
  assert.equal(late.getText('text').toString(), text)
  await kept.destroy()

  kept = open()
  assert.equal((await kept.getYDoc('minutes')).getText('text').toString(), text)
  await kept.destroy()
})

test('documents are listed, and clearing one leaves those whose names begin like it', async (t) => {
  const kept = new LeveldbPersistence(temporary(t), { Level: FlowLevel })
  closedAfter(t, kept, () => kept.destroy())
  for (const name of ['note', 'note 2', 'notes']) {
    const doc = new Y.Doc()
    doc.getArray('lines').push([name])
    await kept.storeUpdate(name, Y.encodeStateAsUpdate(doc))
  }
  assert.deepEqual((await kept.getAllDocNames()).sort(), ['note', 'note 2', 'notes'])

  await kept.clearDocument('note')

  assert.deepEqual((await kept.getAllDocNames()).sort(), ['note 2', 'notes'])
  assert.deepEqual((await kept.getYDoc('note')).getArray('lines').toJSON(), [])
  assert.deepEqual((await kept.getYDoc('notes')).getArray('lines').toJSON(), ['notes'])
})
