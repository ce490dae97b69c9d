'use strict'

/*
 * Writes until the disk is full, and on; reads meanwhile; opens again while it is full, where that is asked for; and
 * goes on in the same process when there is space. Throughout, what is there is exactly what was acknowledged, and
 * what was refused has a typed error and has not happened. Prints what it has met as JSON.
 */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { closeSync, openSync, rmSync, writeSync } = require('node:fs')
const { join } = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { FlashStore, FlowDB } = require('../..')
const { randomSource } = require('../../__test__/support')

const [folder, how, seedText, durability, reopens] = process.argv.slice(2)
const BALLAST_BYTES = 12 << 20
/** Where the size of files is limited, no table has room for a memtable, and no log for many writes. */
const LIMIT_BYTES = 48 << 10
const LOOPS = 4
/** Until then the disk has to be full, and then so many writes have to be refused. */
const WRITES_UNTIL_FULL_MAX = 100_000
const REFUSED_OF_A_LOOP = 30
const WRITES_WHILE_FULL = 60
const WRITES_AFTERWARDS = 150
/** Writers meet the last error of a background thread until that has tried again. */
const ATTEMPTS_MAX = 500

const options = {
  durability, memtableSizeMb: 1 / 4, walSegmentSizeMb: 1 / 4, tableSizeMb: 1 / 8, levelSizeMb: 1,
  compactionThreshold: 2,
  blockCacheCapacityMb: 1, valueThresholdBytes: 2000, valueFileSizeMb: 1 / 2
}

/** The disk: full of ballast, or of a limit that leaves files no room. */
const disk = {
  ballast: join(folder, 'ballast'),
  limit (bytes) {
    const { status, stderr } = spawnSync('prlimit', ['--pid', process.pid, `--fsize=${bytes}:unlimited`], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  },
  fill () {
    if (how === 'limit') return this.limit(LIMIT_BYTES)
    const file = openSync(this.ballast, 'w')
    for (let left = BALLAST_BYTES; left > 0; left -= 1 << 20) writeSync(file, Buffer.alloc(1 << 20))
    closeSync(file)
  },
  free () {
    if (how === 'limit') this.limit('unlimited')
    else rmSync(this.ballast)
  }
}

/** What is not compressed away. */
const textOf = (random) => Array.from({ length: random.below(random.below(5) === 0 ? 500 : 100) }, () => random.next().toString(36)).join('')

/** One writer on keys of its own, who knows what is there: a Map of its documents, and one of its entries. */
class Writer {
  constructor (number) {
    this.number = number
    this.random = randomSource(Number(seedText) + number)
    this.documents = new Map()
    this.entries = new Map()
    this.nextKey = 0
  }

  /** A key that is new, or was used before. */
  key (isNew) {
    return isNew || this.nextKey === 0 ? this.nextKey++ : this.random.below(this.nextKey)
  }

  document (isNew) {
    const key = this.key(isNew)
    return { id: [this.number, key], group: key % 5, text: textOf(this.random) }
  }

  /** A write, not made yet: how it is made, and what it makes of the Maps. */
  draw (isNew) {
    const kind = this.random.below(isNew ? 4 : 6)
    if (kind === 0) {
      const [key, value] = [this.key(isNew), textOf(this.random)]
      return {
        make: ({ store }) => store.set([this.number, key], value),
        apply: () => this.entries.set(key, value)
      }
    }
    if (kind === 5) {
      const key = this.key(false)
      return { make: ({ db }) => db.delete('rows', [this.number, key]), apply: () => this.documents.delete(key) }
    }
    const documents = Array.from({ length: kind === 1 ? 3 : 1 }, () => this.document(isNew))
    const apply = () => documents.forEach((document) => this.documents.set(document.id[1], document))
    if (kind !== 1) return { make: ({ db }) => db.put('rows', documents[0]), apply }
    const make = ({ db }) => {
      const tx = db.transaction('rows', 'readwrite')
      for (const document of documents) tx.put('rows', document)
      return tx.commit()
    }
    return { make, apply }
  }

  /** Makes a write; gives its error, which has to be that of a disk without room. */
  async write (opened, { make, apply }) {
    try {
      await make(opened)
    } catch (error) {
      return refusal(error)
    }
    apply()
    return undefined
  }

  async readOne ({ db }) {
    const key = this.key(false)
    assert.deepEqual(await db.get('rows', [this.number, key]), this.documents.get(key))
  }
}

const met = { refused: {}, causes: {}, refusedWhileFull: 0, madeWhileFull: 0, retriedAfterwards: 0, refusedClose: 0 }

function refusal (error) {
  if (error.code !== 'FLOWDB_IO') throw error
  let last = error
  while (last.cause) last = last.cause
  met.refused[error.code] = (met.refused[error.code] ?? 0) + 1
  met.causes[last.code] = (met.causes[last.code] ?? 0) + 1
  return error
}

async function open () {
  const db = FlowDB.open({ ...options, dataDir: join(folder, 'db') })
  const store = new FlashStore({ ...options, dataDir: join(folder, 'store') })
  await db.ready
  return { db, store }
}

/** Every document, entry and row of an index is what was acknowledged. */
async function checkAll ({ db, store }, writers) {
  const documents = writers.flatMap(({ documents }) => [...documents.values()].sort((a, b) => a.id[1] - b.id[1]))
  assert.deepEqual(await db.getAll('rows'), documents)
  assert.equal(await db.count('rows'), documents.length)
  for (let group = 0; group < 5; group++) {
    assert.deepEqual(await db.getByIndex('rows', 'group', group), documents.filter((document) => document.group === group))
  }
  const entries = writers.flatMap(({ entries, number }) =>
    [...entries].sort(([a], [b]) => a - b).map(([key, value]) => [[number, key], value]))
  assert.deepEqual(await store.getAllEntries(), entries)
}

async function closeAll ({ db, store }) {
  // Closing may want to write, too; what was acknowledged is on the disk all the same.
  for (const it of [db, store]) await it.close().catch((error) => refusal(error) && met.refusedClose++)
}

async function main () {
  let opened = await open()
  await opened.db.createObjectStore('rows', 'id')
  await opened.db.createIndex('rows', 'group', 'group')
  await opened.store.set('first', 1)
  await opened.store.delete('first')
  const writers = Array.from({ length: LOOPS }, (_, number) => new Writer(number))
  const each = (work) => Promise.all(writers.map(work))

  disk.fill()
  await each(async (writer) => {
    for (let made = 0, refused = 0; refused < REFUSED_OF_A_LOOP; made++) {
      assert.ok(made < WRITES_UNTIL_FULL_MAX, 'the disk does not become full')
      if (await writer.write(opened, writer.draw(true))) refused++
      await writer.readOne(opened)
    }
  })

  await checkAll(opened, writers)
  if (reopens === 'reopens') {
    await closeAll(opened)
    opened = await open()
    await checkAll(opened, writers)
  }
  await each(async (writer) => {
    for (let n = 0; n < WRITES_WHILE_FULL; n++) {
      if (await writer.write(opened, writer.draw(n % 2 === 0))) met.refusedWhileFull++
      else met.madeWhileFull++
      await writer.readOne(opened)
    }
  })
  await checkAll(opened, writers)

  disk.free()
  await each(async (writer) => {
    for (let n = 0; n < WRITES_AFTERWARDS; n++) {
      const write = writer.draw(n % 2 === 0)
      for (let attempt = 0; await writer.write(opened, write); attempt++) {
        assert.ok(attempt < ATTEMPTS_MAX, 'writes do not go on when there is space')
        met.retriedAfterwards++
        await pause(10)
      }
      await writer.readOne(opened)
    }
  })
  await checkAll(opened, writers)
  await opened.db.compact()
  await opened.db.verify()
  await Promise.all([opened.db.close(), opened.store.close()])
  opened = await open()
  await checkAll(opened, writers)
  await opened.db.verify()
  await Promise.all([opened.db.close(), opened.store.close()])
  process.stdout.write(JSON.stringify(met))
}

main()
