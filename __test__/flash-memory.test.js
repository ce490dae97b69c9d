'use strict'

/* What a store takes of memory, whatever is written to it. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { runProgram, temporary } = require('./support.js')

/** What comes beside memtables and cache: buffers of threads, tops of indexes, what the allocator keeps, in MiB. */
const BESIDES_MIB = 20

test('filling and reading many times the budget takes no more memory than the budget', async (t) => {
  // Two memtables and the cache, 1/4 of the data.
  const [memtable, cache] = [4, 4]
  const args = [temporary(t), String(memtable), String(cache)]

  const { code, output, errors } = await runProgram('fills-in-little-memory.js', args)

  assert.equal(code, 0, errors)
  const budget = 2 * memtable + cache
  assert.ok(Number(output) <= budget + BESIDES_MIB, `it took ${output} MiB, and the budget is ${budget}`)
})
