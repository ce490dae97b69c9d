'use strict'

/* Sets entries in a FlashStoreSync and forgets it. Once it is collected, the directory is free for another process. */

const { spawnSync } = require('node:child_process')
const { join } = require('node:path')
const { FlashStoreSync } = require('../..')

const [dataDir] = process.argv.slice(2)

function use () {
  const store = new FlashStoreSync(dataDir)
  for (let key = 0; key < 20_000; key++) store.set(key, 'some text')
}

async function main () {
  use()
  for (let round = 0; round < 100; round++) {
    global.gc()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const { stdout } = spawnSync(process.execPath, [join(__dirname, 'second-process.js'), dataDir], { encoding: 'utf8' })
    if (stdout === '["opened"]') return process.stdout.write('closed')
  }
}

main()
