'use strict'

/*
 * docs/flowdb/README.md has every call on documents, with the tests that guard it. What is public in JavaScript, in the
 * types and in Rust has to be named there, and every test that is named has to be there.
 *
 * In a cell of calls each piece of code is `db.put(…)` or `JsonDb::open`; a bare name belongs to the one before it.
 */

const assert = require('node:assert/strict')
const { readFileSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlowDB, KeyRange } = require('..')
const { gathered, openInMemory } = require('./support')

const root = join(__dirname, '..')
const folder = join(root, 'docs', 'flowdb')
const read = (file) => readFileSync(join(root, file), 'utf8')

/** The cells of the table, row by row, without those of headings. */
function rowsOf (page) {
  const rows = page.split('\n').filter((line) => line.startsWith('| ')).map((line) => line.split(/(?<!\\)\|/).slice(1, -1))
  return rows.slice(1).map((cells) => cells.map((cell) => cell.trim())).filter(([, , tests]) => tests !== '')
}

/** The calls of a cell, each with whom it belongs to: `['db', 'put']`. */
function callsOf (cell) {
  let owner
  return [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, code]) => {
    const [, its, name] = /^(?:(\w+)(?:\.|::))?(\w+)/.exec(code) ?? []
    owner = its ?? owner
    return name === undefined ? [] : [[owner, name]]
  })
}

const rows = rowsOf(readFileSync(join(folder, 'README.md'), 'utf8'))
const named = new Set(rows.flatMap(([, calls]) => callsOf(calls)).map(([owner, name]) => `${owner}.${name}`))

/** Those of `names` that the table lacks for each of the owners. */
const missing = (names, ...owners) => names.filter((name) => !owners.some((owner) => named.has(`${owner}.${name}`)))

/** The names of what an object has and inherits, but for those of all objects. */
function namesOf (object) {
  const names = Object.keys(object)
  for (let at = Object.getPrototypeOf(object); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    names.push(...Object.getOwnPropertyNames(at).filter((name) => name !== 'constructor'))
  }
  return names
}

test('the table of calls names everything that FlowDB and what comes from it have', async (t) => {
  const db = await openInMemory(t, { rows: 'id' })
  await db.put('rows', { id: 1 })
  const [cursor] = await gathered(db.cursor('rows'))
  const statics = (type) => Object.getOwnPropertyNames(type).filter((name) => !['length', 'name', 'prototype'].includes(name))

  for (const [names, ...owners] of [
    [namesOf(db), 'db'], [namesOf(db.transaction('rows')), 'tx', 'db'], [namesOf(db.query('rows')), 'query'],
    [namesOf(cursor), 'cursor'], [namesOf(db.watch()), 'watch'], [namesOf(db.series('heat')), 'series'],
    [namesOf(KeyRange.only(1)), 'range'], [statics(FlowDB), 'FlowDB'], [statics(KeyRange), 'KeyRange']
  ]) {
    assert.ok(names.length > 0)
    assert.deepEqual(missing(names, ...owners), [], owners.join())
  }
})

test('the table of calls names everything that the types have', () => {
  const types = read('index.d.ts')
  const membersOf = (name) => {
    const [, body] = new RegExp(`^export (?:interface|class|const) ${name}\\b[^]*?\\{\\n([^]*?)^\\}`, 'm').exec(types)
    return [...body.matchAll(/^ {2}(?:static |readonly )*(\w+)\??(?:<.*>)? ?[(:]/mg)].map(([, member]) => member)
      .filter((member) => !['new', 'prototype', 'constructor'].includes(member))
  }
  for (const [name, ...owners] of [
    ['Documents', 'db'], ['Definitions', 'db'], ['FlowDB', 'db'], ['Transaction', 'tx'], ['Query', 'query'],
    ['DocumentCursor', 'cursor'], ['Watch', 'watch'], ['Series', 'series'], ['KeyRange', 'KeyRange', 'range']
  ]) {
    assert.ok(membersOf(name).length > 0, name)
    assert.deepEqual(missing(membersOf(name), ...owners), [], name)
  }
})

/** The public functions of some types in Rust, as `['JsonDb', 'open']`. */
function functionsIn (source) {
  let type
  const functions = []
  for (const line of source.split('\n')) {
    type = /^impl(?:<.*?>)? (\w+)(?:<.*>)? \{/.exec(line)?.[1] ?? (line.startsWith('}') ? undefined : type)
    const name = /^ {4}pub fn (\w+)/.exec(line)?.[1]
    if (type !== undefined && name !== undefined && !name.endsWith('_for_tests')) functions.push([type, name])
  }
  return functions
}

test('the table of calls names everything that the types of documents in Rust have', () => {
  const files = readdirSync(join(root, 'src/jsondb'), { recursive: true }).filter((file) => file.endsWith('.rs'))
  const functions = files.flatMap((file) => functionsIn(read(join('src/jsondb', file))))
  const types = ['JsonDb', 'Transaction', 'Collection', 'Members', 'Walk', 'Query', 'QueryBuilder', 'QueryCursor', 'Watch']
  for (const type of types) {
    const names = functions.filter(([its]) => its === type).map(([, name]) => name)
    assert.ok(names.length > 0, type)
    assert.deepEqual(missing(names, type === 'Members' ? 'Collection' : type), [], type)
  }
})

/** Whether a file has a test of this title; in Rust with `_` for the spaces. */
function hasTest (file, title) {
  const text = readFileSync(join(folder, file), 'utf8').replaceAll('\\', '')
  if (file.endsWith('.rs')) return text.includes(`fn ${title.replaceAll(' ', '_')}()`)
  return ['\'', '`'].some((quote) => text.includes(`(${quote}${title}`))
}

test('every test that the table of calls names is there, and every row names one', () => {
  const complaints = []
  for (const [feature, , tests] of rows) {
    const files = [...tests.matchAll(/\[[^\]]+\]\(([^)]+)\): ((?:\*[^*]+\*(?:, )?)+)/g)]
    if (files.length !== tests.split('](').length - 1) complaints.push(`${feature}: a test has no title`)
    for (const [, file, titles] of files) {
      for (const [, title] of titles.matchAll(/\*([^*]+)\*/g)) {
        if (!hasTest(file, title)) complaints.push(`${feature}: ${file} has no test "${title}"`)
      }
    }
  }
  assert.deepEqual(complaints, [])
  assert.equal(hasTest('../../__test__/calls.test.js', 'a title that ' + 'there is not'), false)
})
