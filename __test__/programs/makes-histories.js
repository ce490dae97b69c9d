'use strict'

/*
 * A worker thread that runs random transactions beside others and tells what those that committed have read and
 * written, as __test__/history-checker.js wants it.
 *
 * The workers run some histories at once, and begin each such round together. The first of them goes on aside
 * meanwhile: it makes an index and drops it again, and purges what has expired.
 */

const { setImmediate: turn, setTimeout: sleep } = require('node:timers/promises')
const { parentPort, workerData } = require('node:worker_threads')
const { FlowDB, KeyRange } = require('../..')
const { randomFrom } = require('../support')

const IDS = 4
const NUMBERS = 5
const TRANSACTIONS = 4
const AT_ONCE = 10

/** An index that is always there, and one that comes and goes, on the same path. */
const [STEADY, PASSING] = ['steady', 'passing']

const { dataDir, isolation, shared, number, workers, histories, seed } = workerData
/** What stands in `shared`: how many workers have arrived, the round, and a clock that counts. */
const [ARRIVED, ROUND, TICKS] = [0, 1, 2]

const counts = { tried: 0, made: 0, dropped: 0, purged: 0, touched: 0, indexed: 0, unindexed: 0 }

/** Whether the passing index is there, as far as this worker has to know. */
let isPassing = false

const tick = () => Atomics.add(shared, TICKS, 1)

/** Waits until every worker is here. */
function meet () {
  const round = Atomics.load(shared, ROUND)
  if (Atomics.add(shared, ARRIVED, 1) + 1 === workers) {
    Atomics.store(shared, ARRIVED, 0)
    Atomics.add(shared, ROUND, 1)
    Atomics.notify(shared, ROUND)
  } else {
    Atomics.wait(shared, ROUND, round)
  }
}

/** A transaction, and what is noted of it. */
class Attempt {
  #history
  #random
  #tx
  #steps = []
  #hasWritten = false

  constructor (db, id, history, random) {
    this.id = id
    this.#history = history
    this.#random = random
    this.isReadOnly = random(8) === 0
    const stores = ['items', 'commits']
    this.#tx = this.isReadOnly ? db.transaction(stores) : db.transaction(stores, 'readwrite', { isolation })
  }

  #key (k) {
    return [this.#history, k]
  }

  #keys (first, last) {
    return KeyRange.bound(this.#key(first), this.#key(last))
  }

  /** Two numbers below `end`, the smaller one first. */
  #span (end) {
    const [one, other] = [this.#random(end), this.#random(end)]
    return { first: Math.min(one, other), last: Math.max(one, other) }
  }

  /** Does something, and notes it with the times around it. */
  async #note (step, work) {
    const from = Date.now()
    const seen = await work()
    const noted = { ...step, from, to: Date.now(), ...seen }
    this.#steps.push(noted)
    return noted
  }

  async #entry (k) {
    const from = Date.now()
    const entry = await this.#tx.getEntry('items', this.#key(k))
    const seen = entry === undefined ? null : { by: entry.value.by, version: entry.version, expiresAt: entry.expiresAt }
    return { kind: 'entry', k, from, to: Date.now(), seen }
  }

  async #index (index, { first, last }) {
    try {
      const range = this.#keys(first, last)
      await this.#note({ kind: 'index', first, last }, async () => ({
        seen: (await this.#tx.getAllByIndex('items', index, range)).map(({ by }) => by)
      }))
      counts.indexed++
    } catch (error) {
      // It is not there just now.
      if (error.code !== 'FLOWDB_NOT_FOUND' || index !== PASSING) throw error
      counts.unindexed++
    }
  }

  async #read () {
    const [tx, k] = [this.#tx, this.#random(IDS)]
    const { first, last } = this.#span(IDS)
    switch (this.#random(6)) {
      case 0:
        return await this.#note({ kind: 'get', k }, async () => ({ seen: (await tx.get('items', this.#key(k)))?.by ?? null }))
      case 1:
        return this.#steps.push(await this.#entry(k))
      case 2:
        return await this.#note({ kind: 'range', first, last }, async () => ({
          seen: (await tx.getAll('items', this.#keys(first, last))).map(({ by }) => by)
        }))
      case 3:
        return await this.#note({ kind: 'count', first, last }, async () => ({
          seen: await tx.count('items', this.#keys(first, last))
        }))
      default:
        return await this.#index(this.#random(2) === 0 ? STEADY : PASSING, this.#span(NUMBERS))
    }
  }

  /** Options of a write, and the span in which what it writes expires. */
  #expiry () {
    const ms = 1 + this.#random(4)
    switch (this.#random(4)) {
      case 0: return { options: { ttl: ms / 1000 }, ends: (from, to) => [from + ms, to + ms] }
      case 1: {
        const expiresAt = Date.now() + ms
        return { options: { expiresAt }, isMoment: true, ends: () => [expiresAt, expiresAt] }
      }
      default: return { options: { expiresAt: null }, ends: () => null }
    }
  }

  /** Writes with a random expiry, and notes the entry that there is then. */
  async #writeExpiring (step, write) {
    const { options, ends, isMoment = false } = this.#expiry()
    const noted = await this.#note({ ...step, isMoment }, async () => await write(options))
    noted.expires = ends(noted.from, noted.to)
    noted.then = await this.#entry(step.k)
  }

  async #write () {
    const [tx, k] = [this.#tx, this.#random(IDS)]
    const key = this.#key(k)
    this.#hasWritten = true
    switch (this.#random(5)) {
      case 0:
        return await this.#note({ kind: 'delete', k }, async () => ({ was: await tx.delete('items', key) }))
      case 1:
        counts.touched++
        return await this.#writeExpiring({ kind: 'touch', k }, async (options) => ({
          was: await tx.touch('items', key, options)
        }))
      default: {
        const [n, by] = [this.#random(NUMBERS), `${this.id}.${this.#steps.length}`]
        const document = { id: key, index: this.#key(n), by }
        return await this.#writeExpiring({ kind: 'put', k, n, by }, async (options) => {
          await tx.put('items', document, options)
        })
      }
    }
  }

  /** Gives the steps where it has committed. */
  async run () {
    for (let count = 1 + this.#random(4); count > 0; count--) {
      if (this.isReadOnly || this.#random(2) === 0) await this.#read()
      else await this.#write()
      if (this.#random(3) === 0) await turn()
      if (this.#random(8) === 0) await sleep(1)
    }
    // Tells the order of the commits to whoever watches the store.
    if (this.#hasWritten) await this.#tx.put('commits', { id: this.id })
    try {
      await this.#tx.commit()
      return this.#steps
    } catch (error) {
      if (error.code !== 'FLOWDB_CONFLICT') throw error
      return undefined
    }
  }
}

/** The transactions of one history, one after the other: those that have committed. */
async function runHistory (db, history) {
  const random = randomFrom((seed * 1_000_003 + history) * workers + number)
  const committed = []
  for (let place = 0; place < TRANSACTIONS; place++) {
    counts.tried++
    const begun = tick()
    const attempt = new Attempt(db, `${history}.${number}.${place}`, history, random)
    const steps = await attempt.run()
    if (steps !== undefined) committed.push({ id: attempt.id, begun, ended: tick(), steps })
  }
  return committed
}

/**
 * Makes the passing index or drops it, now and then, and purges, until everything else is done. Each change of the
 * schema conflicts with every transaction that has begun before it, so there are few.
 */
async function goOnAside (db, random, isDone) {
  while (!isDone()) {
    const choice = random(12)
    if (choice === 0) await (isPassing ? dropPassing(db) : makePassing(db))
    else if (choice < 3) counts.purged += await db.purgeExpired('items')
    else await sleep(1)
  }
}

async function makePassing (db) {
  await db.createIndex('items', PASSING, 'index')
  isPassing = true
  counts.made++
}

async function dropPassing (db) {
  await db.deleteIndex('items', PASSING)
  isPassing = false
  counts.dropped++
}

async function runRound (db, first) {
  let isDone = false
  const aside = number === 0 ? goOnAside(db, randomFrom(seed + first), () => isDone) : undefined
  const numbers = Array.from({ length: Math.min(AT_ONCE, histories - first) }, (_, at) => first + at)
  const all = await Promise.all(numbers.map((history) => runHistory(db, history)))
  isDone = true
  await aside
  return all
}

async function main () {
  const db = FlowDB.open({ dataDir, durability: 'none' })
  await db.ready
  const all = []
  for (let first = 0; first < histories; first += AT_ONCE) {
    meet()
    // What was there before would have to be built into the passing index each time.
    if (number === 0) await db.clear('items')
    meet()
    all.push(...await runRound(db, first))
  }
  await db.close()
  parentPort.postMessage({ all, counts })
}

main()
