'use strict'

/* What iterating takes of memory, however many entries there are. How long it holds the event loop is for a benchmark:
 * bench/level-iteration.js. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { runProgram, temporary } = require('./support.js')

/** All entries as strings in an array would take four times as much. */
const HEAP_MIB = 48

/** Beside the heap: pages on their way, and what the allocators keep. */
const BESIDES_MIB = 40

test('a million entries are iterated over in bounded memory, by for await, nextv and all with a limit', async (t) => {
  const flags = [`--max-old-space-size=${HEAP_MIB}`]

  const { code, output, errors } = await runProgram('iterates-a-million.js', [temporary(t)], { flags })

  assert.equal(code, 0, errors)
  const { counts, grown } = JSON.parse(output)
  assert.deepEqual(counts, [1_000_000, 1_000_000, 1_000_000])
  t.diagnostic(`memory grew by ${grown.toFixed(1)} MiB`)
  assert.ok(grown < HEAP_MIB + BESIDES_MIB, `it grew by ${grown} MiB`)
})
