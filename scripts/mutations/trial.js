'use strict'

/*
 * Putting one fault in and looking which test finds it.
 *
 * A test finds a fault by failing, by ending its program or by not ending at all. A fault that can't be built proves
 * nothing, and neither does a test that fails without a fault or is not there.
 */

const { inject } = require('./catalogue')

/** A build of everything from nothing has this time, and a test that takes longer hangs: the longest takes a minute. */
const BUILD_SECONDS_MAX = 3600
const TEST_SECONDS_MAX = 600

const SOUND = 'sound'

/**
 * @typedef {object} Verdict
 * @property {'caught' | 'survived' | 'error'} outcome
 * @property {string} by the test and how it found the fault, or what went wrong
 * @property {number} seconds
 */

/**
 * What a test says of the sources as they are: `undefined` where it passes.
 *
 * @param {import('./workshop').Workshop} workshop
 * @param {import('./tests').Test} test
 * @param {string} state
 * @returns {Promise<{ how: string } | { error: string } | undefined>}
 */
async function ask (workshop, test, state) {
  const unbuilt = await workshop.build(test, state, BUILD_SECONDS_MAX)
  if (unbuilt !== undefined) return { error: `it can't be built:\n${lastLines(unbuilt)}` }
  const { code, output, isLate } = await workshop.run(test.run, TEST_SECONDS_MAX)
  if (isLate) return { how: `hangs for ${TEST_SECONDS_MAX} s` }
  if (!hasRun(output)) {
    return isAborted(code, output) ? { how: 'the program ends' } : { error: `it was not run:\n${lastLines(output)}` }
  }
  return code === 0 ? undefined : { how: 'fails' }
}

/** Whether the one test that was asked for was run. @param {string} output */
function hasRun (output) {
  return /^running 1 test$/m.test(output) || /^# (pass|fail|cancelled) 1$/m.test(output)
}

/**
 * Whether a test of Node.js took its process along, so that nobody could count it.
 *
 * @param {number | null} code
 * @param {string} output
 */
function isAborted (code, output) {
  return code !== 0 && /^# fail [1-9]/m.test(output)
}

/** @param {string} output */
function lastLines (output) {
  return output.trimEnd().split('\n').slice(-15).map((line) => `    ${line}`).join('\n')
}

/**
 * Whether a test passes without a fault: why not, where it does not.
 *
 * @param {import('./workshop').Workshop} workshop
 * @param {import('./tests').Test} test
 * @returns {Promise<string | undefined>}
 */
async function proveSound (workshop, test) {
  const said = await ask(workshop, test, SOUND)
  if (said === undefined) return undefined
  return 'error' in said ? said.error : `without a fault, it ${said.how}`
}

/**
 * @param {import('./workshop').Workshop} workshop
 * @param {import('./catalogue').Fault} fault
 * @returns {Promise<Verdict>}
 */
async function tryFault (workshop, fault) {
  const started = Date.now()
  const seconds = () => Math.round((Date.now() - started) / 1000)
  const sound = workshop.read(fault.file)
  workshop.write(fault.file, inject(sound, fault))
  // The addon is of Rust alone: a fault in JavaScript leaves it as it is.
  const state = fault.file.endsWith('.js') ? SOUND : fault.name
  try {
    for (const test of fault.tests) {
      const said = await ask(workshop, test, state)
      if (said === undefined) continue
      if ('error' in said) return { outcome: 'error', by: `${test.name}: ${said.error}`, seconds: seconds() }
      const how = said.how === 'fails' ? '' : ` (${said.how})`
      return { outcome: 'caught', by: `${test.program}: ${test.name}${how}`, seconds: seconds() }
    }
    return { outcome: 'survived', by: '', seconds: seconds() }
  } finally {
    workshop.write(fault.file, sound)
  }
}

module.exports = { proveSound, tryFault }
