'use strict'

/* Sets an entry in a call that is done when it returns, and is killed behind that. */

const { FlashStore } = require('../..')

const [dataDir, durability] = process.argv.slice(2)
const store = new FlashStore({ dataDir, durability })
store.set('seen', 'by the way')
store.setSync('kept', [1, 2, 3])
process.kill(process.pid, 'SIGKILL')
