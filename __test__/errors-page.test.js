'use strict'

/* docs/errors.md has a heading for every code, and the types and the Rust code know the same ones. */

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')

const read = (file) => readFileSync(join(__dirname, '..', file), 'utf8')
const codesIn = (text, pattern) => [...new Set([...text.matchAll(pattern)].map(([, code]) => code))].sort()

test('every code of an error has its heading, its type, and nothing has one too many', () => {
  const codes = codesIn(read('src/error.rs'), /=> "(FLOWDB_\w+)"/g)
  assert.ok(codes.length >= 20)
  assert.deepEqual(codesIn(read('docs/errors.md'), /^## (FLOWDB_\w+)$/mg), codes)
  assert.deepEqual(codesIn(read('index.d.ts'), /'(FLOWDB_\w+)'/g), codes)
})
