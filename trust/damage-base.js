'use strict'

/*
 * A database that is to be damaged: every kind of file, tables on several levels, overwritten and deleted documents,
 * values in value files, and writes that are only in the log. And everything that can be read of it, to be held to what
 * there is.
 */

const assert = require('node:assert/strict')
const { FlowDB } = require('..')
const { gathered, randomSource } = require('../__test__/support')

const ROWS = 300
const GROUPS = 9
const RECORDS = 60
const SETTINGS = {
  autoBackground: false, memtableSizeMb: 1 / 32, tableSizeMb: 1 / 64, levelSizeMb: 1 / 16, blockSize: 1024,
  compactionThreshold: 2,
  valueThresholdBytes: 1500, valueFileSizeMb: 1 / 32, blockCacheCapacityMb: 1
}

/** Letters that are not compressed away. */
const textOf = (random, length) => Array.from({ length: length / 6 }, () => random.next().toString(36)).join('')

/** Makes the database in a folder, and gives what there is in it. */
async function makeDatabase (dataDir, seed) {
  const random = randomSource(seed)
  const db = FlowDB.open({ ...SETTINGS, dataDir })
  await db.createObjectStore('rows', 'id')
  await db.createIndex('rows', 'tag', 'tag', true)
  await db.createIndex('rows', 'group', ['group', 'id'])
  const rows = new Map()
  const put = async (id, age) => {
    const text = textOf(random, random.below(8) === 0 ? 2500 : 30 + random.below(200))
    const row = { id, age, tag: `${id}/${age}`, group: (id + age) % GROUPS, text }
    await db.put('rows', row)
    rows.set(id, row)
  }
  const remove = (id) => {
    rows.delete(id)
    return db.delete('rows', id)
  }
  for (let id = 0; id < ROWS; id++) await put(id, 1)
  await db.compact()
  for (let n = 0; n < ROWS; n++) await (n % 5 === 0 ? remove(random.below(ROWS)) : put(random.below(ROWS), 2 + n))
  await db.delete('rows', { gte: 100, lt: 110 })
  for (let id = 100; id < 110; id++) rows.delete(id)
  const series = db.series('records')
  const records = Array.from({ length: RECORDS }, (_, n) => ({ key: n % 3, ts: 1000 + n, value: { n } }))
  await series.appendMany(records)
  for (let n = 0; n < 12; n++) await put(random.below(ROWS), 1000 + n)
  await db.close()
  return {
    rows: [...rows.values()].sort((a, b) => a.id - b.id),
    records: records.sort((a, b) => a.key - b.key || a.ts - b.ts)
  }
}

/** Every way of reading, each with what it has to give. */
function * readings (db, { rows, records }, random) {
  const byId = new Map(rows.map((row) => [row.id, row]))
  const sorted = (compare) => [...rows].sort(compare)
  yield ['getAll', () => db.getAll('rows'), rows]
  yield ['scan in reverse', () => gathered(db.scan('rows', null, { reverse: true })), [...rows].reverse()]
  yield ['count', () => db.count('rows'), rows.length]
  yield ['keys', () => db.getAllKeys('rows'), rows.map(({ id }) => id)]
  yield ['unique index', () => db.getAllByIndex('rows', 'tag'), sorted((a, b) => a.tag < b.tag ? -1 : 1)]
  yield ['compound index', () => db.getAllByIndex('rows', 'group'), sorted((a, b) => a.group - b.group || a.id - b.id)]
  yield ['count of an index', () => db.countByIndex('rows', 'group'), rows.length]
  yield ['many gets', () => db.getMany('rows', Array.from({ length: ROWS }, (_, id) => id)), Array.from({ length: ROWS }, (_, id) => byId.get(id))]
  yield ['series', () => db.series('records').getAll(), records]
  yield ['stores', () => db.storeNames(), ['rows']]
  for (let n = 0; n < 20; n++) {
    const id = random.below(ROWS)
    yield [`get ${id}`, () => db.get('rows', id), byId.get(id)]
    const row = rows[random.below(rows.length)]
    yield [`tag ${row.tag}`, () => db.getByIndex('rows', 'tag', row.tag), [row]]
    const group = random.below(GROUPS)
    yield [`group ${group}`, () => db.getByIndex('rows', 'group', [group, id]), byId.get(id)?.group === group ? [byId.get(id)] : []]
  }
}

/**
 * Opens and reads everything. Gives `right`; `corruption` where the opening or a reading told of it and every other
 * one was right; or what is wrong.
 */
async function readDamaged (dataDir, expected, random) {
  const db = FlowDB.open({ ...SETTINGS, dataDir, readOnly: random.below(2) === 0 })
  const told = []
  try {
    await db.ready
    for (const [what, read, right] of readings(db, expected, random)) await hold(what, read, right, told)
    const isVerified = await db.verify().then(() => true, (error) => refusalOf('verify', error, told))
    if (isVerified === true && told.length > 0) throw new Error(`verify found nothing, and ${told[0]} did`)
  } catch (error) {
    if (error.code === 'FLOWDB_CORRUPTION') return 'corruption'
    return `${error.code ?? ''} ${error.message.slice(0, 500)}`
  } finally {
    await db.close().catch(() => {})
  }
  return told.length === 0 ? 'right' : 'corruption'
}

/** A reading gives what is right or tells of the damage. */
async function hold (what, read, right, told) {
  let found
  try {
    found = await read()
  } catch (error) {
    return refusalOf(what, error, told)
  }
  try {
    assert.deepStrictEqual(found, right)
  } catch {
    throw new Error(`${what} was wrong in silence: ${differenceOf(found, right)}`)
  }
}

function refusalOf (what, error, told) {
  if (error.code !== 'FLOWDB_CORRUPTION') throw new Error(`${what} failed with ${error.stack}`)
  told.push(what)
}

function differenceOf (found, right) {
  const text = (value) => JSON.stringify(value)?.slice(0, 100)
  if (!Array.isArray(found) || !Array.isArray(right)) return `${text(found)}, not ${text(right)}`
  const at = Array.from({ length: Math.max(found.length, right.length) }, (_, index) => index)
    .find((index) => text(found[index]) !== text(right[index]))
  return `${found.length} in place of ${right.length}; at ${at} ${text(found[at])}, not ${text(right[at])}`
}

module.exports = { makeDatabase, readDamaged }
