'use strict'

/*
 * `node scripts/mutations.js`: puts faults into FlowDB, one at a time, and looks whether the tests find each of them.
 * It prints a table, and ends with code 1 where one survives. docs/testing.md says what that is good for.
 *
 *   --list          prints the faults and does nothing
 *   --only TEXT     those whose area, name or file has the text; may be given several times
 *   --passed        does not try the tests without a fault first, since `npm test` has just passed
 *   --folder PATH   works in this folder and leaves it there, so that the next run builds less; remove it where
 *                   a build in it was cut short and does not link any more
 *
 * It works in a copy of the repository in a temporary folder. The first build there takes some minutes.
 */

const { existsSync, mkdirSync, mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join, resolve } = require('node:path')
const { parseArgs } = require('node:util')
const { Failure, findCargo, root } = require('./steps')
const { FAULTS } = require('./mutations/catalogue')
const { proveSound, tryFault } = require('./mutations/trial')
const { Workshop, endRunning } = require('./mutations/workshop')

const OPTIONS = /** @type {const} */ ({
  list: { type: 'boolean', default: false },
  only: { type: 'string', multiple: true, default: [] },
  passed: { type: 'boolean', default: false },
  folder: { type: 'string' }
})

async function run () {
  const { list, only, passed, folder } = parseArgs({ options: OPTIONS }).values
  const faults = FAULTS.filter(({ area, name, file }) => {
    return only.length === 0 || only.some((text) => [area, name, file].some((field) => field.includes(text)))
  })
  if (faults.length === 0) throw new Failure('no fault has this text: --list prints all of them')
  if (list) return faults.forEach(({ area, name, file }) => console.log(`${area.padEnd(10)}  ${file.padEnd(34)}  ${name}`))

  findCargo()
  if (!existsSync(join(root, 'node_modules'))) throw new Failure('the packages are missing: run `npm run build` first')
  const workshop = open(folder)
  workshop.fill()
  if (!passed) await proveAll(workshop, faults)
  return await tryAll(workshop, faults)
}

/** @param {string | undefined} folder */
function open (folder) {
  const path = folder === undefined ? mkdtempSync(join(tmpdir(), 'flowdb-mutations-')) : resolve(folder)
  mkdirSync(path, { recursive: true })
  if (folder === undefined) process.on('exit', () => rmSync(path, { recursive: true, force: true }))
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.on(signal, () => {
      endRunning()
      process.exit(130)
    })
  }
  return new Workshop(path)
}

/**
 * Every test has to pass before a failure says anything.
 *
 * @param {Workshop} workshop
 * @param {typeof FAULTS} faults
 */
async function proveAll (workshop, faults) {
  const tests = new Map(faults.flatMap((fault) => fault.tests).map((test) => [test.run.join(' '), test]))
  console.log(`Trying ${tests.size} tests without a fault …`)
  for (const test of tests.values()) {
    const failure = await proveSound(workshop, test)
    if (failure !== undefined) throw new Failure(`${test.program}: ${test.name}: ${failure}`)
  }
}

/**
 * @param {Workshop} workshop
 * @param {typeof FAULTS} faults
 */
async function tryAll (workshop, faults) {
  console.log(`Trying ${faults.length} faults …\n\n| fault | file | found by | seconds |\n|---|---|---|---|`)
  const counts = { caught: 0, survived: 0, error: 0 }
  for (const fault of faults) {
    const { outcome, by, seconds } = await tryFault(workshop, fault)
    counts[outcome]++
    const found = outcome === 'caught' ? by : `**${outcome === 'survived' ? 'nothing' : 'error'}**`
    console.log(`| ${fault.name} | ${fault.file} | ${found} | ${seconds} |`)
    if (outcome === 'error') console.error(by)
  }
  console.log(`\n${counts.caught} of ${faults.length} faults were found.`)
  if (counts.caught < faults.length) process.exitCode = 1
}

run().catch((error) => {
  console.error(error instanceof Failure ? `\n${error.message}` : error)
  process.exitCode = 1
})
