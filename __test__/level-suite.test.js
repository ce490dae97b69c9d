'use strict'

/*
 * abstract-level's own suite, which nobody here has written, on FlowLevel: on disk with each durability and in memory,
 * each time on the database itself and on a sublevel of it. classic-level says in the same run how much there is to
 * pass.
 */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { runProgram, temporary } = require('./support.js')

/** How many assertions abstract-level 3.1 makes of classic-level 3.0. */
const ASSERTIONS = 5168

/** It opens 3,000 databases, and a disk may take its time to sync them. */
const MS_MAX = 600_000

/** Runs the suite and says how many of its assertions hold; those that don't are in `failures`. */
async function run (t, what) {
  const { code, output, errors } = await runProgram('level-suite.js', [temporary(t), what], { msMax: MS_MAX })
  const count = (/** @type {string} */ name) => Number(new RegExp(`^# ${name} +(\\d+)$`, 'm').exec(output)?.[1] ?? 0)
  const skipped = output.match(/# SKIP/gi)?.length ?? 0
  const failures = output.split('\n').filter((line) => line.startsWith('not ok')).join('\n')
  t.diagnostic(`${what}: ${count('pass')} of ${count('tests')} assertions`)
  return { code, errors, tests: count('tests'), passed: count('pass'), skipped, failures }
}

const whole = { code: 0, errors: '', tests: ASSERTIONS, passed: ASSERTIONS, skipped: 0, failures: '' }

test('the suite of abstract-level passes whole, with as many assertions as classic-level gets', { concurrency: true }, async (t) => {
  const runs = ['classic-level', 'strict', 'relaxed', 'none', 'memory']
  await Promise.all(runs.map((what) => t.test(what, async (t) => assert.deepEqual(await run(t, what), whole))))
})
