/*
 * As much of the test library `tstest` as the specs of flash-store and async-map-like use, on node:test. The library
 * itself would bring tap and some hundred packages with it.
 */

import assert from 'node:assert/strict'
import { test as runTest } from 'node:test'

function assertionsOf (t) {
  return {
    ok: (value, message) => assert.ok(value, message),
    equal: (actual, expected, message) => assert.equal(actual, expected, message),
    same: (actual, expected, message) => assert.deepEqual(actual, expected, message),
    pass: () => {},
    resolves: async (work) => { await work() },
    test: (name, run) => t.test(name, (inner) => run(assertionsOf(inner)))
  }
}

export function test (name, run) {
  return runTest(name, (t) => run(assertionsOf(t)))
}
