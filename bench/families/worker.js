'use strict'

/* A worker thread of `2 workers`: opens the store, waits for the word to begin, works, and tells what it did. */

const { once } = require('node:events')
const { parentPort, workerData } = require('node:worker_threads')
const { adapterOf } = require('../adapters/index.js')
const { Lines, missOf } = require('../lib/lines.js')
const { JOBS } = require('./worker-jobs.js')

async function main () {
  const { engine, options, scale, job, place } = workerData
  const adapter = adapterOf(engine)
  const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort)
  const store = await /** @type {any} */ (adapter).open(options)
  const lines = new Lines({ adapter, scale, dir: options.dir, only: [], tell: () => {} })
  port.postMessage('ready')
  await once(port, 'message')
  try {
    port.postMessage(await JOBS[job].run(lines, store, place))
  } catch (error) {
    // As it is told: the kind of an error is lost on its way to another thread.
    port.postMessage(missOf(error))
  }
  await once(port, 'message')
  await store.close()
  port.close()
}

main()
