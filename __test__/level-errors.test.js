'use strict'

/* Every error of ours has a code of abstract-level's in flowdb/level, and docs/adapters/level.md says which. */

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlowDBError } = require('..')
const { told, toldSync } = require('../lib/level-errors.js')
const { errorOf } = require('./support.js')

const read = (file) => readFileSync(join(__dirname, '..', file), 'utf8')
const namesIn = (text, pattern) => [...text.matchAll(pattern)].map(([, name]) => name)

const codes = namesIn(read('docs/errors.md'), /^## (FLOWDB_\w+)$/mg)
const known = namesIn(read('node_modules/abstract-level/README.md'), /^#### `(LEVEL_\w+)`$/mg)

/** The code of abstract-level's that the page names for each of ours. */
const written = new Map(namesIn(read('docs/adapters/level.md'), /^(\| `LEVEL_.*)$/mg).flatMap((row) => {
  const [level, ...own] = namesIn(row, /`((?:LEVEL|FLOWDB)_\w+)`/g)
  return own.map((code) => [code, level])
}))

test('every code of an error becomes one that abstract-level has, the one that is written, and stays the cause', async () => {
  assert.ok(codes.length >= 20 && known.length >= 20)
  for (const code of codes) {
    const cause = new FlowDBError(code, `what ${code} says`)
    const inCall = async () => toldSync(() => { throw cause })
    for (const error of [await errorOf(told(Promise.reject(cause))), await errorOf(inCall())]) {
      assert.ok(known.includes(error.code), `${code} becomes ${error.code}`)
      assert.equal(error.code, written.get(code), code)
      assert.deepEqual([error.message, error.cause], [cause.message, cause])
    }
  }
  assert.deepEqual([...written.keys()].sort(), [...codes].sort())
})

test('an abort is told by its name too, and what is nobody\'s error stays as it is', async () => {
  const aborted = await errorOf(told(Promise.reject(new FlowDBError('FLOWDB_ABORTED', 'the environment ends'))))
  assert.deepEqual([aborted.name, aborted.code], ['AbortError', 'LEVEL_ABORTED'])
  const thrown = new RangeError('of a user\'s encoding')
  assert.equal(await errorOf(told(Promise.reject(thrown))), thrown)
})
