'use strict'

/* Terminates worker threads in the middle of their work, again and again; the directory stays open and sound. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { Worker } = require('node:worker_threads')
const { FlowDB } = require('../..')

const [dataDir, rounds] = process.argv.slice(2)
const program = join(__dirname, 'worker.js')

const message = (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))

async function main () {
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('rows', 'id')
  await db.put('rows', { id: 'from main', value: 1 })

  for (let round = 0; round < Number(rounds); round++) {
    const workers = [0, 1].map(() => new Worker(program, { workerData: { dataDir } }))
    for (const seen of await Promise.all(workers.map(message))) assert.deepEqual(seen, { id: 'from main', value: 1 })
    await new Promise((resolve) => setTimeout(resolve, round * 7))
    await Promise.all(workers.map((worker) => worker.terminate()))
    assert.deepEqual(await db.get('rows', 'from worker'), { id: 'from worker' })
    await db.put('rows', { id: 'from main', value: 1 })
  }

  const ended = new Worker(program, { workerData: { dataDir, ends: true } })
  const exited = new Promise((resolve) => ended.once('exit', resolve))
  await message(ended)
  assert.equal(await exited, 0, 'an idle database kept the worker alive')
  await db.close()
  process.stdout.write('sound')
}

main()
