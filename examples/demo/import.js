'use strict'

/*
 * Imports the cities in batches, one transaction each: after a crash a batch is there as a whole or not at all, and
 * memory holds one batch at a time.
 */

const { STORE, cityAt, count } = require('./cities')

/** A batch is one commit with one sync: large enough to pay for it, small enough to be light in memory. */
const BATCH_SIZE = 1000

/**
 * Imports every city in the order of the file.
 *
 * @param {import('flowdb').FlowDB} db
 * @param {(batch: number, imported: number) => void} acknowledged called after each commit
 */
async function importCities (db, acknowledged) {
  for (let batch = 0; batch * BATCH_SIZE < count; batch++) {
    const start = batch * BATCH_SIZE
    const end = Math.min(start + BATCH_SIZE, count)
    await importBatch(db, start, end)
    acknowledged(batch, end)
  }
}

async function importBatch (db, start, end) {
  const transaction = db.transaction([STORE], 'readwrite')
  const puts = []
  for (let position = start; position < end; position++) puts.push(transaction.put(STORE, cityAt(position)))
  await Promise.all(puts)
  await transaction.commit()
}

module.exports = { BATCH_SIZE, importCities }
