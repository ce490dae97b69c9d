'use strict'

/* Writes until it is killed, and prints a line for each batch that was acknowledged. */

const { FlowDB } = require('../..')

const [dataDir, durability] = process.argv.slice(2)

async function main () {
  const db = FlowDB.open({ dataDir, durability })
  await db.createObjectStore('rows', 'id')
  await db.createIndex('rows', 'batch', 'batch')
  for (let batch = await db.count('rows') / 10; ; batch++) {
    const transaction = db.transaction('rows', 'readwrite')
    for (let part = 0; part < 10; part++) transaction.put('rows', { id: [batch, part], batch, text: 'x'.repeat(200) })
    await transaction.commit()
    process.stdout.write(`${batch}\n`)
  }
}

main()
