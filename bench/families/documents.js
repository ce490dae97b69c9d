'use strict'

/* Documents of three sizes under keys, each in the form that the package has for them. */

const { Cannot, WrongAnswer, checkDocument } = require('../lib/answers.js')
const { inSlices, rate } = require('../lib/clock.js')
const { documentOf, keyOf, permutation, randomNumbers } = require('../lib/data.js')
const { freshDir, removeDir } = require('../lib/files.js')
const { WAYS } = require('./writing.js')

/** @deno/kv takes batches of 800 KiB. */
const BATCH_BYTES_MAX = 400000

/** For each size how many documents there are at most, and how many are written or asked for at a time. */
const SIZES = [
  { title: '200 B', bytes: 200, most: 20000, together: 1000 },
  { title: '2 KB', bytes: 2000, most: 5000, together: 1000 },
  { title: '50 KB', bytes: 50000, most: 400, together: 100 }
]

/** @typedef {typeof SIZES[number]} Size */
/** @typedef {import('../lib/lines.js').Lines} Lines */

/** @param {Size} size */
const namesOf = ({ title, together }) => {
  const many = together.toLocaleString('en')
  return { put: `put documents of ${title}, ${many} at a time, relaxed`, get: `get documents of ${title}, ${many} at a time` }
}

/**
 * @param {Lines} lines
 * @param {Size} size
 */
async function ofSize (lines, size) {
  const { adapter, scale, fastest: durability } = lines
  const { put, get } = namesOf(size)
  const count = Math.min(size.most, scale.entries)
  const dir = freshDir(`${lines.dir}/documents`)
  const store = await /** @type {any} */ (adapter).open({ dir, durability, cacheBytes: 64 << 20, documents: true })
  try {
    if (durability === 'strict') lines.miss([put], lines.lacks('relaxed'))
    const way = durability === 'strict' && store.putMany !== undefined ? batched(size) : size
    const written = await putAll(store, scale.fillSeconds, count, way)
    if (durability === 'relaxed') await lines.line(put, async () => written)
    await lines.line(get, () => getAll(store, scale.seconds, count, size))
  } catch (error) {
    if (error instanceof WrongAnswer) throw error
    // The other sizes may do.
    lines.miss([put, get], error)
  } finally {
    await store.close()
    removeDir(dir)
  }
}

/**
 * How a store is filled whose puts are not measured: in batches that every package takes.
 *
 * @param {Size} size
 */
const batched = ({ bytes, together }) => {
  return { bytes, together: Math.max(1, Math.min(together, Math.floor(BATCH_BYTES_MAX / bytes))), isBatch: true }
}

/**
 * @param {import('../adapters/index.js').Store} store
 * @param {number} seconds
 * @param {number} count
 * @param {{ bytes: number, together: number, isBatch?: boolean }} way
 */
async function putAll (store, seconds, count, { bytes, together, isBatch = false }) {
  const numberAt = permutation(count)
  let written = 0
  const figure = await rate({ seconds, operations: count, isCold: true }, async (clock) => {
    const numbers = Array.from({ length: Math.min(together, count - written) }, (_, at) => numberAt(written + at))
    const entries = await inSlices(numbers, (n) => /** @type {[string, object]} */ ([keyOf(n), documentOf(n, bytes)]))
    await clock.time(() => isBatch ? WAYS.batch(store, entries) : WAYS.together(store, entries))
    written += entries.length
    return entries.length
  })
  if (written < count) throw new Cannot(`it had ${written} of ${count} documents after ${seconds} s`)
  return figure
}

/**
 * @param {import('../adapters/index.js').Store} store
 * @param {number} seconds
 * @param {number} count
 * @param {Size} size
 */
function getAll (store, seconds, count, { bytes, together }) {
  const next = randomNumbers(5)
  return rate({ seconds }, async (clock) => {
    const numbers = Array.from({ length: together }, () => next() % count)
    const keys = numbers.map(keyOf)
    const documents = await clock.time(() => Promise.all(keys.map((key) => store.get(key))))
    await inSlices(numbers, (n, at) => checkDocument(n, documents[at], bytes))
    return together
  })
}

exports.documents = {
  name: 'documents',
  facet: /** @type {const} */ ('open'),
  lines: SIZES.flatMap((size) => Object.values(namesOf(size))).map((name) => ({ name, unit: 'documents/s', better: /** @type {const} */ ('more') })),
  stages: SIZES.map((size) => (/** @type {Lines} */ lines) => {
    return Object.values(namesOf(size)).some((name) => lines.wants(name)) ? ofSize(lines, size) : undefined
  })
}
