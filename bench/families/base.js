'use strict'

/*
 * One store with all entries: filled, read, opened again by a new process with its files out of memory, read with a
 * cache of a quarter of the data, and used by two worker threads.
 */

const { Worker } = require('node:worker_threads')
const { join } = require('node:path')
const { Cannot, WrongAnswer, checkValue } = require('../lib/answers.js')
const { rest } = require('../lib/clock.js')
const { diskBytes, evict } = require('../lib/files.js')
const { keyOf } = require('../lib/data.js')
const { median } = require('../lib/results.js')
const { READS } = require('./reading.js')
const { fill } = require('./writing.js')
const { JOBS } = require('./worker-jobs.js')

const WARM_OPENINGS = 5
const BYTES_IN_MB = 1e6

/** The smallest cache for work that is to be in it. */
const CACHE_BYTES_MIN = 64 << 20

/** The lines that are measured again with a cache of a quarter of the data. */
const SMALL = ['get awaited', 'get, 1,000 at a time', 'getSync', 'range of 100']

const FILL = 'fill in batches of 1,000, relaxed'
const MEMORY = 'peak memory of filling and reading'
const DISK = 'bytes on disk'
const [COLD, WARM] = ['cold reopen', 'warm reopen']

/** @param {string} name */
const smallLine = (name) => `${name}, cache of a quarter`
/** @param {string} name */
const workersLine = (name) => `2 workers: ${name}`

/** @typedef {import('../lib/lines.js').Lines} Lines */

/** @param {import('../lib/lines.js').Scale} scale */
const dataBytes = ({ entries, valueBytes }) => entries * (valueBytes + 16)

/** @param {import('../lib/lines.js').Scale} scale */
const wholeCache = (scale) => Math.max(CACHE_BYTES_MIN, 2 * dataBytes(scale))

/**
 * @param {Lines} lines
 * @param {number} cacheBytes
 */
async function open (lines, cacheBytes) {
  const { adapter, dir, fastest: durability } = lines
  return await /** @type {any} */ (adapter).open({ dir, durability, cacheBytes })
}

/** @param {Lines} lines */
async function fillAndRead (lines) {
  const cacheBytes = wholeCache(lines.scale)
  const empty = await open(lines, cacheBytes)
  const figure = await fill(empty, lines.scale)
  await lines.line(FILL, async () => {
    if (lines.fastest === 'strict') throw lines.lacks('relaxed')
    if (empty.putMany === undefined) throw lines.lacks('putMany')
    return figure
  })
  await empty.close()
  const store = await open(lines, cacheBytes)
  for (const [name, read] of Object.entries(READS)) await lines.line(name, () => read(lines, store))
  await lines.line(MEMORY, async () => ({ value: process.resourceUsage().maxRSS * 1024 / BYTES_IN_MB }))
  await store.close()
  await lines.line(DISK, async () => {
    if (lines.adapter.isBaseline) throw lines.lacks('reopen')
    return { value: diskBytes(lines.dir) / BYTES_IN_MB }
  })
}

/** @param {Lines} lines */
async function reopen (lines) {
  const { adapter, scale, dir } = lines
  if (adapter.isBaseline) return lines.miss([COLD, WARM, ...SMALL.map(smallLine)], lines.lacks('reopen'))
  evict(dir)
  await rest()
  await lines.line(COLD, async () => ({ value: await openingMs(lines) }))
  await lines.line(WARM, async () => {
    const times = []
    for (let opening = 0; opening < WARM_OPENINGS; opening++) times.push(await openingMs(lines))
    return { value: median(times) }
  })
  if (!SMALL.some((name) => lines.wants(smallLine(name)))) return
  const store = await open(lines, dataBytes(scale) / 4)
  for (const name of SMALL) await lines.line(smallLine(name), () => READS[name](lines, store))
  await store.close()
}

/**
 * How long it takes from the call that opens the store to the first answer.
 *
 * @param {Lines} lines
 */
async function openingMs (lines) {
  const n = Math.floor(lines.scale.entries / 2)
  const key = keyOf(n)
  const start = performance.now()
  const store = await open(lines, wholeCache(lines.scale))
  const value = await store.get(key)
  const milliseconds = performance.now() - start
  checkValue(n, value, lines.scale.valueBytes)
  await store.close()
  return milliseconds
}

/** @param {Lines} lines */
async function work (lines) {
  const { cannot, opensTwice } = lines.adapter
  for (const [name, { needs }] of Object.entries(JOBS)) {
    await lines.line(workersLine(name), async () => {
      if (!opensTwice) throw lines.lacks('opensTwice')
      if (needs !== undefined && cannot?.[needs] !== undefined) throw lines.lacks(needs)
      const figures = await inWorkers(lines, name)
      return {
        value: figures.reduce((sum, { value }) => sum + value, 0),
        delayP99Ms: Math.max(...figures.map(({ delayP99Ms = 0 }) => delayP99Ms)),
        delayMaxMs: Math.max(...figures.map(({ delayMaxMs = 0 }) => delayMaxMs))
      }
    })
  }
}

/**
 * Two threads with a store each on the same files; they begin when both are open, and close when both are done.
 *
 * @param {Lines} lines
 * @param {string} job
 * @returns {Promise<any[]>}
 */
async function inWorkers ({ adapter, scale, dir, fastest }, job) {
  const options = { dir, durability: fastest, cacheBytes: wholeCache(scale), isShared: true }
  const workers = [0, 1].map((place) => new Worker(join(__dirname, 'worker.js'), {
    workerData: { engine: adapter.name, options, scale, job, place }
  }))
  const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
  try {
    await Promise.all(workers.map(nextMessage))
    for (const worker of workers) worker.postMessage('go')
    const figures = (await Promise.all(workers.map(nextMessage))).map(figureOf)
    for (const worker of workers) worker.postMessage('close')
    await Promise.all(exits)
    return figures
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

/**
 * What a worker told: a figure, or why there is none.
 *
 * @param {any} told
 */
function figureOf (told) {
  if (told.wrong !== undefined) throw new WrongAnswer(told.wrong)
  if (told.cannot !== undefined) throw new Cannot(told.cannot)
  if (told.failed !== undefined) throw new Error(told.failed)
  return told
}

/**
 * @param {Worker} worker
 * @returns {Promise<any>}
 */
const nextMessage = (worker) => new Promise((resolve, reject) => {
  worker.once('message', resolve)
  worker.once('error', reject)
  worker.once('exit', (code) => reject(new Error(`a worker ended with ${code}`)))
})

/** What is counted in lines whose names begin so; in all others it is keys. @type {[string, string][]} */
const COUNTED = [['fill', 'entries'], ['iteration', 'entries'], ['range', 'ranges']]

const perSecond = (/** @type {string} */ name) => {
  const [, counted] = COUNTED.find(([beginning]) => name.startsWith(beginning)) ?? ['', 'keys']
  return { name, unit: `${counted}/s`, better: /** @type {const} */ ('more') }
}
const cost = (/** @type {string} */ name, /** @type {string} */ unit) => ({ name, unit, better: /** @type {const} */ ('less') })

exports.base = {
  name: 'base',
  facet: /** @type {const} */ ('open'),
  lines: [
    perSecond(FILL), ...Object.keys(READS).map(perSecond), cost(MEMORY, 'MB'), cost(DISK, 'MB'), cost(COLD, 'ms'), cost(WARM, 'ms'),
    ...SMALL.map(smallLine).map(perSecond), ...Object.keys(JOBS).map(workersLine).map(perSecond)
  ],
  stages: [fillAndRead, reopen, work]
}
