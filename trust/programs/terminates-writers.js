'use strict'

/*
 * Terminates worker threads under the load of `kill-load.js` at random moments, and holds what is left in this same
 * process to what they had acknowledged, in memory that is shared. Prints how many operations that were.
 */

const { rmSync } = require('node:fs')
const { join } = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { Worker, isMainThread, workerData } = require('node:worker_threads')
const { Expected } = require('../kill-check')
const { run } = require('../kill-load')
const { randomSource } = require('../../__test__/support')

const DURABILITIES = ['strict', 'relaxed', 'none']
const SIDE_BY_SIDE = 3
/** A thread is terminated behind so many acknowledged operations, or early, so long behind its start. */
const OPERATIONS_MAX = 400
const AFTER_START_MS_MAX = 150
const LOOK_MS = 2
/** What the shared memory counts. */
const COUNTED = ['open', 'documents', 'entries']

/** One in four is terminated while it starts or opens, the others under load. */
async function whenItIsTime (shared, random) {
  const isEarly = random.below(4) === 0
  const [operations, earlyMs] = [random.below(OPERATIONS_MAX), random.below(AFTER_START_MS_MAX)]
  if (isEarly) return await pause(earlyMs)
  while (shared[0] === 0 || shared[1] + shared[2] < operations) await pause(LOOK_MS)
}

/** Lets a thread work in a folder until it is terminated, and gives what it had acknowledged. */
async function terminateOne (folder, seed, durability, random) {
  const shared = new Int32Array(new SharedArrayBuffer(4 * COUNTED.length))
  const worker = new Worker(__filename, { workerData: { folder, seed, durability, shared } })
  const failed = new Promise((resolve, reject) => worker.once('error', reject))
  await Promise.race([failed, whenItIsTime(shared, random).then(() => worker.terminate())])
  const [open, documents, entries] = shared
  return { isOpen: open === 1, documents, entries, transfers: [] }
}

async function terminateMany (folder, seed, count) {
  const rounds = Math.ceil(count / 2)
  let next = 0
  let acknowledged = 0
  const terminateInTurn = async () => {
    while (next < rounds) {
      const round = next++
      const random = randomSource(seed + round)
      const durability = DURABILITIES[round % DURABILITIES.length]
      const place = join(folder, String(round))
      // The process goes on, so that what was only in memory is there as well.
      const expected = new Expected(durability, true)
      for (let turn = 0; turn < 2; turn++) {
        const seedOfLoad = random.next()
        const known = await terminateOne(place, seedOfLoad, durability, random)
        await expected.check(place, seedOfLoad, known, `round ${round}, turn ${turn}, ${durability}`)
        acknowledged += known.documents + known.entries
      }
      rmSync(place, { recursive: true, force: true })
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, terminateInTurn))
  process.stdout.write(String(acknowledged))
}

if (isMainThread) {
  const [folder, seed, count] = process.argv.slice(2)
  terminateMany(folder, Number(seed), Number(count))
} else {
  const { folder, seed, durability, shared } = workerData
  run(folder, seed, durability, (what, count = 1) => {
    const place = COUNTED.indexOf(what)
    if (place >= 0) shared[place] = count
  })
}
