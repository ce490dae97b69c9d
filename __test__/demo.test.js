'use strict'

/*
 * The demo, as a user runs it, and the promise it makes to whoever pulls the plug: `kill -9` in the middle of the
 * import loses no acknowledged batch and leaves no torn one.
 */

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { existsSync, mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlowDB } = require('..')
const { INDEXES, STORE, cityAt, count } = require('../examples/demo/cities')
const { BATCH_SIZE } = require('../examples/demo/import')
const { randomFrom } = require('./support')

const BATCHES = Math.ceil(count / BATCH_SIZE)
const KILLS = 4
const PEAK_MEMORY_MB_MAX = 400

/** Runs a program of ours and gathers what it prints; `onOutput` sees that as it comes and may kill the child. */
function runProgram (file, args, onOutput = () => {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      onOutput(output, child)
    })
    child.stderr.setEncoding('utf8').on('data', (text) => { errors += text })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, output, errors }))
  })
}

test('the demo imports the whole file within its memory, finds every document again and cleans up', async () => {
  const { code, output, errors } = await runProgram(join(__dirname, '..', 'examples', 'demo.js'), [])

  assert.equal(code, 0, errors)
  assert.match(output, /all [\d,]{6,} are there and equal/)
  const [, folder] = /, in (\S+)\n/.exec(output)
  assert.equal(existsSync(folder), false, 'the folder was left behind')
  const [, megabytes] = /peak memory +([\d.]+) MB/.exec(output)
  assert.ok(Number(megabytes) < PEAK_MEMORY_MB_MAX, `peak memory was ${megabytes} MB`)
})

test('after kill -9 in the middle of an import every acknowledged batch is there and no torn one', async (t) => {
  const seed = Number(process.env.FLOWDB_SEED ?? Date.now() % 1e9)
  t.diagnostic(`FLOWDB_SEED=${seed}`)
  const random = randomFrom(seed)
  for (let kill = 0; kill < KILLS; kill++) {
    const killAfter = 1 + random(BATCHES - 2)
    const delayMs = random(8)
    await killAndCheck(killAfter, delayMs, `FLOWDB_SEED=${seed}, kill ${kill} after batch ${killAfter}`)
  }
})

async function killAndCheck (killAfter, delayMs, context) {
  const folder = mkdtempSync(join(tmpdir(), 'flowdb-kill-'))
  try {
    let killing = false
    const program = join(__dirname, 'programs', 'import-cities.js')
    const { signal, output, errors } = await runProgram(program, [folder], (text, child) => {
      if (killing || text.split('\n').length <= killAfter) return
      killing = true
      // The delay moves the end into every part of the next commits, not only to the moment after a print.
      setTimeout(() => child.kill('SIGKILL'), delayMs)
    })
    assert.equal(signal, 'SIGKILL', `${context}: the import ended before it was killed. ${errors}`)
    // The last line may be half written; what stands before it was acknowledged.
    await checkBatches(folder, output.split('\n').length - 1, context)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function checkBatches (folder, acknowledged, context) {
  const db = FlowDB.open({ dataDir: folder })
  try {
    let found = 0
    for await (const city of db.scan(STORE)) {
      assert.deepEqual(city, cityAt(found), `${context}: document ${found} is missing or damaged`)
      found++
    }
    assert.ok(found === count || found % BATCH_SIZE === 0, `${context}: a torn batch, ${found} documents`)
    assert.ok(found >= Math.min(acknowledged * BATCH_SIZE, count),
      `${context}: ${acknowledged} batches were acknowledged, ${found} documents are there`)
    assert.equal(await db.count(STORE), found, `${context}: the count is wrong`)
    for (const { name, keyPath } of INDEXES) await checkIndex(db, name, keyPath, found, context)
  } finally {
    await db.close()
  }
}

/** The index leads to the last documents there are, and not to the first ones there are not. */
async function checkIndex (db, name, keyPath, found, context) {
  for (let position = found - 5; position < Math.min(found + 5, count); position++) {
    const city = cityAt(position)
    const rows = await db.getByIndex(STORE, name, keyPath.map((path) => city[path]))
    const there = rows.some((row) => row.id === city.id)
    assert.equal(there, position < found, `${context}: index ${name}, document ${position} of ${found}`)
  }
}
