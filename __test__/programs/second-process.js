'use strict'

/* Opens a database that another process has open, and prints the code of the error and how long it took. */

const { FlowDB } = require('../..')

const started = performance.now()
FlowDB.open({ dataDir: process.argv[2] }).ready.then(
  () => process.stdout.write(JSON.stringify(['opened'])),
  (error) => process.stdout.write(JSON.stringify([error.code, Math.round(performance.now() - started)]))
)
