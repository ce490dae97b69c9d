'use strict'

/* Sets entries in a FlashStoreSync, waits for nothing, and comes to its end. */

const { FlashStoreSync } = require('../..')

const store = new FlashStoreSync(process.argv[2])
for (let key = 0; key < 50_000; key++) store.set(key, { key, text: 'some text' })
