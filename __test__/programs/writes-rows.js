'use strict'

/* A worker thread that writes its document again and again, as the test of watches wants it. */

const { workerData } = require('node:worker_threads')
const { FlowDB } = require('../..')

async function main ({ dataDir, worker }) {
  const db = FlowDB.open({ dataDir, durability: 'none' })
  for (let n = 0; n < 200; n++) await db.put('rows', { id: worker, n })
  await db.close()
}

main(workerData)
