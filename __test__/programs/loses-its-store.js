'use strict'

/* Writes to a store that another FlashStoreSync has written to, and never asks what became of it. */

const { FlashStoreSync } = require('../..')

async function main () {
  const [one, two] = [await FlashStoreSync.open(process.argv[2]), await FlashStoreSync.open(process.argv[2])]
  one.set('key', 1)
  await one.flush()
  two.set('key', 2)
  await new Promise((resolve) => setTimeout(resolve, 200))
  process.stdout.write('went on')
}

main()
