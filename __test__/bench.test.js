'use strict'

/* The parts of bench/ that need no peers: data, medians, ratios, tables, the command line. */

const assert = require('node:assert/strict')
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { test } = require('node:test')
const { NAMES, adapterOf } = require('../bench/adapters/index.js')
const { FAMILIES } = require('../bench/families/index.js')
const { checkEntries, WrongAnswer } = require('../bench/lib/answers.js')
const { chart } = require('../bench/lib/charts.js')
const { entryOf, keyOf, missOf, permutation, valueOf } = require('../bench/lib/data.js')
const { Lines } = require('../bench/lib/lines.js')
const { readOptions } = require('../bench/lib/options.js')
const { Results, quantile } = require('../bench/lib/results.js')
const { runAll } = require('../bench/lib/runs.js')
const { figureTable, missList, replaceSection } = require('../bench/lib/table.js')

const SCAN = /** @type {const} */ ({ name: 'scan', unit: '/s', better: 'more' })
const OPEN = /** @type {const} */ ({ name: 'open', unit: 'ms', better: 'less' })
const SHOWN = { lines: [SCAN, OPEN], engines: ['flowdb', 'lmdb', 'rocksdb'], ours: 'flowdb', baseline: 'idle' }

/** @param {...object} rows */
function resultsOf (...rows) {
  const results = new Results()
  for (const row of rows) results.add(row)
  return results
}

test('ratios above one mean that FlowDB is ahead, in rates and in costs', () => {
  const results = resultsOf(
    { engine: 'flowdb', line: 'scan', value: 300 }, { engine: 'flowdb', line: 'open', value: 2 },
    { engine: 'lmdb', line: 'scan', value: 600 }, { engine: 'lmdb', line: 'open', value: 8 },
    { engine: 'rocksdb', line: 'scan', value: 100 }, { engine: 'rocksdb', line: 'open', value: 1 }
  )

  const table = figureTable({ ...SHOWN, results })

  assert.ok(table.includes('| scan | /s | 300 | 600 (0.50) | 100 (3.00) | 0.50 (lmdb) |'), table)
  assert.ok(table.includes('| open | ms | 2.00 | 8.00 (4.00) | 1.00 (0.50) | 0.50 (rocksdb) |'), table)
})

test('figures are medians of the rounds, and a round without one takes the figure away', () => {
  const rounds = [1, 9, 3].map((value) => ({ engine: 'lmdb', line: 'scan', value }))
  assert.equal(resultsOf(...rounds).figure('lmdb', 'scan'), 3)
  assert.equal(quantile([4, 1, 2, 3], 0.5), 2.5)

  const results = resultsOf(...rounds, { engine: 'lmdb', line: 'scan', wrong: '9 entries' })

  assert.equal(results.figure('lmdb', 'scan'), undefined)
  assert.ok(figureTable({ ...SHOWN, results }).includes('| scan | /s | – | wrong | – | – |'))
})

test('what a peer can\'t do is said with the reason, once for all lines', () => {
  const cannot = 'it has no order'
  const results = resultsOf({ engine: 'lmdb', line: 'scan', cannot }, { engine: 'lmdb', line: 'open', cannot })
  const families = [{ name: 'everything', facet: /** @type {const} */ ('open'), lines: [SCAN, OPEN], stages: [] }]

  assert.equal(missList({ ...SHOWN, results, families }), '- **lmdb** can\'t be measured: it has no order (all of everything)')
})

test('the table is put between the comments of the page, again and again', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'flowdb-bench-test-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const page = join(dir, 'page.md')
  writeFileSync(page, 'before\n<!-- x -->\nold\n<!-- end of x -->\nafter\n')

  replaceSection(page, 'x', 'one')
  replaceSection(page, 'x', 'two')

  assert.equal(readFileSync(page, 'utf8'), 'before\n<!-- x -->\n\ntwo\n\n<!-- end of x -->\nafter\n')
  assert.throws(() => replaceSection(page, 'y', 'text'), /lacks <!-- y -->/)
})

test('the best bar of a chart is the longest, also where less is better', () => {
  const results = resultsOf({ engine: 'flowdb', line: 'open', value: 2 }, { engine: 'lmdb', line: 'open', value: 4 })

  const svg = String(chart({ ...SHOWN, title: 'a < b', results }))

  const widths = [...svg.matchAll(/<rect x="\d+" y="\d+" width="(\d+)"/g)].map(([, width]) => Number(width))
  assert.deepEqual(widths, [480, 240])
  assert.ok(svg.includes('<title>a &lt; b</title>'))
  assert.equal(chart({ ...SHOWN, title: '', results: resultsOf() }), undefined)
})

test('every process makes the same data: a permutation, keys in order, misses among them, values of their size', () => {
  for (const count of [1, 2, 3, 1000, 4097]) {
    const entryAt = permutation(count)
    assert.equal(new Set(Array.from({ length: count }, (_, at) => entryAt(at))).size, count)
  }
  for (const n of [0, 1, 999, 123456789]) {
    assert.equal(keyOf(n).length, 16)
    assert.equal(entryOf(keyOf(n)), n)
    assert.ok(keyOf(n) < missOf(n) && missOf(n) < keyOf(n + 1))
    assert.equal(valueOf(n, 100).length, 100)
    assert.equal(valueOf(n, 100), valueOf(n, 100))
    assert.notEqual(valueOf(n, 100), valueOf(n + 1, 100))
  }
})

test('an answer that is not the right one is noticed, and ends the work on that engine', async () => {
  await checkEntries(5, [[keyOf(5), valueOf(5, 100)]], 100)
  await assert.rejects(checkEntries(5, [[keyOf(6), valueOf(6, 100)]], 100), WrongAnswer)
  await assert.rejects(checkEntries(5, [[keyOf(5), valueOf(6, 100)]], 100), WrongAnswer)

  /** @type {any[]} */
  const told = []
  const scale = { entries: 1000, valueBytes: 100, seconds: 1, fillSeconds: 1 }
  const lines = new Lines({ adapter: adapterOf('idle'), scale, dir: '', only: [], tell: (line) => told.push(line) })
  await lines.line('one', () => Promise.reject(new Error('broken')))
  await assert.rejects(lines.line('two', () => Promise.reject(new WrongAnswer('5 is 6'))), WrongAnswer)
  assert.deepEqual(told, [{ line: 'one', failed: 'broken' }, { line: 'two', wrong: '5 is 6' }])
})

test('the command line is checked, and names a preset whose parts it may change', () => {
  const options = readOptions(['--preset', 'full', '--entries', '5000', '--engines', 'lmdb,flowdb', '--only', 'get'], NAMES)
  assert.deepEqual([options.entries, options.rounds, options.engines, options.only], [5000, 5, ['lmdb', 'flowdb'], ['get']])
  for (const bad of [['--preset', 'x'], ['--entries', 'many'], ['--engines', 'pikodb'], ['--rounds'], ['--what', '1']]) {
    assert.throws(() => readOptions(bad, NAMES), /--preset is one of|is a number|there is no engine|is no option/)
  }
})

test('every line has one name, and every adapter says of each durability how it is set or why it can\'t be', () => {
  const names = FAMILIES.flatMap(({ lines }) => lines.map(({ name }) => name))
  assert.equal(new Set(names).size, names.length)
  for (const name of NAMES) {
    const adapter = adapterOf(name)
    assert.equal(adapter.name, name)
    for (const durability of /** @type {const} */ (['strict', 'relaxed'])) {
      assert.ok(adapter.durability[durability] ?? adapter.cannot?.[durability], `${name}: ${durability}`)
    }
  }
})

test('a process that dies costs its lines and nothing else, and each second round goes the other way', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'flowdb-bench-test-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const options = readOptions(
    ['--preset', 'smoke', '--entries', '2000', '--rounds', '2', '--only', 'put awaited, relaxed', '--dir', dir], NAMES)
  const idle = adapterOf('idle')
  // There is no file for it, so its process fails at once.
  const unknown = { ...idle, name: 'unknown' }
  /** @type {any[]} */
  const rows = []

  await runAll(options, FAMILIES, [unknown, idle], { row: (row) => rows.push(row), note: () => {} })

  assert.deepEqual(rows.map(({ engine, round }) => `${round} ${engine}`), ['1 unknown', '1 idle', '2 idle', '2 unknown'])
  assert.deepEqual(rows.map(({ failed }) => failed !== undefined), [true, false, false, true])
  assert.ok(rows[1].value > 0)
})
