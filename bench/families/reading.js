'use strict'

/* Reading entries, in the ways that families share. Each takes a store with all entries of the scale. */

const { check, checkEntries, checkMiss, checkValue, shown } = require('../lib/answers.js')
const { inSlices, rate } = require('../lib/clock.js')
const { entryOf, keyOf, missOf, randomNumbers } = require('../lib/data.js')
const { AWAITED, BATCH } = require('./writing.js')

const GET_MANY = 100
const RANGE = 100

/**
 * @typedef {import('../adapters/index.js').Store} Store
 * @typedef {import('../lib/lines.js').Lines} Lines
 */

/**
 * Asks for random entries, `count` at a time.
 *
 * @param {Lines} lines
 * @param {object} what
 * @param {number} what.count
 * @param {(n: number) => string} [what.keyFor]
 * @param {(clock: import('../lib/clock.js').Clock, keys: string[]) => Promise<unknown[]>} what.ask
 * @param {(n: number, value: unknown) => void} [what.checkOne]
 */
function ask (lines, { count, keyFor = keyOf, ask, checkOne }) {
  const { entries, valueBytes, seconds } = lines.scale
  const checks = checkOne ?? ((n, value) => checkValue(n, value, valueBytes))
  const next = randomNumbers(entries)
  return rate({ seconds }, async (clock) => {
    const numbers = Array.from({ length: count }, () => next() % entries)
    const answers = await ask(clock, await inSlices(numbers, keyFor))
    check(answers.length === count, () => `${answers.length} answers came for ${count} keys`)
    await inSlices(numbers, (n, at) => checks(n, answers[at]))
    return count
  })
}

/**
 * @param {(key: string) => Promise<any>} get
 * @returns {(clock: import('../lib/clock.js').Clock, keys: string[]) => Promise<any[]>}
 */
const awaited = (get) => (clock, keys) => clock.time(async () => {
  const answers = []
  for (const key of keys) answers.push(await get(key))
  return answers
})

/**
 * @param {(key: string) => Promise<any>} get
 * @returns {(clock: import('../lib/clock.js').Clock, keys: string[]) => Promise<any[]>}
 */
const together = (get) => (clock, keys) => clock.time(() => Promise.all(keys.map((key) => get(key))))

/**
 * @param {(key: string) => any} get
 * @returns {(clock: import('../lib/clock.js').Clock, keys: string[]) => Promise<any[]>}
 */
const inCalls = (get) => async (clock, keys) => clock.timeSync(() => keys.map((key) => get(key)))

/** @param {number} n @param {unknown} value */
const checkNothing = (n, value) => checkMiss(value)

/** @param {number} n @param {unknown} has */
const checkThere = (n, has) => check(has === true, () => `has of entry ${n} is ${shown(has)}`)

/**
 * Everything from the first entry to the last, by `for await`. The clock stands still while answers are checked.
 *
 * @param {Lines} lines
 * @param {Store} store
 * @param {() => AsyncIterable<[string, any]> | Iterable<[string, any]>} iterate
 */
async function iterate (lines, store, iterate) {
  return await readAll(lines, async function * () {
    let gathered = []
    for await (const entry of iterate()) {
      gathered.push(entry)
      if (gathered.length < BATCH) continue
      yield gathered
      gathered = []
    }
    if (gathered.length > 0) yield gathered
  })
}

/**
 * @param {Lines} lines
 * @param {() => AsyncIterable<[string, any][]>} pagesOf
 */
async function readAll ({ adapter, scale }, pagesOf) {
  const { entries, valueBytes, seconds } = scale
  const isEntry = new Set()
  let pages = pagesOf()[Symbol.asyncIterator]()
  let read = 0
  const figure = await rate({ seconds }, async (clock) => {
    const { done, value: page } = await clock.time(() => pages.next())
    if (done) {
      check(read === entries, () => `${read} entries came, not ${entries}`)
      pages = pagesOf()[Symbol.asyncIterator]()
      read = 0
      isEntry.clear()
      return await take((await clock.time(() => pages.next())).value)
    }
    return await take(page)
  })
  await pages.return?.(undefined)
  return figure

  /** @param {[string, any][]} page */
  async function take (page) {
    if (adapter.isUnordered) {
      await inSlices(page, ([key, value]) => {
        isEntry.add(key)
        checkValue(entryOf(key), value, valueBytes)
      })
      read = isEntry.size
    } else {
      await checkEntries(read, page, valueBytes)
      read += page.length
    }
    return page.length
  }
}

/**
 * @param {Lines} lines
 * @param {(from: string, limit: number) => Promise<[string, any][]>} range
 */
function ranges ({ scale: { entries, valueBytes, seconds } }, range) {
  const next = randomNumbers(3)
  return rate({ seconds }, async (clock) => {
    const firsts = Array.from({ length: AWAITED }, () => next() % Math.max(1, entries - RANGE))
    const keys = firsts.map(keyOf)
    const found = await clock.time(async () => {
      const all = []
      for (const key of keys) all.push(await range(key, RANGE))
      return all
    })
    for (const [at, rows] of found.entries()) {
      check(rows.length === Math.min(RANGE, entries), () => `a range of ${RANGE} has ${rows.length} entries`)
      await checkEntries(firsts[at], rows, valueBytes)
    }
    return AWAITED
  })
}

/**
 * The lines of reading.
 *
 * @type {Record<string, (lines: Lines, store: Store) => Promise<import('../lib/clock.js').Figure>>}
 */
const READS = {
  'iteration by for await': (lines, store) => iterate(lines, store, lines.call(store, 'iterate')),
  'iteration in pages of 1,000': (lines, store) => {
    const pages = lines.call(store, 'pages')
    return readAll(lines, () => pages(BATCH))
  },
  'range of 100': (lines, store) => ranges(lines, lines.call(store, 'range')),
  'get awaited': (lines, store) => ask(lines, { count: AWAITED, ask: awaited(lines.call(store, 'get')) }),
  'get, 1,000 at a time': (lines, store) => ask(lines, { count: BATCH, ask: together(lines.call(store, 'get')) }),
  'getMany(100)': (lines, store) => {
    const getMany = lines.call(store, 'getMany')
    return ask(lines, { count: GET_MANY, ask: (clock, keys) => clock.time(() => getMany(keys)) })
  },
  'getSync': (lines, store) => ask(lines, { count: BATCH, ask: inCalls(lines.call(store, 'getSync')) }),
  'miss awaited': (lines, store) => {
    const asked = awaited(lines.call(store, 'get'))
    return ask(lines, { count: AWAITED, keyFor: missOf, ask: asked, checkOne: checkNothing })
  },
  'miss, sync': (lines, store) => {
    const asked = inCalls(lines.call(store, 'getSync'))
    return ask(lines, { count: BATCH, keyFor: missOf, ask: asked, checkOne: checkNothing })
  },
  'has, 1,000 at a time': (lines, store) => {
    return ask(lines, { count: BATCH, ask: together(lines.call(store, 'has')), checkOne: checkThere })
  }
}

exports.READS = READS
