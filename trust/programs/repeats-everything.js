'use strict'

/*
 * Does operations of every kind again and again on the same keys, in rounds, and prints as JSON what is held behind
 * each round, garbage collected: by the heap, by buffers outside of it, by the process, and by the database itself.
 */

const { join } = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { FlashStore, FlashStoreSync, FlowDB } = require('../..')
const { FlowLevel } = require('../../lib/level')
const { collectGarbage, randomSource } = require('../../__test__/support')

const [folder, seed, rounds, operationsOfARound] = process.argv.slice(2)
const KEYS = 500
const SIDE_BY_SIDE = 50
const SETTINGS = { durability: 'none', memtableSizeMb: 1, blockCacheCapacityMb: 2, walSegmentSizeMb: 1, tableSizeMb: 1 }
const random = randomSource(Number(seed))
const ignore = () => {}

const anyKey = () => random.below(KEYS)
const documentOf = (id) => ({ id, group: id % 10, text: 'text '.repeat(random.below(40)) })
const refused = (promise) => promise.then(() => { throw new Error('it was not refused') }, ignore)

/** A transaction that is left to itself, and the database that it is of. */
function forgetOne (db) {
  db.transaction('rows', 'readwrite').put('rows', documentOf(anyKey()))
}

/** Every kind of operation on documents, entries, a map and a level; each one call, or few. */
const kindsOn = ({ db, store, map, level }) => ({
  put: () => db.put('rows', documentOf(anyKey())),
  putMany: () => db.putMany('rows', [documentOf(1), documentOf(2)]),
  get: () => db.get('rows', anyKey()),
  getMany: () => db.getMany('rows', [anyKey(), anyKey()]),
  has: () => db.has('rows', anyKey()),
  delete: () => db.delete('rows', anyKey()),
  deleteRange: () => db.delete('rows', { gte: 490, lt: 495 }),
  modify: () => db.modify('rows', anyKey(), (document) => document),
  patch: () => db.patch('rows', anyKey(), { group: 3 }),
  getByIndex: () => db.getAllByIndex('rows', 'group', 3, 5),
  count: () => db.count('rows'),
  query: () => db.query('rows').where({ group: 4 }).limit(3).toArray(),
  async scan () {
    for await (const { id } of db.scan('rows')) if (id > 20) break
  },
  scanForgotten: () => db.scan('rows').next(),
  async cursor () {
    for await (const cursor of db.cursor('rows', { range: { lt: 3 } })) await cursor.update(cursor.value).catch(ignore)
  },
  update: () => db.update('rows', async (tx) => tx.put('rows', await tx.get('rows', 1) ?? documentOf(1))),
  view: () => db.view('rows', (tx) => tx.count('rows')),
  async abort () {
    const tx = db.transaction('rows', 'readwrite')
    tx.put('rows', documentOf(anyKey()))
    await tx.abort()
  },
  transactionForgotten: async () => forgetOne(db),
  async watch () {
    const watch = db.watch({ store: 'rows' })
    await watch.ready
    await watch.return()
  },
  refusedKey: () => refused(db.get('rows', NaN)),
  refusedDocument: () => refused(db.put('rows', { id: 1, x: 1n })),
  refusedStore: () => refused(db.get(`no store ${random.below(5)}`, 1)),
  refusedThere: async () => {
    await db.put('rows', documentOf(KEYS))
    await refused(db.add('rows', documentOf(KEYS)))
  },
  append: () => db.series('records').append('key', 1, { ts: 1 + anyKey() }),
  latest: () => db.series('records').latest('key'),
  set: () => store.set(anyKey(), { text: 'x'.repeat(random.below(200)) }),
  setMap: () => store.set(anyKey(), new Map([[1, new Date()]])),
  getEntry: () => store.get(anyKey()),
  getSync: async () => store.getSync(anyKey()),
  setSync: async () => store.setSync(anyKey(), 1),
  incr: () => store.incr('number'),
  atomic: () => store.atomic().set(anyKey(), 1).sum('sum', 1).commit(),
  namespace: () => store.namespace('other').set(anyKey(), 1),
  getOrSet: () => store.getOrSet(anyKey(), () => 1),
  popFirst: () => store.popFirst(),
  mapSet: async () => map.set(anyKey(), { x: anyKey() }),
  mapDelete: async () => map.delete(anyKey()),
  levelPut: () => level.put(String(anyKey()), 'value'),
  levelGet: () => level.get(String(anyKey())),
  levelIterator: () => level.iterator({ limit: 5 }).all(),
  levelBatch: () => level.batch().put('x', 'y').del('x').write()
})

/** What is opened and closed, which is done less often. */
const openings = {
  database: async () => {
    const db = FlowDB.open({ inMemory: true })
    await db.createObjectStore('rows', 'id')
    await db.close()
  },
  refused: () => refused(FlowDB.open({ dataDir: join(folder, 'none'), createIfMissing: false }).ready),
  forgotten: async () => { new FlashStore({ inMemory: true }).set(1, 1).catch(ignore) }
}

/** What is held when all garbage is gone. */
async function held ({ db }) {
  for (let turn = 0; turn < 10; turn++) {
    collectGarbage()
    await pause(10)
  }
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage()
  const { snapshots, openFiles, pinnedBytes } = await db.stats()
  const handles = process.getActiveResourcesInfo().length
  return { heapUsed, external, arrayBuffers, rss, snapshots, openFiles, pinnedBytes, handles }
}

async function main () {
  const at = (name) => ({ ...SETTINGS, dataDir: join(folder, name) })
  const db = FlowDB.open(at('documents'))
  await db.createObjectStore('rows', 'id')
  await db.createIndex('rows', 'group', 'group')
  const level = new FlowLevel(join(folder, 'level'), { ...SETTINGS })
  await level.open()
  const opened = { db, store: new FlashStore(at('entries')), map: await FlashStoreSync.open(at('map')), level }
  const kinds = Object.values(kindsOn(opened))
  let operations = 0
  const work = async (count) => {
    for (let left = count; left > 0; left -= SIDE_BY_SIDE) {
      await Promise.all(Array.from({ length: SIDE_BY_SIDE }, () => kinds[operations++ % kinds.length]()))
      if (operations % 5000 < SIDE_BY_SIDE) await Promise.all(Object.values(openings).map((open) => open()))
    }
    await Promise.all([opened.map.flush(), db.compact()])
  }
  const found = []
  for (let round = 0; round < Number(rounds); round++) {
    await work(Number(operationsOfARound))
    found.push(await held(opened))
  }
  await Promise.all([db.close(), opened.store.close(), opened.map.close(), level.close()])
  process.stdout.write(JSON.stringify({ operations, kinds: kinds.length, rounds: found }))
}

main()
