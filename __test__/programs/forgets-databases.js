'use strict'

/* Opens databases and forgets them. Once they are collected, the directory is free for another process. */

const { spawnSync } = require('node:child_process')
const { join } = require('node:path')
const { FlowDB } = require('../..')

const [dataDir] = process.argv.slice(2)

async function use () {
  const db = FlowDB.open({ dataDir })
  await db.createObjectStore('rows', 'id')
  await db.put('rows', { id: 1 })
  const transaction = db.transaction('rows', 'readwrite')
  await transaction.put('rows', { id: 2 })
  await db.scan('rows').next()
}

async function main () {
  for (let round = 0; round < 5; round++) await use()
  for (let round = 0; round < 100; round++) {
    global.gc()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const { stdout } = spawnSync(process.execPath, [join(__dirname, 'second-process.js'), dataDir], { encoding: 'utf8' })
    if (stdout === '["opened"]') return process.stdout.write('closed')
  }
}

main()
