'use strict'

/* Writing entries, in the ways that families share. */

const { keyOf, permutation, valueOf } = require('../lib/data.js')
const { Cannot, checkValue } = require('../lib/answers.js')
const { inSlices, rate } = require('../lib/clock.js')

const BATCH = 1000

/** So many calls are awaited one by one before the event loop gets a turn. */
const AWAITED = 100

/** So many entries are read back after a line of writing. */
const READ_BACK = 200

/**
 * Entries in an order that looks random, each once.
 *
 * @param {import('../lib/lines.js').Scale} scale
 * @param {number} [first] the number of the first entry
 */
function entriesOf ({ entries, valueBytes }, first = 0) {
  const entryAt = permutation(entries)
  /**
   * @param {number} from
   * @param {number} count
   * @returns {Promise<[string, string][]>}
   */
  return (from, count) => inSlices(new Array(Math.max(0, Math.min(count, entries - from))), (_, at) => {
    const n = first + entryAt(from + at)
    return [keyOf(n), valueOf(n, valueBytes)]
  })
}

/** The ways of writing, each with how many entries it takes at a time. */
const WAYS = {
  /** @param {import('../adapters/index.js').Store} store @param {[string, any][]} entries */
  awaited: async (store, entries) => {
    for (const [key, value] of entries) await store.put(key, value)
  },
  /** @param {import('../adapters/index.js').Store} store @param {[string, any][]} entries */
  together: (store, entries) => Promise.all(entries.map(([key, value]) => store.put(key, value))),
  /** @param {import('../adapters/index.js').Store} store @param {[string, any][]} entries */
  batch: (store, entries) => /** @type {any} */ (store).putMany(entries)
}

/**
 * Writes entries until the time is over, and reads some of them back.
 *
 * @param {import('../adapters/index.js').Store} store
 * @param {import('../lib/lines.js').Scale} scale
 * @param {keyof typeof WAYS} way
 * @param {number} size
 * @param {number} [first] the number of the first entry
 */
async function write (store, scale, way, size, first) {
  const take = entriesOf(scale, first)
  let written = 0
  const figure = await rate({ seconds: scale.seconds, operations: scale.entries }, async (clock) => {
    const entries = await take(written, size)
    await clock.time(() => WAYS[way](store, entries))
    written += entries.length
    return entries.length
  })
  await readBack(store, take, written)
  return figure
}

/**
 * @param {import('../adapters/index.js').Store} store
 * @param {(from: number, count: number) => Promise<[string, string][]>} take
 * @param {number} written
 */
async function readBack (store, take, written) {
  const step = Math.max(1, Math.floor(written / READ_BACK))
  for (let at = 0; at < written; at += step) {
    const [[key, value]] = await take(at, 1)
    checkValue(Number(key) / 2, await store.get(key), value.length)
  }
}

/**
 * Writes all entries, in batches where the store has them.
 *
 * @param {import('../adapters/index.js').Store} store
 * @param {import('../lib/lines.js').Scale} scale
 * @returns {Promise<import('../lib/clock.js').Figure>}
 */
async function fill (store, scale) {
  const take = entriesOf(scale)
  const way = store.putMany === undefined ? 'together' : 'batch'
  let written = 0
  const figure = await rate({ seconds: scale.fillSeconds, operations: scale.entries, isCold: true }, async (clock) => {
    const entries = await take(written, BATCH)
    await clock.time(() => WAYS[way](store, entries))
    written += entries.length
    return entries.length
  })
  if (written < scale.entries) {
    throw new Cannot(`it had ${written} of ${scale.entries} entries after ${scale.fillSeconds} s`)
  }
  return figure
}

exports.AWAITED = AWAITED
exports.BATCH = BATCH
exports.WAYS = WAYS
exports.entriesOf = entriesOf
exports.fill = fill
exports.write = write
