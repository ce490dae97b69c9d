'use strict'

/*
 * Histories of random transactions between worker threads, while documents expire, an index comes and goes, and what
 * has expired is purged: what the committed ones have seen has to be possible, as history-checker.js says.
 */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { FlowDB } = require('..')
const { anomalyOf } = require('./history-checker')
const { temporary } = require('./support')

const WORKERS = 3
const HISTORIES = Number(process.env.FLOWDB_HISTORIES ?? 1000)
const SEED = Number(process.env.FLOWDB_SEED ?? Date.now() % 1_000_000)

/** So many histories show each thing that there is to be seen. */
const HISTORIES_TELLING = 400

/** The keys of the store `commits` in the order in which they were committed. */
async function placesOf (watch, last) {
  const places = new Map()
  for await (const { key } of watch) {
    if (key === last) return places
    places.set(key, places.size)
  }
  throw new Error('the watch ended too early')
}

/** What each of the workers tells. Where one fails the others would wait for it for ever, so they are ended. */
async function runWorkers (given) {
  const workers = Array.from({ length: given.workers }, (_, number) => {
    return new Worker(join(__dirname, 'programs', 'makes-histories.js'), { workerData: { ...given, number } })
  })
  try {
    return await Promise.all(workers.map((worker) => new Promise((resolve, reject) => {
      worker.on('message', resolve).on('error', reject)
    })))
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

/** Runs the workers: the transactions of each history that committed, and what was counted. */
async function runHistories (t, isolation) {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir, durability: 'none' })
  await db.createObjectStore('items', 'id')
  await db.createIndex('items', 'steady', 'index')
  await db.createObjectStore('commits', 'id')
  const watch = db.watch({ store: 'commits', buffer: 1_000_000 })
  await watch.ready
  const places = placesOf(watch, 'last')
  const shared = new Int32Array(new SharedArrayBuffer(12))
  const given = { dataDir, isolation, shared, workers: WORKERS, histories: HISTORIES, seed: SEED }
  places.catch(() => {})
  const results = await runWorkers(given).finally(() => db.put('commits', { id: 'last' }))
  const order = await places
  await db.close()

  const histories = Array.from({ length: HISTORIES }, (_, history) => results.flatMap(({ all }) => all[history]))
  for (const transaction of histories.flat()) transaction.place = order.get(transaction.id)
  const counts = {}
  for (const result of results) {
    for (const [name, count] of Object.entries(result.counts)) counts[name] = (counts[name] ?? 0) + count
  }
  return { histories, counts, committed: order.size }
}

/** A transaction as the workers note it; its commit is acknowledged before any other begins. */
let clock = 0
const did = (id, place, steps) => ({ id, place, steps, begun: clock++, ended: clock++ })
/** The same, of transactions that run beside each other. */
const beside = (...transactions) => transactions.map((one) => ({ ...one, begun: 0, ended: 1 }))

const at = (now) => ({ from: now, to: now })
const entry = (k, now, by, version, expiresAt) => ({
  kind: 'entry', k, ...at(now), seen: by === null ? null : { by, version, expiresAt }
})
const get = (k, by, now = 0) => ({ kind: 'get', k, seen: by, ...at(now) })
const range = (...seen) => ({ kind: 'range', first: 0, last: 9, seen, ...at(0) })
const index = (n, ...seen) => ({ kind: 'index', first: n, last: n, seen, ...at(0) })
const put = (k, by, { version = 1, n = 0, now = 0, expiresAt } = {}) => ({
  kind: 'put', k, n, by, ...at(now), expires: expiresAt === undefined ? null : [expiresAt, expiresAt],
  isMoment: true, then: entry(k, now, by, version, expiresAt)
})
const touch = (k, now, by, version, expiresAt) => ({
  kind: 'touch', k, ...at(now), was: true, expires: [expiresAt, expiresAt], isMoment: true,
  then: entry(k, now, by, version, expiresAt)
})
/** Whether there is an anomaly at each isolation. */
const found = (history) => ['serializable', 'snapshot'].map((isolation) => anomalyOf(history, isolation) !== undefined)
const [NONE, AT_SERIALIZABLE, ALWAYS] = [[false, false], [true, false], [true, true]]

test('the checker tells serial histories, write skew, lost updates, torn and stale reads and phantoms apart', () => {
  const serial = [did('a', 0, [get(1, null), put(1, 'a')]), did('b', 1, [get(1, 'a'), put(2, 'b')])]
  assert.deepEqual(found(serial), NONE)
  const skew = beside(did('a', 0, [get(2, null), put(1, 'a')]), did('b', 1, [get(1, null), put(2, 'b')]))
  assert.deepEqual(found(skew), AT_SERIALIZABLE)
  const lost = beside(did('a', 0, [get(1, null), put(1, 'a')]), did('b', 1, [get(1, null), put(1, 'b')]))
  assert.deepEqual(found(lost), ALWAYS)
  const torn = beside(did('a', 0, [put(1, 'a'), put(2, 'a2')]), did('b', undefined, [get(1, 'a'), get(2, null)]))
  assert.deepEqual(found(torn), ALWAYS)
  const stale = [did('a', 0, [put(1, 'a')]), did('b', undefined, [get(1, null)])]
  assert.deepEqual(found(stale), ALWAYS)
  assert.deepEqual(found(beside(...stale)), NONE)
  const phantom = beside(did('a', 0, [put(1, 'a', { n: 3 })]), did('b', undefined, [range('a'), index(3)]))
  assert.deepEqual(found(phantom), ALWAYS)
  const moved = [did('a', 0, [put(1, 'a', { n: 3 })]), did('b', 1, [put(1, 'b', { n: 4, version: 2 }), index(3), index(4, 'b')])]
  assert.deepEqual(found(moved), NONE)
  assert.deepEqual(found([did('b', undefined, [get(1, 'aborted')])]), ALWAYS)
})

test('the checker lets documents expire at their moment, and versions begin anew then', () => {
  const cart = did('a', 0, [put(1, 'a', { expiresAt: 10 })])
  const seenAt = (now, by) => found([cart, did('b', undefined, [get(1, by, now)])])
  assert.deepEqual([seenAt(9, 'a'), seenAt(9, null), seenAt(10, 'a'), seenAt(10, null)], [NONE, ALWAYS, ALWAYS, NONE])
  const during = (by) => found([cart, did('b', undefined, [{ ...get(1, by), from: 9, to: 10 }])])
  assert.deepEqual([during('a'), during(null), during('b')], [NONE, NONE, ALWAYS])

  const replaced = (now, version) => found([cart, did('b', 1, [put(1, 'b', { now, version })])])
  assert.deepEqual([replaced(9, 1), replaced(9, 2), replaced(10, 1), replaced(10, 2)], [ALWAYS, NONE, NONE, ALWAYS])

  const touched = did('b', 1, [touch(1, 5, 'a', 1, 20)])
  const seenThen = (now, by) => found([cart, touched, did('c', undefined, [get(1, by, now)])])
  assert.deepEqual([seenThen(10, 'a'), seenThen(10, null), seenThen(20, null)], [NONE, ALWAYS, NONE])
  assert.deepEqual(found([cart, did('b', 1, [touch(1, 10, 'a', 1, 20)])]), ALWAYS)
  const steps = (expiresAt) => [entry(1, 5, 'a', 1, 10), touch(1, 5, 'a', 1, expiresAt)]
  const both = (expiresAt) => found(beside(cart, touched, did('c', 2, steps(expiresAt))))
  assert.deepEqual([both(30), both(10)], [ALWAYS, AT_SERIALIZABLE], 'the same expiry again is no write')
  assert.deepEqual(found(beside(cart, touched, did('c', 2, [get(1, null, 10), put(2, 'c')]))), AT_SERIALIZABLE)
})

for (const isolation of ['serializable', 'snapshot']) {
  test(`histories of worker threads have no anomaly that ${isolation} isolation forbids`, async (t) => {
    t.diagnostic(`FLOWDB_SEED=${SEED}`)
    const { histories, counts, committed } = await runHistories(t, isolation)

    const seen = { expired: 0, unsure: 0 }
    for (const [number, history] of histories.entries()) {
      const anomaly = anomalyOf(history, isolation, seen)
      assert.equal(anomaly, undefined, `history ${number}: ${JSON.stringify({ anomaly, history })}`)
    }
    const all = histories.flat()
    const isWriter = ({ steps }) => steps.some(({ kind }) => ['put', 'touch', 'delete'].includes(kind))
    assert.equal(all.filter(isWriter).length, committed, 'what was committed is not what was acknowledged')
    const skewed = histories.filter((history) => anomalyOf(history, 'serializable') !== undefined).length
    t.diagnostic(`${histories.length} histories: ${all.length} of ${counts.tried} transactions committed, ` +
      `${skewed} histories have write skew; ${JSON.stringify({ ...counts, ...seen })}`)

    // Otherwise nothing would have been shown.
    if (HISTORIES < HISTORIES_TELLING) return
    assert.ok(all.length < counts.tried, 'no transaction conflicted')
    for (const [name, count] of Object.entries({ ...counts, ...seen })) assert.ok(count > 0, `none was ${name}`)
    if (isolation === 'snapshot') assert.ok(skewed > 0, 'no write skew at all')
  })
}
