'use strict'

/* Loaded before a test: keeps what databases are sent, and writes the kinds that are new. See corpus.js. */

const { readdirSync, readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { isMainThread } = require('node:worker_threads')
const native = require('../lib/native.js')
const { VERB } = require('../lib/packing.js')

/** So much of a session is kept, in whole runs. */
const BYTES_MAX = 3000

/** Sessions with fewer new pairs of operations that follow each other are left out. */
const PAIRS_MIN = 4

const dir = process.env.FLOWDB_CORPUS
const name = process.env.FLOWDB_CORPUS_NAME

/** @type {Map<number, { runs: Buffer[], bytes: number, isFull: boolean }>} by database */
const sessions = new Map()

/**
 * @param {number} database
 * @param {Uint8Array} run
 */
function keep (database, run) {
  const session = sessions.get(database) ?? { runs: [], bytes: 0, isFull: false }
  sessions.set(database, session)
  // A copy would write files wherever a changed run says.
  session.isFull ||= session.bytes + run.length > BYTES_MAX || run[0] === VERB.CHECKPOINT
  if (session.isFull) return
  session.runs.push(Buffer.from(run))
  session.bytes += run.length
}

/**
 * The kinds of runs that follow each other, with their lengths in rough steps.
 *
 * @param {Buffer[]} runs
 */
function pairsOf (runs) {
  return runs.map((run, at) => `${at > 0 ? runs[at - 1][0] : 0} ${run[0]} ${Math.floor(Math.log2(run.length))}`)
}

function write () {
  const seenFile = join(dir, '..', 'pairs.json')
  /** @type {Set<string>} */
  const seen = new Set(readdirSync(join(dir, '..')).includes('pairs.json') ? JSON.parse(readFileSync(seenFile, 'utf8')) : [])
  let files = 0
  for (const { runs } of sessions.values()) {
    const fresh = new Set(pairsOf(runs).filter((pair) => !seen.has(pair)))
    if (fresh.size < PAIRS_MIN) continue
    for (const pair of fresh) seen.add(pair)
    writeFileSync(join(dir, `${name}-${String(++files).padStart(2, '0')}`), Buffer.concat(runs))
  }
  writeFileSync(seenFile, JSON.stringify([...seen]))
}

if (isMainThread && dir !== undefined) {
  const { submit, submitSmall } = native
  native.submit = (database, run, numbers, lane) => {
    keep(database, run)
    submit(database, run, numbers, lane)
  }
  native.submitSmall = (database, run, numbers) => {
    keep(database, run)
    return submitSmall(database, run, numbers)
  }
  process.on('exit', write)
}
