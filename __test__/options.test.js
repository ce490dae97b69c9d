'use strict'

/* Every option of a database: its names, its limits, and that the pages and types say what the engine does. */

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')

const { FlashStore, FlowDB } = require('..')
const { optionNames, readOptions } = require('../lib/options.js')
const { temporary } = require('./support.js')

const MIB = 1024 * 1024
const read = (file) => readFileSync(join(__dirname, '..', file), 'utf8')
const names = [...optionNames.keys()]

/** Values that an option takes, and values that it doesn't. */
function valuesOf ({ description: { kind, least, most, words }, synonym }) {
  switch (kind) {
    case 'path': return { good: ['somewhere'], bad: ['', 1, true, null, 'a\0b', {}] }
    case 'flag': return { good: [true, false], bad: ['true', 1, 0, null, {}] }
    case 'word': return { good: words.map((word) => word[synonym]), bad: ['', 'whatever', 1, true, null] }
    case 'megabytes': return {
      good: [least / MIB, most / MIB],
      bad: [(least - 1) / MIB, most / MIB * 1.01, NaN, Infinity, '1', null, 1n]
    }
    default: return { good: [least, most], bad: [least - 1, most + 1, least + 0.5, NaN, Infinity, '1', null, 1n] }
  }
}

test('every option takes its limits and refuses what lies beyond, by its name', async () => {
  for (const [name, option] of optionNames) {
    const base = ['readOnly', 'dataDir', 'inMemory'].includes(name) ? { dataDir: 'somewhere' } : { inMemory: true }
    if (name === 'syncIntervalMs') base.durability = 'relaxed'
    const { good, bad } = valuesOf(option)
    for (const value of good) {
      const { settings } = readOptions('test', { ...base, [name]: value })
      const given = settings.find((setting) => setting.name === option.description.name)
      const text = name === 'dataDir' ? join(process.cwd(), value) : String(value)
      assert.equal(given?.value, text, name)
    }
    for (const value of bad) {
      const expected = { name: 'FlowDBError', code: 'FLOWDB_INVALID_ARGUMENT', message: new RegExp(`^${name} `) }
      assert.throws(() => FlowDB.open({ ...base, [name]: value }), expected, `${name}: ${String(value)}`)
    }
  }
})

test('the engine takes every option at both of its limits', async () => {
  // Not opened: a handle checks the settings as the engine does.
  const native = require('../lib/native.js')
  for (const [name, option] of optionNames) {
    for (const value of valuesOf(option).good) {
      if (name === 'inMemory' && value === false) continue
      const sync = name === 'syncIntervalMs' ? { durability: 'relaxed' } : {}
      const { settings } = readOptions('test', { dataDir: '/nowhere', ...sync, [name]: value })
      native.forget(native.create(settings))
    }
  }
})

test('a database opens and works with many options at once', async (t) => {
  const db = FlowDB.open({
    dataDir: join(temporary(t), 'db'),
    durability: 'relaxed',
    syncIntervalMs: 20,
    memtableSizeMb: 1 / 256,
    maxFrozenMemtables: 1,
    flushIntervalMs: 50,
    blockSize: 128,
    tableSizeMb: 1 / 256,
    blockCacheCapacityMb: 0.5,
    indexMemoryBudgetMb: 0,
    maxOpenFiles: 8,
    bloomBitsPerKey: 0,
    compression: 'none',
    compactionThreshold: 2,
    levelSizeMb: 1 / 64,
    writeLimitMbPerSec: 100,
    gcIntervalSecs: 1,
    defaultTtlSecs: 60,
    timeBucketSecs: 60,
    autoBackground: true
  })
  await db.createObjectStore('notes', 'id')
  await Promise.all(Array.from({ length: 500 }, (_, id) => db.put('notes', { id, text: 'x'.repeat(100) })))
  assert.equal(await db.count('notes'), 500)
  assert.deepEqual(await db.get('notes', 499), { id: 499, text: 'x'.repeat(100) })
  const { openFiles, pinnedBytes } = await db.stats()
  assert.ok(openFiles <= 8, `${openFiles} files are open`)
  assert.equal(pinnedBytes, 0)
  await db.close()
})

test('an unknown option is refused with the one that was meant', () => {
  for (const [name, meant] of [
    ['memtable_size_mb', 'memtableSizeMb'], ['memtableSize', 'memtableSizeMb'], ['cacheCapacityMb', 'blockCacheCapacityMb'],
    ['datadir', 'dataDir'], ['blokSize', 'blockSize'], ['durabilty', 'durability'], ['memtableSizeBytes', 'memtableSizeMb'],
    ['syncMode', undefined]
  ]) {
    const hint = meant === undefined ? '"$' : `; did you mean ${meant}\\?$`
    const expected = { code: 'FLOWDB_INVALID_ARGUMENT', message: new RegExp(`has no option ${JSON.stringify(name)}${hint.replace(/^"/, '')}`) }
    assert.throws(() => FlowDB.open({ inMemory: true, [name]: 1 }), expected, name)
    assert.throws(() => new FlashStore({ inMemory: true, [name]: 1 }), expected, name)
  }
  const huge = 'x'.repeat(1_000_000)
  assert.throws(() => FlowDB.open({ inMemory: true, [huge]: 1 }), ({ message }) => message.length < 300)
})

test('two names of one option are refused together, and options that exclude each other', () => {
  const refused = (options, message) => assert.throws(() => FlowDB.open(options), { code: 'FLOWDB_INVALID_ARGUMENT', message })
  refused({ inMemory: true, durability: 'strict', walSyncMode: 'always' }, /durability and walSyncMode are two names of one option/)
  refused({ inMemory: true, syncIntervalMs: 5 }, /relaxed/)
  refused({ inMemory: true, walSyncMode: 'never', syncIntervalMs: 5 }, /relaxed/)
  refused({ inMemory: true, readOnly: true }, /exclude each other/)
  refused({ blockSize: 4096 }, /needs a dataDir/)
  refused({ durability: 'always', inMemory: true }, /^durability is "strict" or "relaxed" or "none"/)
  refused({ walSyncMode: 'strict', inMemory: true }, /^walSyncMode is "always" or "interval" or "never"/)
})

test('the types have every option, and no other', () => {
  const [, body] = /export interface OpenOptions \{\n(.*?)\n\}/s.exec(read('index.d.ts'))
  const typed = [...body.matchAll(/^ {2}(\w+)\?: (.*)$/mg)]
  assert.deepEqual(typed.map(([, name]) => name).sort(), [...names].sort())
  for (const [, name, type] of typed) {
    const { description: { kind, words }, synonym } = optionNames.get(name)
    const expected = {
      path: 'string', flag: 'boolean', whole: 'number', megabytes: 'number', word: words.map((word) => `'${word[synonym]}'`).join(' | ')
    }[kind]
    assert.equal(type, expected, name)
  }
})

test('docs/tuning.md has a row for every option, with its names, default and limits', () => {
  const page = read('docs/tuning.md')
  const number = (value) => value.toLocaleString('en-US', { maximumFractionDigits: 10 })
  const rows = new Map()
  for (const [, rust, js, def, limits] of page.matchAll(/^\| `(\w+)` \| `(\w+)`[^|]*\| ([^|]*) \| ([^|]*) \|/mg)) rows.set(rust, { js, def, limits })
  for (const [name, { description, synonym }] of optionNames) {
    const { kind, least, most, words } = description
    if (synonym === 1) {
      assert.ok(page.includes(`\`${name}\``), `${name} is not on the page`)
      continue
    }
    const row = rows.get(description.name)
    assert.ok(row, `docs/tuning.md has no row for ${description.name}`)
    assert.equal(row.js, name, description.name)
    const scale = kind === 'megabytes' ? MIB : 1
    const shown = {
      path: ['none', 'a path'],
      flag: [String(description.default === 1), 'true, false'],
      word: [`\`${words[description.default]?.[0]}\``, words.map((word) => `\`${word[0]}\``).join(', ')]
    }[kind] ?? [number(description.default / scale), `${fraction(least / scale, number)} to ${number(most / scale)}`]
    assert.deepEqual([row.def, row.limits], shown, description.name)
    rows.delete(description.name)
  }
  assert.deepEqual([...rows.keys()], [], 'docs/tuning.md has rows for options that there are not')
})

/** A number below 1 as its fraction. */
function fraction (value, number) {
  return value > 0 && value < 1 ? `1/${1 / value}` : number(value)
}
