'use strict'

/*
 * FlashStore gives what an ordered model in memory gives: in 20,000 sequences of calls, many of which are begun at
 * once, with closing and opening, logs that are cut at any byte, and processes that are killed in between.
 */

const assert = require('node:assert/strict')
const { cpSync, readFileSync, readdirSync, rmSync, truncateSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStore } = require('..')
const { Model, markOfStore, perform } = require('./flash-model')
const { runProgram, temporary } = require('./support')

const SEED = Number(process.env.FLOWDB_SEED ?? Date.now() % 1_000_000)
const SEQUENCES = Number(process.env.FLOWDB_SEQUENCES ?? 20_000)
const CALLS_MAX = 6
/** A store serves so many sequences; after one in so many it is opened anew, and its log is cut. */
const SEQUENCES_OF_A_STORE = 1000
const BETWEEN_OPENINGS = 150
const BETWEEN_CUTS = 250
const KILLS = 6

async function check (store, call, where) {
  const what = `${where}: ${call.call} at place ${call.place}`
  if (call.code !== undefined) return await assert.rejects(perform(store, call), { code: call.code }, what)
  assert.deepStrictEqual(await perform(store, call), call.expected, what)
}

/** What stands at the beginning of a log. */
const LOG_HEADER_BYTES = 52

/** Where the log that is written to ends: zeros may stand ahead of what will be written. */
function cutLog (folder, random) {
  const log = readdirSync(folder).filter((name) => name.endsWith('.wal')).sort().at(-1)
  // There is none before the first write.
  if (log === undefined) return
  const path = join(folder, log)
  const bytes = readFileSync(path)
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  // Its head was synced before anything was written behind it.
  if (end > LOG_HEADER_BYTES) truncateSync(path, LOG_HEADER_BYTES + random(end - LOG_HEADER_BYTES + 1))
}

/** Opens a copy of a store's folder, whole and then cut, and holds it to what there was after one of the calls. */
async function checkCopy (folder, model, where) {
  const copy = `${folder}-copy`
  const marks = new Set(model.marks)
  for (const isCut of [false, true]) {
    rmSync(copy, { recursive: true, force: true })
    cpSync(folder, copy, { recursive: true })
    if (isCut) cutLog(copy, (limit) => model.random(limit))
    const store = new FlashStore({ dataDir: copy, autoBackground: false })
    const mark = await markOfStore(store).catch((error) => {
      // A log that has been sealed was synced: what is missing from it was not lost with the power, and that is told.
      if (isCut && error.code === 'FLOWDB_CORRUPTION' && / was sealed at /.test(error.message)) return undefined
      throw error
    })
    if (mark === undefined) {
      await store.close().catch(() => {})
      continue
    }
    if (isCut) assert.ok(marks.has(mark), `${where}: a log that was cut shows what there never was`)
    else assert.equal(mark, model.mark, `${where}: a log that was not closed has lost something`)
    await store.close()
  }
  rmSync(copy, { recursive: true, force: true })
}

async function runSequences (t, seed, count) {
  const folder = join(temporary(t), 'store')
  const open = () => new FlashStore({ dataDir: folder, durability: 'relaxed', autoBackground: false })
  const model = new Model(seed)
  let store = open()
  for (let sequence = 0; sequence < count; sequence++) {
    const where = `FLOWDB_SEED=${SEED}, store ${seed}, sequence ${sequence}`
    const calls = []
    for (let left = 1 + model.random(CALLS_MAX); left > 0; left--) {
      // Some wait for all before them, so that reads meet a store at rest, too.
      if (model.random(3) === 0) await Promise.all(calls)
      calls.push(check(store, model.next(), where))
    }
    await Promise.all(calls)
    if (model.random(BETWEEN_CUTS) === 0) await checkCopy(folder, model, where)
    if (model.random(BETWEEN_OPENINGS) === 0) {
      await store.close()
      store = open()
      assert.equal(await markOfStore(store), model.mark, `${where}: opened again`)
    }
  }
  await store.close()
}

test(`${SEQUENCES} sequences give what the model gives`, async (t) => {
  t.diagnostic(`FLOWDB_SEED=${SEED}`)
  for (let done = 0; done < SEQUENCES; done += SEQUENCES_OF_A_STORE) {
    await runSequences(t, SEED + done, Math.min(SEQUENCES_OF_A_STORE, SEQUENCES - done))
  }
})

test('a process that is killed leaves what there was after one of its calls, and none that was acknowledged is lost', async (t) => {
  t.diagnostic(`FLOWDB_SEED=${SEED}`)
  for (let kill = 0; kill < KILLS; kill++) {
    const folder = join(temporary(t), 'store')
    const seed = SEED + kill
    const lines = 1 + (seed * 7919) % 150
    const { output } = await runProgram('flash-until-killed.js', [folder, String(seed)], {
      onOutput: (text, child) => { if (text.split('\n').length > lines) child.kill('SIGKILL') }
    })
    const acknowledged = Number(output.trim().split('\n').at(-1))
    const model = new Model(seed)
    // As the program draws them, so that the numbers that follow are the same; those under way may be there or not.
    while (model.marks.length - 1 < acknowledged) for (let left = 1 + model.random(6); left > 0; left--) model.next()
    const least = model.marks.length - 1
    for (let left = 1 + model.random(6); left > 0; left--) model.next()

    const where = `FLOWDB_SEED=${SEED}, kill ${kill}`
    assert.equal(least, acknowledged, where)
    const store = new FlashStore(folder)
    const mark = await markOfStore(store)
    await store.close()
    assert.ok(model.marks.slice(least).includes(mark), `${where}: what was acknowledged is lost, or half of a call is there`)
  }
})
