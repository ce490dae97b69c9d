'use strict'

/*
 * Ends at random moments of what writes as fast as it can, while it opens what another end has left, flushes, compacts,
 * commits: `kill -9`, `process.exit`, an error that nobody catches, a worker thread that is terminated. Afterwards
 * everything that was acknowledged is there and nothing is torn.
 *
 * `FLOWDB_KILLS` says how many kills there are, and a tenth as many of each other end; some folders side by side,
 * each with one end after the other.
 */

const assert = require('node:assert/strict')
const { cpSync, existsSync, rmSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { Expected, acknowledgedIn, catchUp } = require('./kill-check')
const { documentsFrom, apply } = require('./kill-load')
const { randomSource, runProgram, seedOf, temporary, temporaryInMemory } = require('../__test__/support')

const programs = join(__dirname, 'programs')

const KILLS = Number(process.env.FLOWDB_KILLS ?? 200)
/** Ends of a process, and of a thread, that comes by itself or from the one that began it. */
const ENDS = Math.ceil(KILLS / 10)
const ENDS_OF_A_FOLDER = 10
const SIDE_BY_SIDE = 3
/** One folder in so many is on a disk. */
const ON_DISK = 10
const DURABILITIES = ['strict', 'relaxed', 'none', 'strict', 'relaxed']
/** An end comes behind so many acknowledgements, and a moment; or early, so long behind the start of the process. */
const ACKNOWLEDGEMENTS_MAX = 200
const MOMENT_MS_MAX = 12
/** About so long is a line that tells of one. */
const LINE_BYTES = 14
const AFTER_START_MS_MAX = 160

/** Runs the load in a process that is killed, and gives what was acknowledged until then. */
async function killOne (folder, seed, durability, random) {
  let isKilled = false
  let isAwaited = false
  const killIn = (ms, child) => {
    if (isAwaited) return
    isAwaited = true
    setTimeout(() => {
      isKilled = true
      child.kill('SIGKILL')
    }, ms)
  }
  // One in four is killed while it starts or opens, the others under load.
  const isEarly = random.below(4) === 0
  const bytes = random.below(ACKNOWLEDGEMENTS_MAX) * LINE_BYTES
  const [earlyMs, momentMs] = [random.below(AFTER_START_MS_MAX), random.below(MOMENT_MS_MAX)]
  const { signal, output, errors } = await runProgram('writes-until-its-end.js', [folder, String(seed), durability], {
    programs,
    onStart: (child) => { if (isEarly) killIn(earlyMs, child) },
    onOutput: (text, child) => { if (text.length > bytes) killIn(momentMs, child) }
  })
  assert.ok(isKilled && signal === 'SIGKILL', `it ended by itself, or hung: ${errors}`)
  return acknowledgedIn(output)
}

/** Runs the load in a process that ends itself, and gives what was acknowledged until then. */
async function endOne (folder, seed, durability, random) {
  const how = random.pick(['exit', 'throw'])
  const moments = [ACKNOWLEDGEMENTS_MAX, MOMENT_MS_MAX].map((most) => String(random.below(most)))
  const args = [folder, String(seed), durability, how, ...moments]
  const { code, signal, output, errors } = await runProgram('writes-until-its-end.js', args, { programs })
  assert.deepEqual({ code, signal }, { code: how === 'exit' ? 7 : 1, signal: null }, errors)
  assert.equal(/thrown on purpose/.test(errors), how === 'throw', errors)
  return acknowledgedIn(output)
}

/** One folder from one end to the next. Adds to the totals. */
async function endAgainAndAgain (t, end, expected, place, seed, ends, totals) {
  // Syncs that take their time are for some of the folders only.
  const folder = place % ON_DISK === 0 ? temporary(t) : temporaryInMemory(t)
  const copy = `${folder}-copy`
  const random = randomSource(seed + place)
  const { durability } = expected
  for (let round = 0; round < ends; round++) {
    const seedOfLoad = random.next()
    const where = `FLOWDB_SEED=${seed}, folder ${place} (${durability}), end ${round}`
    const acknowledged = await end(folder, seedOfLoad, durability, random)
    // Behind every other end only a copy is opened: then the next process begins with what this one has left.
    const isCopy = random.below(2) === 0 && existsSync(join(folder, 'db'))
    if (isCopy) cpSync(folder, copy, { recursive: true })
    await expected.check(isCopy ? copy : folder, seedOfLoad, acknowledged, where)
    rmSync(copy, { recursive: true, force: true })
    totals[durability] = (totals[durability] ?? 0) + 1
    totals.beforeOpen += acknowledged.isOpen ? 0 : 1
    totals.acknowledged += acknowledged.documents + acknowledged.entries + acknowledged.transfers.length
  }
  rmSync(folder, { recursive: true, force: true })
}

/** So many ends of a kind in folders side by side; `expect` makes what is known of a folder. */
async function endMany (t, what, end, count, expect) {
  const seed = seedOf(t)
  const totals = { beforeOpen: 0, acknowledged: 0 }
  const places = Math.ceil(count / ENDS_OF_A_FOLDER)
  let next = 0
  const endInTurn = async () => {
    while (next < places) {
      const place = next++
      const ends = Math.min(ENDS_OF_A_FOLDER, count - place * ENDS_OF_A_FOLDER)
      await endAgainAndAgain(t, end, expect(DURABILITIES[place % DURABILITIES.length]), place, seed, ends, totals)
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, endInTurn))
  const { acknowledged, ...rounds } = totals
  t.diagnostic(`${what}: ${count}, acknowledged operations: ${acknowledged}, lost: 0 ${JSON.stringify(rounds)}`)
  assert.ok(totals.acknowledged > count, 'hardly anything was written before the ends')
}

test(`after ${KILLS} kills at random moments every acknowledged write is there, nothing is torn, and indexes match documents`, async (t) => {
  await endMany(t, 'kill -9 rounds', killOne, KILLS, (durability) => new Expected(durability))
})

test(`after ${ENDS} exits and thrown errors with operations in flight all that was acknowledged is there, whatever the durability`, async (t) => {
  await endMany(t, 'exits and thrown errors', endOne, ENDS, (durability) => new Expected(durability, true))
})

test(`${ENDS} worker threads that are terminated under load leave what was acknowledged, and a sound process`, async (t) => {
  const seed = seedOf(t)
  const args = [temporaryInMemory(t), String(seed), String(ENDS)]
  const { code, signal, output, errors } = await runProgram('terminates-writers.js', args, { programs, msMax: 60_000 + ENDS * 1000 })
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `FLOWDB_SEED=${seed}: ${errors}`)
  t.diagnostic(`terminated worker threads: ${ENDS}, acknowledged operations: ${output}, lost: 0`)
  assert.ok(Number(output) > ENDS, 'hardly anything was written before the ends')
})

test('the check of an end tells a lost operation, half of one, and one that overtook another', () => {
  const seed = 3
  const states = [new Map()]
  for (const operation of documentsFrom(seed).group()) {
    states.push(new Map(states.at(-1)))
    apply(states.at(-1), operation)
  }
  const check = (found, acknowledged, isDurable = true) =>
    catchUp(new Map(), documentsFrom(seed), acknowledged, isDurable, [...found].sort(([a], [b]) => a - b), 'check')
  const last = states.at(-1)
  assert.ok(states.length > 3 && last.size > 1, 'a seed with too few operations')

  check(last, states.length - 1)
  check(states[1], 0)
  check(states[1], states.length - 1, false)
  assert.throws(() => check(states[1], states.length - 1), /none of the possible/)
  assert.throws(() => check([...last].slice(1), states.length - 1), /none of the possible/)
  assert.throws(() => check([...last].slice(1), 0, false), /none of the possible/)
})
