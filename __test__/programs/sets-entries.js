'use strict'

/* A worker thread that sets and deletes entries of a FlashStore which another thread watches. */

const { workerData } = require('node:worker_threads')
const { FlashStore } = require('../..')

async function main () {
  const store = await FlashStore.open(workerData.folder)
  for (let n = 1; n <= workerData.count; n++) await store.set('n', n)
  await store.delete('n')
  await store.close()
}

main()
