'use strict'

/* Opens a database in a directory that may not be written to, and prints the codes of the error and its last cause. */

const { chmodSync, mkdirSync } = require('node:fs')
const { join } = require('node:path')
const { FlowDB } = require('../..')

const folder = join(process.argv[2], 'locked')
mkdirSync(folder)
chmodSync(process.argv[2], 0o755)
chmodSync(folder, 0o555)
// Permissions don't hold root back.
if (process.getuid() === 0) process.setuid(65534)

FlowDB.open({ dataDir: folder }).ready.then(
  () => process.exit(1),
  (error) => {
    let last = error
    while (last.cause) last = last.cause
    process.stdout.write(JSON.stringify([error.code, last.code]))
  }
)
