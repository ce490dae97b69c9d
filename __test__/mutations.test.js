'use strict'

/*
 * The faults of scripts/mutations.js have to follow the code: every run sees here that each of them still fits, and
 * that the tests that are to find it are there. Whether they find it, `node scripts/mutations.js` tells.
 */

const assert = require('node:assert/strict')
const { readFileSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')

const { AREAS, FAULTS, inject } = require('../scripts/mutations/catalogue')

const root = join(__dirname, '..')
const read = (file) => readFileSync(join(root, file), 'utf8')

/** The texts of the files in a folder, those in folders within it, too. */
function textsIn (folder, extension) {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return files.filter((file) => file.endsWith(extension)).map((file) => read(join(folder, file)))
}

const rust = [...textsIn('src', '.rs'), ...textsIn('tests', '.rs')]

/** Whether a test of this name is in the file, or in any file of Rust. */
function isThere ({ program, name }) {
  if (program.endsWith('.js')) return read(join('__test__', program)).includes(`'${name.replaceAll('\'', '\\\'')}'`)
  const called = `fn ${name.split('::').at(-1)}()`
  return rust.some((text) => text.includes(called))
}

test('every fault fits the code exactly once and changes it', () => {
  for (const fault of FAULTS) {
    const text = read(fault.file)
    assert.notEqual(inject(text, fault), text, fault.name)
  }
})

test('a fault that fits nowhere, or twice, is told from one that fits', () => {
  const fault = { name: 'one', file: 'any.rs', from: 'b', to: 'c', tests: [] }

  assert.equal(inject('abd', fault), 'acd')
  assert.throws(() => inject('ad', fault), /no longer fits the code: one\n {2}any\.rs: "b" is not there/)
  assert.throws(() => inject('abdb', fault), /is there 2 times/)
})

test('every fault is one of its own, of code that is shipped, with tests that are there', () => {
  assert.equal(new Set(FAULTS.map(({ name }) => name)).size, FAULTS.length)
  for (const { name, file, tests } of FAULTS) {
    assert.match(file, /^(src|lib)\//, name)
    assert.ok(tests.length > 0, name)
    for (const one of tests) assert.ok(isThere(one), `${name}: there is no test ${one.name}`)
  }
})

test('every part of the engine has faults, in the order of the files', () => {
  assert.ok(FAULTS.length >= 32)
  for (const [area, faults] of AREAS) {
    const files = faults.map(({ file }) => file)
    assert.deepEqual(files, [...files].sort(), area)
    assert.ok(faults.length >= 8, area)
  }
})
