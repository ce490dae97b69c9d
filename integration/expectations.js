'use strict'

/*
 * The words in which the suite of keyv is written: it is made for Vitest, and uses this much of it. A word that it
 * doesn't know is a TypeError, so that nothing of the suite goes unchecked.
 */

const assert = require('node:assert/strict')
const { afterEach, beforeEach, test } = require('node:test')

/** What may be said of a value, as in Vitest. */
const MATCHERS = {
  toBe: (actual, expected) => assert.ok(Object.is(actual, expected), `${actual} is not ${expected}`),
  toEqual: (actual, expected) => assert.deepEqual(actual, expected),
  toBeTruthy: (actual) => assert.ok(actual, `${actual} is not truthy`),
  toBeFalsy: (actual) => assert.ok(!actual, `${actual} is not falsy`),
  toBeUndefined: (actual) => assert.equal(actual, undefined),
  toBeDefined: (actual) => assert.notEqual(actual, undefined),
  toBeNull: (actual) => assert.equal(actual, null)
}

/** An `expect` of one test, which knows how often it was asked. */
function expectations () {
  let planned
  let made = 0
  const expect = (actual) => {
    made++
    const matchers = Object.entries(MATCHERS)
    return Object.fromEntries(matchers.map(([name, check]) => [name, (expected) => check(actual, expected)]))
  }
  expect.assertions = (count) => { planned = count }
  const verify = () => {
    if (planned !== undefined) assert.equal(made, planned, `${made} expectations, and ${planned} were announced`)
  }
  return { expect, verify, made: () => made }
}

/**
 * Vitest's interface as far as the suite needs it.
 *
 * @param {{ notOf?: Map<string, string>, onEnd?: (made: number) => void }} [options] `notOf`: tests that say something
 *   else than the version at hand promises, with the reason; `verify` fails where the suite has no such test
 */
function vitest ({ notOf = new Map(), onEnd = () => {} } = {}) {
  const unmet = new Set(notOf.keys())
  const verify = () => assert.ok(unmet.size === 0, `the suite has no test with these names: ${[...unmet].join(', ')}`)
  const it = (name, run) => {
    unmet.delete(name)
    if (notOf.has(name)) return
    test(name, async () => {
      const { expect, verify, made } = expectations()
      await run({ expect })
      verify()
      onEnd(made())
    })
  }
  return { it, beforeEach, afterEach, verify }
}

module.exports = { expectations, vitest }
