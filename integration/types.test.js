'use strict'

/* What is declared of the adapters is what the packages declare that they take. */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { join } = require('node:path')
const { test } = require('node:test')

test('the types of the packages take the adapters as they are declared', () => {
  const tsc = join(__dirname, '../node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', __dirname], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})
