'use strict'

/*
 * A checker of histories between worker threads: what the committed transactions have read and written, as a graph.
 *
 * Each write of a document has its version, so their order is known. From one transaction to another leads an edge
 * where the one wrote what the other overwrote (ww) or read (wr), or read what the other overwrote (rw). A history can
 * be put in a serial order just where no way leads back to where it began; at snapshot isolation such a way has two rw
 * edges in succession (write skew), and so none has a single one.
 */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { FlowDB } = require('..')
const { temporary } = require('./support')

const WORKERS = 3
const HISTORIES = Number(process.env.FLOWDB_HISTORIES ?? 400)
const SEED = Number(process.env.FLOWDB_SEED ?? Date.now() % 1_000_000)

/**
 * The edges of a history, by the transaction that they lead away from.
 *
 * A transaction is `{ id, reads: [[key, id of the writer]], writes: [[key, version]] }`; a document that is not there
 * was written by nobody, in version 0.
 */
function edgesOf (transactions) {
  const writers = new Map()
  const versions = new Map()
  for (const { id, writes } of transactions) {
    for (const [key, version] of writes) {
      assert.equal(writers.get(`${key} ${version}`), undefined, `two wrote version ${version} of ${key}`)
      writers.set(`${key} ${version}`, id)
      versions.set(`${key} ${id}`, version)
    }
  }
  const edges = new Map(transactions.map(({ id }) => [id, []]))
  const add = (from, to, kind) => {
    if (from !== undefined && to !== undefined && from !== to) edges.get(from).push({ to, kind })
  }
  for (const { id, reads, writes } of transactions) {
    for (const [key, version] of writes) add(id, writers.get(`${key} ${version + 1}`), 'ww')
    for (const [key, writer] of reads) {
      if (writer === id) continue
      const version = writer === null ? 0 : versions.get(`${key} ${writer}`)
      assert.notEqual(version, undefined, `${id} read of ${key} what ${writer} had not committed`)
      add(writer ?? undefined, id, 'wr')
      add(id, writers.get(`${key} ${version + 1}`), 'rw')
    }
  }
  return edges
}

/** Whether a way leads from one transaction to another along edges of these kinds. */
function leadsTo (edges, from, goal, kinds) {
  const seen = new Set()
  const ahead = [from]
  for (let at = ahead.pop(); at !== undefined; at = ahead.pop()) {
    if (at === goal) return true
    if (seen.has(at)) continue
    seen.add(at)
    for (const { to, kind } of edges.get(at)) if (kinds.includes(kind)) ahead.push(to)
  }
  return false
}

/** The first edge of a way that leads back to where it began and should not be, or `undefined`. */
function anomalyOf (transactions, isolation) {
  const edges = edgesOf(transactions)
  const kinds = isolation === 'serializable' ? ['ww', 'wr', 'rw'] : ['ww', 'wr']
  for (const [from, all] of edges) {
    for (const edge of all) if (leadsTo(edges, edge.to, from, kinds)) return { from, ...edge }
  }
  return undefined
}

test('the checker tells serial histories, write skew and lost updates apart', () => {
  const serial = [
    { id: 'a', reads: [[1, null]], writes: [[1, 1]] },
    { id: 'b', reads: [[1, 'a']], writes: [[2, 1]] }
  ]
  const skew = [
    { id: 'a', reads: [[1, null], [2, null]], writes: [[1, 1]] },
    { id: 'b', reads: [[1, null], [2, null]], writes: [[2, 1]] }
  ]
  const lost = [
    { id: 'a', reads: [[1, null]], writes: [[1, 1]] },
    { id: 'b', reads: [[1, null]], writes: [[1, 2]] }
  ]
  const torn = [
    { id: 'a', reads: [], writes: [[1, 1], [2, 1]] },
    { id: 'b', reads: [[1, 'a'], [2, null]], writes: [] }
  ]
  const found = (history) => ['serializable', 'snapshot'].map((isolation) => anomalyOf(history, isolation) !== undefined)

  assert.deepEqual(found(serial), [false, false])
  assert.deepEqual(found(skew), [true, false])
  assert.deepEqual(found(lost), [true, true])
  assert.deepEqual(found(torn), [true, true])
  assert.throws(() => anomalyOf([{ id: 'b', reads: [[1, 'aborted']], writes: [] }], 'snapshot'), /had not committed/)
})

/** The transactions of each history that committed. */
async function historiesOf (t, isolation) {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir, durability: 'none' })
  await db.createObjectStore('items', 'id')
  await db.createIndex('items', 'n', ['history', 'n'])
  const barrier = new Int32Array(new SharedArrayBuffer(8))
  const workers = Array.from({ length: WORKERS }, (_, number) => new Worker(join(__dirname, 'programs', 'makes-histories.js'), {
    workerData: { dataDir, isolation, barrier, number, workers: WORKERS, histories: HISTORIES, seed: SEED }
  }))
  const gathered = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
    worker.on('message', resolve).on('error', reject)
  })))
  await db.close()
  return Array.from({ length: HISTORIES }, (_, history) => gathered.flatMap((all) => all[history]))
}

for (const isolation of ['serializable', 'snapshot']) {
  test(`histories of worker threads have no anomaly that ${isolation} isolation forbids`, async (t) => {
    t.diagnostic(`FLOWDB_SEED=${SEED}`)
    const histories = await historiesOf(t, isolation)
    const committed = histories.flat().length
    for (const [number, history] of histories.entries()) {
      const anomaly = anomalyOf(history, isolation)
      assert.equal(anomaly, undefined, `history ${number}: ${JSON.stringify({ anomaly, history })}`)
    }
    const skewed = histories.filter((history) => anomalyOf(history, 'serializable') !== undefined).length
    t.diagnostic(`${committed} transactions committed, ${skewed} histories have write skew`)
    // Otherwise they would not have been concurrent, and nothing would have been shown.
    if (isolation === 'snapshot') assert.ok(skewed > 0 || HISTORIES < 400, 'no write skew at all')
  })
}
