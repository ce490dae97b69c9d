'use strict'

/* In a worker thread: shares the directory of the main thread, then works until it is terminated. */

const { parentPort, workerData } = require('node:worker_threads')
const { FlashStore, FlowDB } = require('../..')

async function main () {
  const db = FlowDB.open({ dataDir: workerData.dataDir })
  const store = new FlashStore({ inMemory: true })
  const seen = await db.get('rows', 'from main')
  await db.put('rows', { id: 'from worker' })
  parentPort.postMessage(seen)
  if (workerData.ends) return
  for (let id = 0; ; id++) {
    const work = [store.set(id, new Map([[id, id]])), db.count('rows'), db.scan('rows').next()]
    for (let part = 0; part < 100; part++) work.push(db.put('rows', { id: `worker ${id} ${part}` }))
    if (id % 10 === 0) await Promise.all(work)
  }
}

main()
