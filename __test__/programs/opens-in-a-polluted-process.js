'use strict'

/* Works where Object.prototype has a property for every option that there is, which changes nothing. */

const assert = require('node:assert/strict')
const { FlashStore, FlowDB } = require('../..')

const [dataDir] = process.argv.slice(2)

/** What somebody else's code has left, by a merge of JSON for instance. */
const LEFT = {
  unique: true, multiEntry: true, autoIncrement: true, keyPath: 'polluted', defaultTtl: 1, ttl: 1, expiresAt: 1, ifAbsent: true,
  ifVersion: 9, limit: 1, offset: 1, reverse: true, durability: 'none', isolation: 'snapshot', retries: 0, readOnly: true,
  createIfMissing: false, inMemory: true, salvage: true, valueEncoding: 'json', retention: 1, values: false, oldValues: true,
  buffer: 1, overflow: 'drop-oldest', stores: [], direction: 'prev', index: 'polluted', range: 1, gt: 100, gte: 100, lt: 0,
  lte: 0, prefix: 'x', key: 'polluted', from: 1e9, to: -1, version: 7, dataDir: '/nowhere', syncIntervalMs: 1,
  walSyncMode: 'never', signal: AbortSignal.abort()
}

async function main () {
  Object.assign(Object.prototype, LEFT)
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('rows', { keyPath: 'id' })
  await db.createObjectStore('others', 'id')
  await db.createIndex('rows', 'group', 'group', {})
  const rows = [1, 2, 3].map((id) => ({ id, group: 1 }))
  for (const row of rows) await db.put('rows', row, {})
  assert.deepEqual(await db.getAll('rows', undefined, {}), rows)
  assert.deepEqual(await db.getAll('rows', { gte: 2 }), rows.slice(1))
  assert.deepEqual(await db.getByIndex('rows', 'group', 1), rows)
  assert.deepEqual(await db.query('rows').where({ group: 1 }).toArray(), rows)
  await db.update(['rows', 'others'], async (tx) => tx.put('others', { id: (await tx.getAll('rows')).length }), {})
  assert.deepEqual(await db.getAll('others'), [{ id: 3 }])
  const visited = []
  for await (const cursor of db.cursor('rows', {})) visited.push(cursor.primaryKey)
  assert.deepEqual(visited, [1, 2, 3])
  const series = db.series('records', {})
  await series.append('a', 1, { ts: 5 })
  assert.equal((await series.getAll({})).length, 1)
  const watch = db.watch({ store: 'rows', buffer: 100 })
  await watch.ready
  await db.delete('rows', 1)
  assert.equal((await watch.next()).done, false)
  await watch.return()
  await db.close()

  const store = new FlashStore({ dataDir: `${dataDir}/entries` })
  await store.set('a', new Map([[1, 2]]), {})
  await store.set('b', 2)
  assert.deepEqual(await store.getAllEntries({}), [['a', new Map([[1, 2]])], ['b', 2]])
  await store.close()
  for (const name of Object.keys(LEFT)) delete Object.prototype[name]
  process.stdout.write('as ever')
}

main()
