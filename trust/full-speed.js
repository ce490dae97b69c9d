'use strict'

/*
 * Memory and disk under a load that writes, reads, scans and deletes as fast as it can. `FLOWDB_LOAD_SECONDS` says
 * for how long.
 */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { runProgram, seedOf, temporary } = require('../__test__/support')

const programs = join(__dirname, 'programs')

const SECONDS = Number(process.env.FLOWDB_LOAD_SECONDS ?? 20)
const [MEMTABLE_MIB, CACHE_MIB] = [4, 8]
/** What comes beside memtables and cache: buffers of threads and compactions, requests, what the allocator keeps. */
const BESIDES_MIB = 40
/** The disk holds so many times the documents, and so much beside them: logs, tables that are being merged. */
const DISK_TIMES = 3
const DISK_BESIDES_MIB = 32

test(`${SECONDS} seconds of writing, reading, scanning and deleting at full speed stay within budgets of memory and disk`, async (t) => {
  const args = [temporary(t), SECONDS, MEMTABLE_MIB, CACHE_MIB, seedOf(t)].map(String)
  const options = { flags: ['--max-old-space-size=128'], msMax: (SECONDS + 120) * 1000 }
  const { code, signal, output, errors } = await runProgram('works-at-full-speed.js', args, { ...options, programs })
  assert.deepEqual({ code, signal, errors }, { code: 0, signal: null, errors: '' })
  const { met, nativeMib, diskMib, liveMib } = JSON.parse(output)

  t.diagnostic(output)
  const budget = 2 * MEMTABLE_MIB + CACHE_MIB
  assert.ok(nativeMib <= budget + BESIDES_MIB, `it took ${nativeMib} MiB of memory, and the budget is ${budget}`)
  assert.ok(diskMib <= DISK_TIMES * liveMib + DISK_BESIDES_MIB, `it took ${diskMib} MiB of disk for documents of ${liveMib}`)
  assert.ok(Object.values(met).every((documents) => documents > 1000), `some of the work was hardly done: ${output}`)
})
