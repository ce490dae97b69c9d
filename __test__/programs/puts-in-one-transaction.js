'use strict'

/*
 * Puts 100,000 documents in one transaction, a thousand at a time, and again without awaiting any, and says how much
 * memory that took.
 */

const { FlowDB } = require('../..')

async function main (dataDir) {
  const db = FlowDB.open({ dataDir, durability: 'relaxed' })
  await db.createObjectStore('users', 'id')
  await db.createIndex('users', 'n', 'n')
  const before = process.memoryUsage().rss
  const document = (id) => ({ id, n: id % 1000, text: 'some text that is as long as texts in documents are' })
  await db.update('users', async (tx) => {
    for (let id = 0; id < 100_000; id += 1000) {
      await Promise.all(Array.from({ length: 1000 }, (_, at) => tx.put('users', document(id + at))))
    }
  })
  const awaited = megabytesSince(before)
  const tx = db.transaction('users', 'readwrite')
  for (let id = 100_000; id < 200_000; id++) tx.put('users', document(id))
  await tx.commit()
  const unawaited = megabytesSince(before)
  const count = await db.count('users')
  await db.close()
  console.log(JSON.stringify({ count, awaited, unawaited }))
}

const megabytesSince = (before) => Math.round((process.memoryUsage().rss - before) / 1e6)

main(process.argv[2])
