'use strict'

/*
 * Makes the calls of a model until it is killed, a few at a time, and prints how many were made and acknowledged.
 */

const { FlashStore } = require('../..')
const { Model, perform } = require('../flash-model')

const [dataDir, seed] = process.argv.slice(2)

async function main () {
  const store = new FlashStore({ dataDir, durability: 'relaxed' })
  const model = new Model(Number(seed))
  for (;;) {
    const calls = Array.from({ length: 1 + model.random(6) }, () => model.next())
    await Promise.allSettled(calls.map((call) => perform(store, call)))
    process.stdout.write(`${model.marks.length - 1}\n`)
  }
}

main()
