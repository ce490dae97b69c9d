'use strict'

/*
 * The specs that flash-store and async-map-like ship in their packages, unchanged, on our classes: who moves from them
 * to FlashStore finds what they were promised.
 */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { pathToFileURL } = require('node:url')
const { spawnSync } = require('node:child_process')

const PACKAGES = join(__dirname, '..', 'node_modules')
const PROGRAMS = join(__dirname, 'programs')
const HERE = pathToFileURL(join(__dirname, '..', 'index.js')).href
const REPLACED = {
  tstest: pathToFileURL(join(PROGRAMS, 'tstest.mjs')).href,
  './flash-store.js': HERE,
  './flash-store-sync.js': HERE
}

/** A spec by its package, its path there, and how many tests it has, those within others included. */
const SPECS = [
  ['flash-store', 'dist/esm/src/flash-store.spec.js', 13],
  ['flash-store', 'dist/esm/src/flash-store-sync.spec.js', 13],
  ['async-map-like', 'dist/esm/src/async-map-like.spec.js', 3],
  ['async-map-like', 'dist/esm/src/map-like.spec.js', 1],
  ['async-map-like', 'dist/esm/tests/integration.spec.js', 1]
]

for (const [name, path, count] of SPECS) {
  test(`${path} of ${name} passes as it is`, () => {
    const ran = spawnSync(
      process.execPath,
      ['--test-reporter=tap', '--import', pathToFileURL(join(PROGRAMS, 'runs-peer-spec.mjs')).href, join(PACKAGES, name, path)],
      { encoding: 'utf8', env: { ...environment(), FLOWDB_REPLACED: JSON.stringify(REPLACED) }, timeout: 60_000 }
    )
    assert.equal(ran.status, 0, ran.stdout + ran.stderr)
    const number = (label) => Number(new RegExp(`^# ${label} (\\d+)$`, 'm').exec(ran.stdout)?.[1])
    assert.deepEqual({ passed: number('pass'), failed: number('fail') }, { passed: count, failed: 0 }, ran.stdout)
  })
}

/** The environment without what tells a child of `node --test` to report to it. */
function environment () {
  const { NODE_TEST_CONTEXT: _, ...rest } = process.env
  return rest
}
