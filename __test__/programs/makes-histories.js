'use strict'

/*
 * A worker thread that runs random transactions beside others and tells what those that committed have read and
 * written, as __test__/histories.test.js wants it. All workers begin each history together.
 */

const { parentPort, workerData } = require('node:worker_threads')
const { FlowDB, KeyRange } = require('../..')

const IDS = 5
const TRANSACTIONS = 3

const { dataDir, isolation, barrier, number, workers, histories, seed } = workerData

let state = seed * workers + number + 1
function random (end) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor(state / 2 ** 32 * end)
}

/** Waits until every worker is here. */
function meet () {
  const round = Atomics.load(barrier, 1)
  if (Atomics.add(barrier, 0, 1) + 1 === workers) {
    Atomics.store(barrier, 0, 0)
    Atomics.add(barrier, 1, 1)
    Atomics.notify(barrier, 1)
  } else {
    Atomics.wait(barrier, 1, round)
  }
}

async function run (db, history, id) {
  const tx = db.transaction('items', 'readwrite', { isolation })
  const [reads, writes] = [[], new Map()]
  const keyOf = (k) => [history, k]
  const note = (k, document) => reads.push([k, document?.by ?? null])
  for (let step = 0; step < 2 + random(3); step++) {
    const k = random(IDS)
    // What is written twice would have one version more than anybody else sees.
    switch (random(writes.has(k) ? 3 : 4)) {
      case 0:
        note(k, await tx.get('items', keyOf(k)))
        break
      case 1: {
        const [from, to] = [Math.min(k, random(IDS)), k]
        const found = new Map((await tx.getAll('items', KeyRange.bound(keyOf(from), keyOf(to)))).map((one) => [one.id[1], one]))
        for (let at = from; at <= to; at++) note(at, found.get(at))
        break
      }
      case 2:
        for (const one of await tx.rangeByIndex('items', 'n', [history, k], [history, k + 2])) note(one.id[1], one)
        break
      default:
        await tx.put('items', { id: keyOf(k), history, n: random(IDS), by: id })
        writes.set(k, (await tx.getEntry('items', keyOf(k))).version)
    }
  }
  try {
    await tx.commit()
  } catch (error) {
    if (error.code !== 'FLOWDB_CONFLICT') throw error
    return []
  }
  return [{ id, reads, writes: [...writes] }]
}

async function main () {
  const db = FlowDB.open({ dataDir, durability: 'none' })
  await db.ready
  const all = []
  for (let history = 0; history < histories; history++) {
    meet()
    const committed = []
    for (let turn = 0; turn < TRANSACTIONS; turn++) committed.push(...await run(db, history, `${number}.${turn}`))
    all.push(committed)
  }
  await db.close()
  parentPort.postMessage(all)
}

main()
