'use strict'

/*
 * Writes, reads, scans and deletes at full speed for some seconds, in a bounded range of keys, and prints as JSON what
 * that took: of memory beyond what the first moment took, without V8's heap, and of the disk.
 */

const assert = require('node:assert/strict')
const { readdirSync, statSync } = require('node:fs')
const { join } = require('node:path')
const { FlowDB } = require('../..')
const { randomSource } = require('../../__test__/support')

const [dataDir, seconds, memtableSizeMb, blockCacheCapacityMb, seed] = process.argv.slice(2)
const KEYS = 20_000
const DOCUMENTS_OF_A_WRITE = 20
const KEYS_OF_A_READ = 50
const SCANNED = 500
const DELETED_MAX = 100
const SAMPLE_MS = 100
const MIB = 1024 * 1024

const random = randomSource(Number(seed))

function nativeBytes () {
  const { rss, heapTotal, external } = process.memoryUsage()
  return rss - heapTotal - external
}

/** Files come and go while they are counted. */
function diskBytes () {
  const sizes = readdirSync(dataDir).map((name) => statSync(join(dataDir, name), { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Letters, of which what is drawn is not compressed away; one in twenty is long enough for a value file. */
function newDocument () {
  const length = random.below(20) === 0 ? 1200 : 10 + random.below(100)
  const text = Array.from({ length }, () => random.next().toString(36)).join('')
  return { id: random.below(KEYS), group: random.below(100), text }
}

/** What is done again and again, beside each other, and by how many. Each gives how many documents it has met. */
const WORK = {
  write: [3, async (db) => {
    await db.putMany('rows', Array.from({ length: DOCUMENTS_OF_A_WRITE }, newDocument))
    return DOCUMENTS_OF_A_WRITE
  }],
  read: [2, async (db) => {
    await db.getMany('rows', Array.from({ length: KEYS_OF_A_READ }, () => random.below(KEYS)))
    return KEYS_OF_A_READ + (await db.getAllByIndex('rows', 'group', random.below(100), 20)).length
  }],
  scan: [1, async (db) => {
    let met = 0
    for await (const { id } of db.scan('rows', { gte: random.below(KEYS) })) {
      assert.ok(id < KEYS)
      if (++met === SCANNED) break
    }
    return met
  }],
  delete: [1, async (db) => {
    const gte = random.below(KEYS)
    return await db.delete('rows', { gte, lt: gte + 1 + random.below(DELETED_MAX) })
  }]
}

/** Does all the work until a moment, looking now and then at memory and disk. */
async function workUntil (db, end) {
  const met = Object.fromEntries(Object.keys(WORK).map((name) => [name, 0]))
  const peaks = { native: 0, disk: 0 }
  const sample = () => {
    peaks.native = Math.max(peaks.native, nativeBytes())
    peaks.disk = Math.max(peaks.disk, diskBytes())
  }
  const sampler = setInterval(sample, SAMPLE_MS)
  const loops = Object.entries(WORK).flatMap(([name, [loops, work]]) => Array.from({ length: loops }, async () => {
    while (performance.now() < end) met[name] += await work(db)
  }))
  await Promise.all(loops)
  clearInterval(sampler)
  sample()
  return { met, peaks }
}

async function main () {
  const db = FlowDB.open({
    dataDir, durability: 'relaxed', memtableSizeMb: Number(memtableSizeMb), blockCacheCapacityMb: Number(blockCacheCapacityMb)
  })
  await db.createObjectStore('rows', 'id')
  await db.createIndex('rows', 'group', 'group')
  await workUntil(db, performance.now() + 300)
  const before = nativeBytes()
  const { met, peaks } = await workUntil(db, performance.now() + Number(seconds) * 1000)

  const documents = await db.getAll('rows')
  assert.equal(await db.count('rows'), documents.length)
  assert.equal(await db.countByIndex('rows', 'group'), documents.length)
  const liveBytes = documents.reduce((sum, document) => sum + JSON.stringify(document).length, 0)
  await db.close()
  const mib = (bytes) => Math.ceil(bytes / MIB)
  process.stdout.write(JSON.stringify({
    met, nativeMib: mib(peaks.native - before), diskMib: mib(peaks.disk), liveMib: mib(liveBytes),
    documents: documents.length
  }))
}

main()
