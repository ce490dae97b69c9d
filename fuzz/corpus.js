'use strict'

/*
 * Writes the corpus of the fuzz target `operations`: what tests send to the addon. A file is the beginning of what one
 * database was sent, so that the stores that it speaks of are made in it. Run it again where operations have been added
 * or have changed: `node fuzz/corpus.js`, behind `npm run build`.
 */

const { spawnSync } = require('node:child_process')
const { mkdirSync, readdirSync, rmSync } = require('node:fs')
const { join } = require('node:path')

const ROOT = join(__dirname, '..')
const DIR = join(__dirname, 'corpus', 'operations')

/** Tests whose sessions are short and of many kinds. */
const TESTS = [
  'operations', 'flowdb', 'query', 'versions', 'savepoints', 'transactions', 'upgrades', 'watching', 'moving',
  'cursors', 'administration', 'series', 'flash-store', 'flash-ranges', 'flash-batches', 'flash-updates',
  'flash-namespaces', 'flash-expiry', 'flash-conditions', 'write-durability', 'attempts',
  'keyspace'
]

rmSync(DIR, { recursive: true, force: true })
mkdirSync(DIR, { recursive: true })
for (const test of TESTS) {
  const args = ['--require', join(__dirname, 'capture.js'), join(ROOT, '__test__', `${test}.test.js`)]
  const env = { ...process.env, FLOWDB_CORPUS: DIR, FLOWDB_CORPUS_NAME: test }
  const { status } = spawnSync(process.execPath, args, { env })
  if (status !== 0) throw new Error(`${test}.test.js ended with ${status}: the corpus is of tests that pass`)
}
rmSync(join(DIR, '..', 'pairs.json'), { force: true })
console.log(`${readdirSync(DIR).length} files`)
