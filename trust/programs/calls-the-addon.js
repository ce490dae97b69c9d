'use strict'

/*
 * Calls each function of the addon itself, which only `lib/native.js` should, with a hostile value in the place of each
 * argument, and the functions that it makes. Prints `at …` before each function, and behind all how many calls there
 * were, as JSON. A database beside it, in the same process, has to go on.
 */

const assert = require('node:assert/strict')
const addon = require('../../native.js')
const { Trap, VALUES } = require('../hostile/values')

// What opens a database is packed as FlowDB packs it.
const opened = []
const { submit } = addon
for (const lane of ['submit', 'submitSmall', 'submitReads']) {
  const send = addon[lane]
  addon[lane] = (environment, database, run, ...others) => {
    opened.push(Uint8Array.from(run))
    addon[lane] = send
    return send(environment, database, run, ...others)
  }
}
const { FlowDB } = require('../..')

const NAME = Buffer.from('rows')
const KEY_BYTES = 64 * 1024
const trap = new Trap()
const tally = { calls: 0, refused: 0, wrong: [] }

/** An environment and a database of its own, open. */
async function openBeside () {
  const environment = addon.connect(() => {})
  const database = addon.create(environment, [{ name: 'in_memory', value: 'true' }])
  submit(environment, database, opened[0])
  const out = Buffer.alloc(1024)
  while (addon.take(environment, out) === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  return { environment, database }
}

/** Calls that would be right. */
function callsOn ({ environment, database }) {
  const [key, out] = [Buffer.alloc(KEY_BYTES), Buffer.alloc(KEY_BYTES)]
  const run = new Uint8Array(opened[0])
  return {
    answerer: [environment, database, key, out],
    connect: [() => {}],
    create: [environment, [{ name: 'in_memory', value: 'true' }]],
    escape: [Buffer.alloc(100), 0, 10],
    expectAnswer: [environment, true],
    forget: [environment, 99],
    keyspaceReader: [environment, database, NAME, key, out],
    nearestOption: [NAME],
    options: [],
    reader: [environment, database, NAME, key, out],
    releaseSnapshot: [environment, database, 7],
    submit: [environment, database, run],
    submitHere: [environment, database, run],
    submitLongWork: [environment, database, run],
    submitReads: [environment, database, run],
    submitSmall: [environment, database, run, out],
    take: [environment, out],
    takeSnapshot: [environment, database, 7],
    tryGetRecord: [environment, database, run, out],
    uniqueReader: [environment, database, NAME, NAME, key, out],
    waitFor: [environment, 1, 1],
    keepAlive: [environment, false]
  }
}

/** One call. What it gives is called as well, where it is a function. */
function call (name, make, depth = 0) {
  tally.calls++
  let made
  try {
    made = make()
  } catch (error) {
    tally.refused++
    if (!(error instanceof Error)) tally.wrong.push(`${name}: ${String(error)}`)
  }
  if (typeof made !== 'function' || depth > 0) return
  for (const args of [[0], [-1], [NaN], [2 ** 31], [-(2 ** 31)], [2 ** 20 + 5], [-(2 ** 20) - 5], [5, 2 ** 32 - 1], [2 ** 31, 1], ['x'], [Symbol('x')], [], [{}]]) {
    call(name, () => made(...args), 1)
  }
}

async function main () {
  const db = FlowDB.open({ inMemory: true })
  await db.createObjectStore('rows', 'id')
  await db.put('rows', { id: 1 })
  const calls = callsOn(await openBeside())
  assert.throws(() => addon.reader(...calls.reader.slice(0, 3), calls.reader[3], calls.reader[3]), /share memory/)
  const names = Object.keys(addon).filter((name) => typeof addon[name] === 'function' && name !== 'forget')
  // Behind that one the database is gone.
  for (const name of [...names, 'forget']) {
    process.stdout.write(`at ${name}\n`)
    assert.ok(Object.hasOwn(calls, name), `${name} has no call here`)
    const args = calls[name]
    for (let place = 0; place <= args.length; place++) {
      for (const value of Object.values(VALUES)) {
        // Queues answers that nobody waits for, and so is asked but once.
        if (name === 'create' && tally.calls % 50 > 0 && place > 0) continue
        call(name, () => addon[name](...args.slice(0, place), value(trap), ...args.slice(place + 1)))
      }
    }
  }
  assert.deepEqual(await db.get('rows', 1), { id: 1 })
  await db.put('rows', { id: 2 })
  assert.equal(await db.count('rows'), 2)
  await db.close()
  process.stdout.write(JSON.stringify(tally))
  process.exit()
}

main()
