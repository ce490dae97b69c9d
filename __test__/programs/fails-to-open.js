'use strict'

/* Opens a database that can't be opened, and asks nothing of it. */

const { join } = require('node:path')
const { FlowDB } = require('../..')

FlowDB.open({ dataDir: join(process.argv[2], 'nowhere'), createIfMissing: false })
