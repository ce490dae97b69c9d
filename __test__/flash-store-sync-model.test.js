'use strict'

/*
 * Random sequences of calls on a FlashStoreSync and on a Map: they give the same, step by step, and the same comes
 * back after a reopening. After a crash there is what the Map had at some moment, in its order: not before the last
 * flush, where nothing that was synced was lost.
 *
 * A crash is a copy of the directory in the middle of writing; a torn tail is one whose log is cut at any byte.
 */

const assert = require('node:assert/strict')
const { copyFileSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStoreSync } = require('..')
const { randomSource, seedOf, temporary } = require('./support')

const SEQUENCES = Number(process.env.FLOWDB_SEQUENCES ?? 20_000)
/** So many of them follow each other in one directory. */
const SEQUENCES_PER_FOLDER = 250
const FOLDERS_AT_A_TIME = 4
const CALLS_MAX = 12

/** It is synced before the first record is written, so no crash takes it. */
const LOG_HEADER_BYTES = 52

const KEYS = [0, 1, 2, NaN, 'a', 'b', 'c', '', null, undefined, true, 5n, -0]

const VALUES = [
  (n) => n, (n) => `text ${n}`, () => undefined, () => null, (n) => ({ n, list: [n, 'x'] }), (n) => [NaN, n], (n) => BigInt(n),
  (n) => new Map([[n, new Date(n)]]), (n) => 'x'.repeat(n % 3000), () => -0
]

/** What tells states of a map apart, order included. */
const stateOf = (map) => JSON.stringify([...map], (_key, value) => {
  if (typeof value === 'bigint' || value === undefined || Number.isNaN(value)) return `${typeof value} ${value}`
  if (Object.is(value, -0)) return 'minus zero'
  return value instanceof Map ? ['Map', ...value] : value
})

/** A store and the Map that it has to be like. */
class Pair {
  /** The states that the map has had, oldest first, each with the number of its moment. */
  moments = new Map()
  moment = 0
  flushed = 0

  constructor (t, random) {
    this.random = random
    this.t = t
    this.map = new Map()
    this.durability = random.pick(['strict', 'relaxed', 'none'])
    this.move(temporary(t))
  }

  /** Goes on in a folder, with what its map has. */
  move (folder) {
    this.folder = folder
    this.store = this.open(folder)
    this.moments.clear()
    this.note()
    this.flushed = this.moment
  }

  open (dataDir) {
    return new FlashStoreSync({ dataDir, durability: this.durability })
  }

  note () {
    this.moments.set(stateOf(this.map), ++this.moment)
  }

  /** Makes one call on both. */
  call () {
    const { map, random, store } = this
    const key = random.pick(KEYS)
    switch (random.below(16)) {
      case 0: return assert.equal(store.has(key), map.has(key))
      case 1: return assert.equal(stateOf([store.get(key)]), stateOf([map.get(key)]))
      case 2: return assert.equal(store.size, map.size)
      case 3: return this.iterate()
      case 4:
        if (random.below(4) > 0) return
        store.clear()
        map.clear()
        break
      case 5: case 6: case 7: case 8:
        assert.equal(store.delete(key), map.delete(key))
        break
      default: {
        const value = random.pick(VALUES)(random.below(10_000))
        assert.equal(store.set(key, value), store)
        map.set(key, value)
      }
    }
    this.note()
  }

  /** Iterates over both while they change. */
  iterate () {
    const { map, random, store } = this
    const [keys, expected] = [store.keys(), map.keys()]
    for (let steps = random.below(20); steps > 0; steps--) {
      assert.deepEqual(keys.next(), expected.next())
      if (random.below(4) > 0) continue
      const key = random.pick(KEYS)
      if (random.below(2) === 0) assert.equal(store.delete(key), map.delete(key))
      else {
        store.set(key, steps)
        map.set(key, steps)
      }
      this.note()
    }
  }

  compare (why) {
    assert.equal(stateOf(this.store), stateOf(this.map), why)
  }

  async flush () {
    const now = this.moment
    await this.store.flush()
    this.flushed = now
  }

  async reopen () {
    await this.store.close()
    this.store = this.open(this.folder)
    this.flushed = this.moment
    // Half of the time the next sequence begins before it is loaded.
    if (this.random.below(2) === 0) this.compare('after a reopening')
  }

  /** Crashes, and goes on with what is there afterwards. */
  async crash (isTorn) {
    const { folder, random, store, t } = this
    const copy = join(temporary(t), 'copy')
    if (isTorn) await this.beginLog()
    const flushed = this.flushed
    // As it is while a worker writes.
    if (random.below(2) === 0) await new Promise((resolve) => setImmediate(resolve))
    copyOf(folder, copy)
    if (isTorn) tear(copy, random)
    await store.close()
    const after = this.open(copy)
    await after.ready
    const moment = this.moments.get(stateOf(after))
    assert.ok(moment !== undefined, `it never was like this: ${stateOf(after)}`)
    if (!isTorn) assert.ok(moment >= flushed, 'what was flushed is lost')
    this.map = new Map(after)
    await after.close()
    this.move(copy)
  }

  /** Sees to it that the newest log is one that is being written: where an older one ends is known. */
  async beginLog () {
    this.store.set('log', this.moment)
    this.map.set('log', this.moment)
    this.note()
    await this.flush()
    for (let calls = this.random.below(CALLS_MAX); calls > 0; calls--) this.call()
  }

  async end () {
    await this.store.close()
    const again = this.open(this.folder)
    assert.equal(stateOf(again), stateOf(this.map), 'at the end')
    await again.close()
  }
}

/** Copies a directory as it is at some moment, while it is written to: no file has come or gone in between. */
function copyOf (folder, copy) {
  const names = readdirSync(folder)
  mkdirSync(copy)
  try {
    for (const name of names) copyFileSync(join(folder, name), join(copy, name))
    if (readdirSync(folder).join() === names.join()) return
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  rmSync(copy, { recursive: true })
  copyOf(folder, copy)
}

/** Cuts the newest log of a directory at some byte of its records. */
function tear (folder, random) {
  const logs = readdirSync(folder).filter((name) => name.endsWith('.wal')).sort()
  const newest = join(folder, logs.at(-1))
  const { size } = statSync(newest)
  if (size > LOG_HEADER_BYTES) truncateSync(newest, LOG_HEADER_BYTES + random.below(size - LOG_HEADER_BYTES))
}

/** What comes between two sequences: mostly nothing. */
async function step (pair) {
  const chance = pair.random.below(100)
  if (chance < 3) return await pair.reopen()
  if (chance < 5) return await pair.crash(false)
  if (chance < 6) return await pair.crash(true)
  if (chance < 10) return await pair.flush()
  if (chance < 12) return pair.store.flushSync()
  if (chance < 30) return await new Promise((resolve) => setImmediate(resolve))
}

async function runFolder (t, seed, sequences) {
  const random = randomSource(seed)
  const pair = new Pair(t, random)
  for (let sequence = 0; sequence < sequences; sequence++) {
    for (let calls = 1 + random.below(CALLS_MAX); calls > 0; calls--) pair.call()
    if (random.below(8) === 0) pair.compare(`after sequence ${sequence}`)
    await step(pair)
  }
  await pair.end()
}

test(`${SEQUENCES} random sequences of calls give what a Map gives, over reopenings, crashes and torn logs`, async (t) => {
  const seed = seedOf(t)
  let folders = 0
  // Several go on at a time, so that one waits for the disk while others compute.
  await Promise.all(Array.from({ length: FOLDERS_AT_A_TIME }, async () => {
    while (folders * SEQUENCES_PER_FOLDER < SEQUENCES) await runFolder(t, seed + folders++, SEQUENCES_PER_FOLDER)
  }))
})
