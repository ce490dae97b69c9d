'use strict'

/* Puts, batches and deletions, strict and relaxed, each into a new store. */

const { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } = require('node:fs')
const { join } = require('node:path')
const { checkMiss } = require('../lib/answers.js')
const { rate } = require('../lib/clock.js')
const { freshDir, removeDir } = require('../lib/files.js')
const { AWAITED, BATCH, entriesOf, fill, write } = require('./writing.js')

/** So many entries are there to be deleted, and can be deleted in no time where nothing is synced. */
const DELETED_MAX = 50000

/** @typedef {import('../adapters/index.js').Store} Store */
/** @typedef {import('../lib/lines.js').Lines} Lines */

/**
 * What a synced put can't be faster than: a write of as many bytes over others of one file, and its sync, in the calls
 * of `node:fs` that wait for it. The same in every process, to be compared with the puts of its engine.
 */
const DISK = 'disk alone: a write and its sync, strict'
const DISK_FILE_BYTES = 16 << 20

/** @type {Record<string, (lines: Lines, store: Store) => Promise<import('../lib/clock.js').Figure>>} */
const PUTS = {
  'put awaited': ({ scale }, store) => write(store, scale, 'awaited', AWAITED),
  'put, 1,000 at a time': ({ scale }, store) => write(store, scale, 'together', BATCH),
  'batches of 100': (lines, store) => inBatches(lines, store, 100),
  'batches of 1,000': (lines, store) => inBatches(lines, store, 1000),
  'delete, 1,000 at a time': remove
}

/**
 * @param {Lines} lines
 * @param {Store} store
 * @param {number} size
 */
function inBatches (lines, store, size) {
  lines.call(store, 'putMany')
  return write(store, lines.scale, 'batch', size)
}

/**
 * @param {Lines} lines
 * @param {Store} store
 */
async function remove (lines, store) {
  const deleteOne = lines.call(store, 'delete')
  const scale = { ...lines.scale, entries: Math.min(lines.scale.entries, DELETED_MAX) }
  await fill(store, scale)
  const take = entriesOf(scale)
  let deleted = 0
  const figure = await rate({ seconds: scale.seconds, operations: scale.entries }, async (clock) => {
    const keys = (await take(deleted, BATCH)).map(([key]) => key)
    await clock.time(() => Promise.all(keys.map((key) => deleteOne(key))))
    deleted += keys.length
    return keys.length
  })
  for (const [key] of await take(0, Math.min(deleted, BATCH))) checkMiss(await store.get(key))
  return figure
}

/** @param {Lines} lines */
async function writeAndSync ({ scale, dir }) {
  const file = openSync(join(freshDir(dir), 'disk'), 'wx+')
  try {
    const bytes = Buffer.alloc(scale.valueBytes + 16, 1)
    const room = Math.max(DISK_FILE_BYTES, bytes.length)
    writeSync(file, Buffer.alloc(room))
    fsyncSync(file)
    let at = 0
    return await rate({ seconds: scale.seconds, operations: scale.entries }, async (clock) => {
      await clock.time(async () => {
        for (let count = 0; count < AWAITED; count++) {
          writeSync(file, bytes, 0, bytes.length, at)
          fdatasyncSync(file)
          at += bytes.length
          if (at + bytes.length > room) at = 0
        }
      })
      return AWAITED
    })
  } finally {
    closeSync(file)
  }
}

/**
 * @param {string} name
 * @param {import('../adapters/index.js').Durability} durability
 */
const lineOf = (name, durability) => `${name}, ${durability}`

/** @param {import('../adapters/index.js').Durability} durability */
function putsFamily (durability) {
  return {
    name: `puts, ${durability}`,
    facet: /** @type {const} */ ('open'),
    lines: [
      ...Object.keys(PUTS).map((name) => ({ name: lineOf(name, durability), unit: 'entries/s', better: /** @type {const} */ ('more') })),
      ...durability === 'strict' ? [{ name: DISK, unit: 'writes/s', better: /** @type {const} */ ('more'), isOfMachine: true }] : []
    ],
    stages: [async (/** @type {Lines} */ lines) => {
      if (durability === 'strict' && lines.adapter.durability.strict !== undefined) await lines.line(DISK, () => writeAndSync(lines))
      for (const [name, measure] of Object.entries(PUTS)) {
        await lines.line(lineOf(name, durability), () => inNewStore(lines, durability, measure))
      }
    }]
  }
}

/**
 * @param {Lines} lines
 * @param {import('../adapters/index.js').Durability} durability
 * @param {(lines: Lines, store: Store) => Promise<import('../lib/clock.js').Figure>} measure
 */
async function inNewStore (lines, durability, measure) {
  const { adapter, scale } = lines
  if (adapter.durability[durability] === undefined) throw lines.lacks(durability)
  const dir = freshDir(`${lines.dir}/puts`)
  const cacheBytes = 2 * scale.entries * (scale.valueBytes + 16)
  const store = await /** @type {any} */ (adapter).open({ dir, durability, cacheBytes })
  try {
    return await measure(lines, store)
  } finally {
    await store.close()
    removeDir(dir)
  }
}

exports.relaxedPuts = putsFamily('relaxed')
exports.strictPuts = putsFamily('strict')
