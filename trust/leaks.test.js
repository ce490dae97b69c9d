'use strict'

/*
 * Operations of every kind, again and again on the same keys: what is held does not grow with their number, by
 * JavaScript, by Rust, or by the database. `FLOWDB_LEAK_OPERATIONS` says how many there are.
 */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { runProgram, seedOf, temporaryInMemory } = require('../__test__/support')

const programs = join(__dirname, 'programs')
const OPERATIONS = Number(process.env.FLOWDB_LEAK_OPERATIONS ?? 40_000)
const ROUNDS = 8
/** The first rounds fill caches and memtables, and V8 compiles what runs often, which goes on for long. */
const FIRST = 3
const MIB = 1 << 20
/** What may come later: compiled code on the heap, and what the allocator keeps. */
const GROWTH_MAX = { heapUsed: 2 * MIB, external: MIB / 8, arrayBuffers: MIB / 8, rss: 32 * MIB }
const FLAT = ['snapshots', 'pinnedBytes', 'handles']

test(`${OPERATIONS} operations of every kind leave nothing behind on the heap, outside of it, and in the database`, async (t) => {
  const args = [temporaryInMemory(t), seedOf(t), ROUNDS, Math.ceil(OPERATIONS / ROUNDS)].map(String)
  const msMax = 60_000 + OPERATIONS
  const { code, signal, output, errors } = await runProgram('repeats-everything.js', args, { programs, msMax })
  assert.deepEqual({ code, signal, errors }, { code: 0, signal: null, errors: '' })
  const { operations, kinds, rounds } = JSON.parse(output)
  const [early, last] = [rounds[FIRST - 1], rounds.at(-1)]
  const growth = Object.fromEntries(Object.keys(GROWTH_MAX).map((name) => [name, last[name] - early[name]]))

  const kib = Object.entries(growth).map(([name, bytes]) => `${name} ${Math.round(bytes / 1024)} KiB`).join(', ')
  t.diagnostic(`operations: ${operations} of ${kinds} kinds, grown from round ${FIRST} to ${ROUNDS}: ${kib}`)
  for (const [name, most] of Object.entries(GROWTH_MAX)) assert.ok(growth[name] < most, `${name} grew by ${growth[name]}`)
  for (const name of FLAT) assert.equal(last[name], early[name], name)
})
