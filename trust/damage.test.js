'use strict'

/*
 * Files that are damaged at random, and everything read, in processes of their own: each reading is right or
 * `FLOWDB_CORRUPTION`; nothing is wrong, old or missing in silence, and no process crashes or hangs.
 *
 * `FLOWDB_DAMAGES` says how often.
 */

const assert = require('node:assert/strict')
const { mkdirSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { makeDatabase, readDamaged } = require('./damage-base')
const { randomSource, runProgram, seedOf, temporaryInMemory } = require('../__test__/support')

const programs = join(__dirname, 'programs')

const TRIALS = Number(process.env.FLOWDB_DAMAGES ?? 200)
const TRIALS_OF_A_PROCESS = 100
const SIDE_BY_SIDE = 2

/** Makes a whole database that processes can copy, and holds it to what is in it. */
async function makeBase (t, seed) {
  const folder = temporaryInMemory(t)
  mkdirSync(join(folder, 'db'))
  const expected = await makeDatabase(join(folder, 'db'), seed)
  writeFileSync(join(folder, 'expected.json'), JSON.stringify(expected))
  assert.equal(await readDamaged(join(folder, 'db'), expected, randomSource(seed)), 'right', 'without any damage')
  return { folder, expected }
}

/** Adds up what came out, by the kind of the damage. */
function add (totals, outcomes) {
  for (const [kind, counts] of Object.entries(outcomes)) {
    totals[kind] ??= { right: 0, corruption: 0, wrong: 0 }
    for (const [outcome, count] of Object.entries(counts)) totals[kind][outcome] += count
  }
}

test(`of ${TRIALS} damaged databases everything that can be read is right, the rest is FLOWDB_CORRUPTION, and nothing crashes`, async (t) => {
  const seed = seedOf(t)
  const { folder } = await makeBase(t, seed)
  const totals = {}
  let next = 0
  const runInTurn = async () => {
    while (next < TRIALS) {
      const first = next
      const count = Math.min(TRIALS_OF_A_PROCESS, TRIALS - first)
      next += count
      const args = [folder, temporaryInMemory(t), String(seed), String(first), String(count)]
      const { code, signal, output, errors } = await runProgram('reads-damaged.js', args, { programs })
      const lines = output.trim().split('\n')
      const last = lines.at(-1)
      assert.deepEqual({ code, signal, errors }, { code: 0, signal: null, errors: '' }, `FLOWDB_SEED=${seed}: ended at ${last}`)
      const { outcomes, wrong } = JSON.parse(last)
      assert.deepEqual(wrong, [], `FLOWDB_SEED=${seed}`)
      add(totals, outcomes)
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, runInTurn))
  for (const [kind, { right, corruption }] of Object.entries(totals)) t.diagnostic(`${kind}: ${right} right, ${corruption} FLOWDB_CORRUPTION`)
  const told = Object.values(totals).reduce((sum, { corruption }) => sum + corruption, 0)
  t.diagnostic(`damaged databases: ${TRIALS}, FLOWDB_CORRUPTION: ${told}, right: ${TRIALS - told}, wrong: 0`)
  assert.ok(told > TRIALS / 3, 'hardly any damage was met')
})

test('the check of a damaged database tells what is wrong, old and missing in silence', async (t) => {
  const seed = seedOf(t)
  const { folder, expected } = await makeBase(t, seed)
  const { rows } = expected
  const changed = (change) => ({ ...expected, rows: change([...rows]) })
  for (const other of [
    changed((rows) => rows.slice(1)),
    changed((rows) => rows.map((row, at) => at === 5 ? { ...row, text: 'another' } : row)),
    changed((rows) => [...rows, { ...rows[0], id: 1e6 }]),
    { ...expected, records: expected.records.slice(1) }
  ]) assert.match(await readDamaged(join(folder, 'db'), other, randomSource(seed)), /wrong in silence/)
})
