'use strict'

/*
 * Iterates over a million entries in each way that abstract-level has, and writes how many they were each time, and by
 * how many MiB the memory of the process has grown since they were written. To be run with a small heap.
 */

const { FlowLevel } = require('flowdb/level')

const ENTRIES = 1_000_000
const TOGETHER = 10_000
const MIB = 1024 * 1024

const value = 'x'.repeat(100)
const keyOf = (number) => String(number).padStart(16, '0')

async function fill (db) {
  for (let first = 0; first < ENTRIES; first += TOGETHER) {
    const operations = Array.from({ length: TOGETHER }, (_, at) => ({ type: 'put', key: keyOf(first + at), value }))
    await db.batch(operations)
  }
  await db.compactRange('', '~')
}

/** Each counts the entries that are what and where they should be. */
const WAYS = {
  async forAwait (db) {
    let count = 0
    for await (const [key, found] of db.iterator()) if (key === keyOf(count) && found === value) count++
    return count
  },

  async nextv (db) {
    const iterator = db.iterator()
    let count = 0
    for (let page = await iterator.nextv(1000); page.length > 0; page = await iterator.nextv(1000)) {
      for (const [key, found] of page) if (key === keyOf(count) && found === value) count++
    }
    await iterator.close()
    return count
  },

  async all (db) {
    let count = 0
    for (let gt = ''; ;) {
      const rows = await db.iterator({ gt, limit: TOGETHER }).all()
      if (rows.length === 0) return count
      for (const [key, found] of rows) if (key === keyOf(count) && found === value) count++
      gt = rows.at(-1)[0]
    }
  }
}

async function main () {
  const db = new FlowLevel(process.argv[2], { durability: 'none', memtableSizeMb: 8, blockCacheCapacityMb: 8 })
  await fill(db)
  const before = process.memoryUsage.rss()
  const counts = []
  for (const way of Object.values(WAYS)) counts.push(await way(db))
  const grown = (process.resourceUsage().maxRSS * 1024 - before) / MIB
  await db.close()
  process.stdout.write(JSON.stringify({ counts, grown }))
}

main()
