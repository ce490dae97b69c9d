'use strict'

/*
 * How long iterating over a million entries of `flowdb/level` holds the event loop, and how fast it is, beside
 * classic-level. Both come from the repository's own packages: `npm ci` and `npm run build` before.
 *
 *   node bench/level-iteration.js [entries]
 *
 * The longest turn is the longest time between two callbacks of the loop, on the clock of the thread where the system
 * has one: what other processes take does not count.
 */

const { mkdtempSync, readFileSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')

const ENTRIES = Number(process.argv[2] ?? 1_000_000)
const TOGETHER = 10_000

const value = 'x'.repeat(100)
const keyOf = (number) => String(number).padStart(16, '0')

const ENGINES = {
  flowdb: () => require('../lib/level.js').FlowLevel,
  'classic-level': () => require('classic-level').ClassicLevel
}

const WAYS = {
  'for await': async (db) => {
    let count = 0
    for await (const [key] of db.iterator()) if (key.length > 0) count++
    return count
  },
  'nextv(1000)': async (db) => {
    const iterator = db.iterator()
    let count = 0
    for (let page = await iterator.nextv(1000); page.length > 0; page = await iterator.nextv(1000)) count += page.length
    await iterator.close()
    return count
  },
  'all({ limit: 10,000 })': async (db) => {
    let count = 0
    for (let gt = ''; ;) {
      const rows = await db.iterator({ gt, limit: TOGETHER }).all()
      if (rows.length === 0) return count
      count += rows.length
      gt = rows.at(-1)[0]
    }
  },
  'all({ limit }) of everything': async (db) => (await db.iterator({ limit: ENTRIES }).all()).length
}

/** For how many milliseconds this thread has run. */
function msRun () {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6
  } catch {
    return performance.now()
  }
}

/** What some work gives, in how many milliseconds, and the longest turn of the event loop meanwhile. */
async function measured (work) {
  let isOver = false
  let longest = 0
  let last = msRun()
  const watching = (async () => {
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve))
      const now = msRun()
      longest = Math.max(longest, now - last)
      last = now
    }
  })()
  const start = performance.now()
  const result = await work()
  const ms = performance.now() - start
  isOver = true
  await watching
  return { result, ms, longest }
}

async function fill (db) {
  for (let first = 0; first < ENTRIES; first += TOGETHER) {
    await db.batch(Array.from({ length: TOGETHER }, (_, at) => ({ type: 'put', key: keyOf(first + at), value })))
  }
}

async function main () {
  const folder = mkdtempSync(join(tmpdir(), 'flowdb-bench-level-'))
  try {
    for (const [name, load] of Object.entries(ENGINES)) {
      const db = new (load())(join(folder, name))
      await fill(db)
      for (const [way, work] of Object.entries(WAYS)) {
        const { result, ms, longest } = await measured(() => work(db))
        if (result !== ENTRIES) throw new Error(`${name}, ${way}: ${result} entries`)
        const micros = (ms * 1000 / ENTRIES).toFixed(2)
        console.log(`${name.padEnd(14)} ${way.padEnd(30)} ${micros} µs an entry, longest turn ${longest.toFixed(1)} ms`)
      }
      await db.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

main()
