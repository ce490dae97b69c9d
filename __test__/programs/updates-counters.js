'use strict'

/* A worker thread that counts up the entries of a FlashStore which other threads count up as well. */

const { parentPort, workerData } = require('node:worker_threads')
const { FlashStore } = require('../..')

const { folder, calls, keys, way } = workerData

/** @type {Record<string, (store: any, key: number) => Promise<unknown>>} */
const WAYS = {
  update: (store, key) => store.update(key, (n = 0) => n + 1),
  slowly: (store, key) => store.update(key, async (n = 0) => {
    await new Promise(setImmediate)
    return n + 1
  }),
  incr: (store, key) => store.incr(key),
  transaction: (store, key) => store.transaction(async (tx) => {
    await tx.set(key, (await tx.get(key) ?? 0) + 1)
  })
}

async function main () {
  const store = await FlashStore.open({ dataDir: folder, durability: 'relaxed' })
  await Promise.all(Array.from({ length: calls }, (_, call) => WAYS[way](store, call % keys)))
  await store.close()
  parentPort.postMessage('done')
}

main()
