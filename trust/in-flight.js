'use strict'

/*
 * How long the event loop stands still while 10,000 puts are in flight: `node trust/in-flight.js [operations]`.
 *
 * Once they are issued in one turn, as a program's own loop does; that turn is told apart, and the others are those in
 * which answers come. Once 10,000 loops put again and again, each when its last put is done. Beside each is what
 * another timer sees, the longest pause for garbage, which is V8's and a part of some turn, and what is seen where
 * nothing is done: a machine that is busy has stalls of its own.
 */

const assert = require('node:assert/strict')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { PerformanceObserver, monitorEventLoopDelay } = require('node:perf_hooks')
const { setTimeout: pause } = require('node:timers/promises')
const { FlowDB } = require('..')
const { longestTurnUntil } = require('../__test__/support')

const OPERATIONS = Number(process.argv[2] ?? 10_000)
const PUTS_OF_A_LOOP = 5
const IDLE_MS = 500
const NS_PER_MS = 1e6

const documentOf = (id) => ({ id, name: `name ${id}`, group: id % 100, text: 'some text that is not long '.repeat(3) })

/** Does something: how long it took, and the longest turn by the thread's own time and by a timer. */
async function measured (work) {
  let gcMs = 0
  const collections = new PerformanceObserver((list) => {
    gcMs = Math.max(gcMs, ...list.getEntries().map(({ duration }) => duration))
  })
  collections.observe({ entryTypes: ['gc'] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  const promise = work()
  const issuedMs = performance.now() - start
  // Begins behind the turn in which it was issued.
  const turnMs = await new Promise((resolve) => setImmediate(resolve)).then(() => longestTurnUntil(promise))
  const ms = performance.now() - start
  delay.disable()
  await pause(1)
  collections.disconnect()
  return { ms, issuedMs, turnMs, timerMs: delay.max / NS_PER_MS, gcMs }
}

function show (what, { ms, issuedMs, turnMs, timerMs, gcMs }) {
  const of = (figure) => figure.toFixed(1).padStart(8)
  console.log(`${what.padEnd(34)}${of(ms)}${of(issuedMs)}${of(turnMs)}${of(timerMs)}${of(gcMs)}`)
}

/** All in one turn. */
const atOnce = (db) => Promise.all(Array.from({ length: OPERATIONS }, (_, id) => db.put('rows', documentOf(id))))

/** As many loops beside each other. */
const inLoops = (db) => Promise.all(Array.from({ length: OPERATIONS }, async (_, id) => {
  for (let n = 0; n < PUTS_OF_A_LOOP; n++) await db.put('rows', documentOf(id + n * OPERATIONS))
}))

async function main () {
  const names = ['all', 'issuing', 'turn', 'timer', 'garbage'].map((name) => name.padStart(8))
  console.log(`${OPERATIONS} puts in flight, in ms`.padEnd(34) + names.join(''))
  show('nothing', await measured(() => pause(IDLE_MS)))
  for (const durability of ['strict', 'relaxed', 'none']) {
    const dataDir = mkdtempSync(join(tmpdir(), 'flowdb-in-flight-'))
    const db = FlowDB.open({ dataDir, durability })
    await db.createObjectStore('rows', 'id')
    await db.createIndex('rows', 'group', 'group')
    await atOnce(db)
    show(`${durability}, in one turn`, await measured(() => atOnce(db)))
    show(`${durability}, again and again`, await measured(() => inLoops(db)))
    assert.equal(await db.count('rows'), OPERATIONS * PUTS_OF_A_LOOP)
    assert.equal(await db.countByIndex('rows', 'group'), OPERATIONS * PUTS_OF_A_LOOP)
    await db.close()
    rmSync(dataDir, { recursive: true })
  }
}

main()
