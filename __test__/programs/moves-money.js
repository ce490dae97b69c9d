'use strict'

/* A worker thread that moves money between accounts by `update`, as the test of attempts wants it. */

const { workerData } = require('node:worker_threads')
const { FlowDB } = require('../..')

async function main ({ dataDir, seed }) {
  const db = FlowDB.open({ dataDir, durability: 'none' })
  let state = seed
  const random = (end) => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return Math.floor(state / 2 ** 31 * end)
  }
  for (let turn = 0; turn < 40; turn++) {
    const from = random(4)
    const to = (from + 1 + random(3)) % 4
    await db.update('accounts', async (tx) => {
      const [payer, payee] = [await tx.get('accounts', from), await tx.get('accounts', to)]
      await tx.put('accounts', { ...payer, amount: payer.amount - 1, moves: (payer.moves ?? 0) + 1 })
      await tx.put('accounts', { ...payee, amount: payee.amount + 1, moves: (payee.moves ?? 0) + 1 })
    })
  }
  await db.close()
}

main(workerData)
