'use strict'

/* Looking after a database from JavaScript: copies, verification, statistics, compaction, repair, removal. */

const assert = require('node:assert/strict')
const { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')

const { FlowDB, KeyRange } = require('..')
const { openInMemory, temporary } = require('./support.js')

/** A database on disk with so many notes, in tables. */
async function withNotes (dataDir, count = 300) {
  const db = FlowDB.open({ dataDir, durability: 'none' })
  await db.createObjectStore('notes', 'id')
  await db.createIndex('notes', 'byText', 'text')
  await Promise.all(Array.from({ length: count }, (_, id) => db.put('notes', note(id))))
  return db
}

const note = (id) => ({ id, text: `note ${id} ${'-'.repeat(100)}` })

test('a checkpoint is a database of its own, with the writes that were issued before it', async (t) => {
  const folder = temporary(t)
  const db = await withNotes(join(folder, 'db'), 10)
  const before = db.put('notes', note(10))
  const copied = db.checkpoint(join(folder, 'copy'))
  await Promise.all([before, copied])
  await db.put('notes', note(11))
  await assert.rejects(db.checkpoint(join(folder, 'copy')), { code: 'FLOWDB_INVALID_ARGUMENT', message: /empty/ })
  await db.close()

  const copy = FlowDB.open({ dataDir: join(folder, 'copy'), createIfMissing: false })
  assert.deepEqual(await copy.get('notes', 10), note(10))
  assert.equal(await copy.count('notes'), 11)
  assert.deepEqual((await copy.getByIndex('notes', 'byText', note(3).text)), [note(3)])
  await copy.close()
})

test('a checkpoint of a database in memory, or to what is no path, is refused', async (t) => {
  const db = await openInMemory(t)
  await assert.rejects(db.checkpoint(join(temporary(t), 'copy')), { code: 'FLOWDB_UNSUPPORTED' })
  for (const path of [undefined, '', 7, 'a\0b']) {
    await assert.rejects(db.checkpoint(path), { name: 'FlowDBError', code: 'FLOWDB_INVALID_ARGUMENT' })
  }
})

test('verify finds damage that no read has met', async (t) => {
  const dataDir = join(temporary(t), 'db')
  const db = await withNotes(dataDir)
  await db.compact()
  await db.verify()
  await db.close()
  damage(dataDir)

  const damaged = FlowDB.open({ dataDir })
  await assert.rejects(damaged.verify(), { code: 'FLOWDB_CORRUPTION', message: /\.tbl/ })
  await damaged.close()
})

test('statistics and metrics tell of what was done', async (t) => {
  const db = await withNotes(join(temporary(t), 'db'))
  await db.compact()
  await db.verify()
  const stats = await db.stats()

  assert.ok(stats.walBytes > 300 * 100, JSON.stringify(stats))
  assert.ok(stats.flushes >= 1 && stats.tableBytes > 0 && stats.openFiles >= 1)
  assert.equal(stats.levelTables.length, stats.levelBytes.length)
  assert.equal(stats.levelBytes.reduce((sum, bytes) => sum + bytes), stats.tableBytes)
  assert.ok(stats.writeAmplification > 1)
  const metrics = await db.metrics()
  assert.match(metrics, /^# HELP flowdb_visible_seqno .*\n# TYPE flowdb_visible_seqno gauge\n/)
  assert.match(metrics, new RegExp(`\nflowdb_flushes_total ${stats.flushes}\n`))
  assert.match(metrics, /\nflowdb_open_files \d+\n/)
  await db.close()
})

test('the types name every statistic and every field of the report', async (t) => {
  const fields = (name) => {
    const page = readFileSync(join(__dirname, '..', 'index.d.ts'), 'utf8')
    const [, body] = new RegExp(`export interface ${name} \\{\\n(.*?)\\n\\}`, 's').exec(page)
    return [...body.matchAll(/^ {2}(\w+): /mg)].map(([, field]) => field).sort()
  }
  const dataDir = join(temporary(t), 'db')
  const db = await withNotes(dataDir, 3)
  assert.deepEqual(Object.keys(await db.stats()).sort(), fields('Stats'))
  await db.close()
  assert.deepEqual(Object.keys(await FlowDB.repair({ dataDir })).sort(), fields('RepairReport'))
})

test('sizes add up, and compaction gives the room of what was deleted back', async (t) => {
  const db = await withNotes(join(temporary(t), 'db'), 2000)
  await db.createObjectStore('others')
  await db.put('others', 'a value', 1)
  await db.compact()
  const [all, notes, others] = [await db.approximateSize(), await db.approximateSize('notes'), await db.approximateSize('others')]
  const low = await db.approximateSize('notes', KeyRange.upperBound(999))
  const high = await db.approximateSize('notes', KeyRange.lowerBound(999, true))
  assert.ok(all > 10_000 && notes > others && notes <= all, `${all} ${notes} ${others}`)
  assert.ok(low > 0 && high > 0 && low + high < notes, `${low} ${high} without the index of ${notes}`)

  await Promise.all(Array.from({ length: 1000 }, (_, id) => db.delete('notes', id)))
  await db.compact('notes', KeyRange.upperBound(999))
  assert.equal(await db.approximateSize('notes', KeyRange.upperBound(900)), 0)
  await db.compact('notes')
  assert.ok(await db.approximateSize('notes') < notes * 0.7)
  assert.equal(await db.count('notes'), 1000)

  await assert.rejects(db.compact('nothing'), { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(db.approximateSize('nothing'), { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(db.compact(undefined, KeyRange.only(1)), { code: 'FLOWDB_INVALID_ARGUMENT', message: /name the store/ })
  await assert.rejects(db.compact(7), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await db.close()
})

test('upkeep does not hold up what is issued later, and a close waits for it', async (t) => {
  const db = await withNotes(join(temporary(t), 'db'), 2000)
  const order = []
  const compacted = db.compact().then(() => order.push('compacted'))
  const put = db.put('notes', note(2000)).then(() => order.push('put'))
  const closed = db.close().then(() => order.push('closed'))
  await Promise.all([compacted, put, closed])

  assert.equal(order.at(-1), 'closed', order.join(', '))
  for (const call of ['verify', 'stats', 'metrics', 'compact', 'approximateSize']) {
    await assert.rejects(db[call](), { code: 'FLOWDB_CLOSED' }, call)
  }
})

test('a reader may verify and count, and may not compact', async (t) => {
  const dataDir = join(temporary(t), 'db')
  await (await withNotes(dataDir, 10)).close()
  const db = FlowDB.open({ dataDir, readOnly: true })
  await db.verify()
  await db.stats()
  await assert.rejects(db.compact(), { code: 'FLOWDB_READ_ONLY' })
  await assert.rejects(db.checkpoint(join(temporary(t), 'copy')), { code: 'FLOWDB_READ_ONLY' })
  await db.close()
})

test('repair opens what has lost its manifest, with every document', async (t) => {
  const dataDir = join(temporary(t), 'db')
  const db = await withNotes(dataDir)
  await db.compact()
  await db.put('notes', note(300))
  await assert.rejects(FlowDB.repair({ dataDir }), { code: 'FLOWDB_LOCKED' })
  await db.close()
  for (const name of readdirSync(dataDir).filter((name) => name.startsWith('MANIFEST') || name === 'CURRENT')) rmSync(join(dataDir, name))
  const broken = FlowDB.open({ dataDir })
  await assert.rejects(broken.ready, { code: 'FLOWDB_CORRUPTION' })
  await broken.close()

  const report = await FlowDB.repair({ dataDir })

  assert.equal(report.manifest, 'lost')
  assert.equal(report.tablesLost + report.tablesSalvaged + report.logsLost, 0)
  const repaired = FlowDB.open({ dataDir })
  assert.equal(await repaired.count('notes'), 301)
  for (const id of [0, 150, 300]) {
    assert.deepEqual(await repaired.get('notes', id), note(id))
    assert.deepEqual(await repaired.getByIndex('notes', 'byText', note(id).text), [note(id)])
  }
  await repaired.verify()
  await repaired.close()
})

test('repair keeps what is whole of a damaged table, and the damaged file', async (t) => {
  const dataDir = join(temporary(t), 'db')
  const db = await withNotes(dataDir, 2000)
  await db.compact()
  await db.close()
  const name = damage(dataDir)

  const report = await FlowDB.repair({ dataDir })

  assert.equal(report.isLossless, false)
  assert.deepEqual(report.filesMoved, [name])
  assert.ok(report.entriesLost > 0 && report.entriesLost < 200 && report.entriesSalvaged > 1500, JSON.stringify(report))
  assert.ok(existsSync(join(dataDir, 'lost', name)))
  const repaired = FlowDB.open({ dataDir })
  await repaired.verify()
  await repaired.close()
  assert.equal((await FlowDB.repair({ dataDir })).isLossless, true)
})

test('repair and destroy of what is not there', async (t) => {
  const folder = temporary(t)
  await assert.rejects(FlowDB.repair({ dataDir: join(folder, 'none') }), { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(FlowDB.repair({ dataDir: folder }), { code: 'FLOWDB_NOT_FOUND' })
  await assert.rejects(FlowDB.repair({ inMemory: true }), { code: 'FLOWDB_UNSUPPORTED' })
  await assert.rejects(FlowDB.repair({}), { code: 'FLOWDB_INVALID_ARGUMENT', message: /^FlowDB\.repair/ })
  await FlowDB.destroy({ dataDir: join(folder, 'none') })
  assert.deepEqual(readdirSync(folder), [])
})

test('destroy removes a database that nobody has open, and nothing else', async (t) => {
  const dataDir = join(temporary(t), 'db')
  const db = await withNotes(dataDir, 3)
  await assert.rejects(FlowDB.destroy({ dataDir }), { code: 'FLOWDB_LOCKED' })
  await db.close()
  writeFileSync(join(dataDir, 'notes.txt'), 'not ours')
  await assert.rejects(FlowDB.destroy({ dataDir, readOnly: true }), { code: 'FLOWDB_READ_ONLY' })
  await FlowDB.destroy({ dataDir })
  assert.deepEqual(readdirSync(dataDir), ['notes.txt'])
  rmSync(join(dataDir, 'notes.txt'))
  await FlowDB.destroy({ dataDir })
  assert.equal(existsSync(dataDir), false)
})

/** Changes a byte in the middle of the largest table, and returns its name. */
function damage (dataDir) {
  const tables = readdirSync(dataDir).filter((name) => name.endsWith('.tbl'))
  const bytes = (name) => readFileSync(join(dataDir, name))
  const largest = tables.sort((a, b) => bytes(a).length - bytes(b).length).at(-1)
  const content = bytes(largest)
  content[Math.floor(content.length / 3)] ^= 0x55
  writeFileSync(join(dataDir, largest), content)
  return largest
}
