'use strict'

/* Processes and threads that end with databases open, in every way there is; and what is there afterwards. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { Worker } = require('node:worker_threads')
const { FlashStore, FlowDB } = require('..')
const { runProgram, temporary } = require('./support')

/** What `open-and-end.js` left: everything that was acknowledged, and nothing that was not committed. */
async function reopened (folder) {
  const db = FlowDB.open({ dataDir: join(folder, 'db') })
  const store = new FlashStore(join(folder, 'store'))
  assert.deepEqual(await db.get('rows', 'acknowledged'), { id: 'acknowledged' })
  assert.equal(await db.get('rows', 'never committed'), undefined)
  assert.equal(await store.get('acknowledged'), true)
  const count = await db.count('rows')
  assert.equal((await db.getAll('rows')).length, count)
  await Promise.all([db.close(), store.close()])
  return count - 1
}

test('an idle open database does not keep the process alive', async (t) => {
  const folder = temporary(t)
  const { code, signal, output, errors } = await runProgram('open-and-end.js', [folder, 'idle'])
  assert.deepEqual({ code, signal, output, errors }, { code: 0, signal: null, output: 'idle', errors: '' })
  assert.equal(await reopened(folder), 0)
})

test('pending operations keep the process alive until they are done', async (t) => {
  const folder = temporary(t)
  const { code, signal, output, errors } = await runProgram('open-and-end.js', [folder, 'pending'])
  assert.deepEqual({ code, signal, output, errors }, { code: 0, signal: null, output: 'written', errors: '' })
  assert.equal(await reopened(folder), 1000)
})

test('what was acknowledged is there after an end without close, whatever the durability', async (t) => {
  for (const durability of ['relaxed', 'none']) {
    const folder = temporary(t)
    const { code, signal, errors } = await runProgram('open-and-end.js', [folder, 'pending', durability])
    assert.deepEqual({ code, signal, errors }, { code: 0, signal: null, errors: '' })
    assert.equal(await reopened(folder), 1000, durability)
  }
})

test('process.exit with a thousand writes in flight ends with its code, and the database opens again', async (t) => {
  for (const how of ['exit', 'exit later']) {
    const folder = temporary(t)
    const { code, signal, errors } = await runProgram('open-and-end.js', [folder, how])
    assert.deepEqual({ code, signal, errors }, { code: 7, signal: null, errors: '' }, how)
    assert.ok(await reopened(folder) <= 1000)
  }
})

test('an uncaught error with the database open ends the process as usual', async (t) => {
  const folder = temporary(t)
  const { code, signal, errors } = await runProgram('open-and-end.js', [folder, 'throw'])
  assert.deepEqual({ code, signal }, { code: 1, signal: null })
  assert.match(errors, /thrown on purpose/)
  assert.equal(await reopened(folder), 0)
})

test('after kill -9 in the middle of writing every acknowledged batch is there, and every batch is whole', async (t) => {
  for (const durability of ['strict', 'relaxed']) {
    const dataDir = temporary(t)
    for (let round = 1; round <= 3; round++) {
      const { signal, output, errors } = await runProgram('writes-until-killed.js', [dataDir, durability], {
        onOutput: (text, child) => { if (text.split('\n').length > round * 20) child.kill('SIGKILL') }
      })
      assert.equal(signal, 'SIGKILL', errors)
      const acknowledged = output.trim().split('\n').map(Number)

      const db = FlowDB.open({ dataDir, durability })
      const rows = await db.getAll('rows')
      for (const batch of acknowledged) {
        assert.equal((await db.getByIndex('rows', 'batch', batch)).length, 10, `${durability} batch ${batch}`)
      }
      assert.equal(rows.length % 10, 0, `a torn batch, ${durability}`)
      assert.ok(rows.every(({ id }, at) => id[0] === Math.floor(at / 10) && id[1] === at % 10), 'a hole')
      await db.close()
    }
  }
})

test('a second process gets FLOWDB_LOCKED at once, and the first goes on', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('rows', 'id')
  const { output, errors } = await runProgram('second-process.js', [dataDir])
  const [code, ms] = JSON.parse(output)
  assert.equal(code, 'FLOWDB_LOCKED', errors)
  assert.ok(ms < 2000, `it took ${ms} ms`)
  await db.put('rows', { id: 1 })
  await db.close()
  assert.equal((await runProgram('second-process.js', [dataDir])).output, '["opened"]')
})

test('a worker thread shares the directory of the main thread', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('rows', 'id')
  await db.put('rows', { id: 'from main', value: 1 })
  const worker = new Worker(join(__dirname, 'programs', 'worker.js'), { workerData: { dataDir, ends: true } })
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  const seen = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))

  assert.deepEqual(seen, { id: 'from main', value: 1 })
  assert.equal(await exited, 0)
  assert.deepEqual(await db.get('rows', 'from worker'), { id: 'from worker' })
  await db.close()
})

test('worker threads terminated in the middle of their work leave process and database sound', async (t) => {
  const dataDir = temporary(t)
  const { code, signal, output, errors } = await runProgram('terminates-workers.js', [dataDir, '8'])
  assert.deepEqual({ code, signal, output }, { code: 0, signal: null, output: 'sound' }, errors)
  const db = FlowDB.open({ dataDir })
  assert.equal((await db.getAll('rows')).length, await db.count('rows'))
  await db.close()
})

test('databases that are forgotten are closed when they are collected', async (t) => {
  const dataDir = temporary(t)
  const { code, signal, output, errors } = await runProgram('forgets-databases.js', [dataDir], { flags: ['--expose-gc'] })
  assert.deepEqual({ code, signal, output }, { code: 0, signal: null, output: 'closed' }, errors)
})

test('a scan goes on although nobody holds its database any more', async (t) => {
  const { code, output, errors } = await runProgram('scans-forgotten.js', [], { flags: ['--expose-gc'] })
  assert.deepEqual({ code, output }, { code: 0, output: '3000' }, errors)
})
