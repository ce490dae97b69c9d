'use strict'

/*
 * The process of one engine: does one stage of a family, and tells each line to the process that started it. It ends by
 * itself, whatever an engine has left running.
 */

const { adapterOf } = require('./adapters/index.js')
const { FAMILIES } = require('./families/index.js')
const { Lines, missOf } = require('./lib/lines.js')

/** @param {any} job */
async function main ({ engine, family, stage, dir, scale, only }) {
  const adapter = adapterOf(engine)
  const { stages } = /** @type {import('./families/index.js').Family} */ (FAMILIES.find(({ name }) => name === family))
  // The module is loaded before anything is measured.
  adapter.load()
  const lines = new Lines({ adapter, dir, scale, only, tell: (told) => process.send?.({ told }) })
  await stages[stage](lines)
}

process.once('message', async (job) => {
  let ended = {}
  try {
    await main(job)
  } catch (error) {
    ended = missOf(error)
  }
  process.send?.({ ended }, () => process.exit(0))
})
