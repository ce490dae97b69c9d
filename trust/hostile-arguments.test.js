'use strict'

/*
 * Hostile values in the place of every argument of everything that a program can call, in processes of their own: each
 * call is answered or refused with a typed error, and what is there stays there.
 *
 * `FLOWDB_HOSTILE_CALLS` says how often several arguments of a call are replaced at once.
 */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { runProgram, seedOf, temporaryInMemory } = require('../__test__/support')

const programs = join(__dirname, 'programs')
const DRAWN = Number(process.env.FLOWDB_HOSTILE_CALLS ?? 5)
const SIDE_BY_SIDE = 2
/** The program finds by itself what hangs; on a machine with much else to do all of it may take its time. */
const MS_MAX = 600_000 + DRAWN * 60_000

/** What a program has printed last. */
function lastOf ({ code, signal, output, errors }, where) {
  const last = output.trim().split('\n').at(-1)
  assert.deepEqual({ code, signal, errors }, { code: 0, signal: null, errors: '' }, `${where}, ended ${last.slice(0, 200)}`)
  return JSON.parse(last)
}

test('hostile values in place of arguments get a typed error or an answer, change nothing else, and crash and hang nothing', async (t) => {
  const seed = seedOf(t)
  const parts = await Promise.all(Array.from({ length: SIDE_BY_SIDE }, async (_, part) => {
    const args = [temporaryInMemory(t), seed, DRAWN, part, SIDE_BY_SIDE].map(String)
    return lastOf(await runProgram('takes-hostile-arguments.js', args, { programs, msMax: MS_MAX }), `FLOWDB_SEED=${seed}`)
  }))
  const sum = (name) => parts.reduce((sum, part) => sum + part[name], 0)
  assert.deepEqual(parts.flatMap(({ wrong }) => wrong), [], `FLOWDB_SEED=${seed}`)
  const codes = new Set(parts.flatMap((part) => Object.keys(part.codes)).filter((code) => /^(FLOWDB|LEVEL)_/.test(code)))
  t.diagnostic(`hostile calls: ${sum('calls')}, refused: ${sum('refused')} with ${codes.size} codes, crashes: 0, wrong: 0`)
  assert.ok(parts.every(({ counts }) => Object.values(counts).every(([calls]) => calls > 10)), 'a place was hardly called')
})

test('hostile arguments to the addon itself crash nothing and hang nothing', async (t) => {
  const { calls, refused, wrong } = lastOf(await runProgram('calls-the-addon.js', [], { programs }), 'the addon')
  assert.deepEqual(wrong, [])
  t.diagnostic(`hostile calls to the addon: ${calls}, refused: ${refused}`)
})
