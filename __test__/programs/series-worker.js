'use strict'

/* A worker thread that appends to a series of the database that its parent has open, too. */

const { workerData } = require('node:worker_threads')
const { FlowDB } = require('../..')

async function main () {
  const db = FlowDB.open({ dataDir: workerData.folder })
  const series = db.series('s', { retention: 3_000_000_000 })
  for (let at = 0; at < 100; at++) await series.append(workerData.key, at, { ts: at })
  await db.close()
}

main()
