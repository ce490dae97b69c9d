'use strict'

/* Moving data: exports, imports, backups, and what is told of the size of stores. */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const { createReadStream, createWriteStream, existsSync, readFileSync, readdirSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { PassThrough, Readable, Writable } = require('node:stream')
const test = require('node:test')
const { FlashStore, FlowDB } = require('..')
const { documentLine, readLine } = require('../lib/exchange.js')
const { errorOf, openInMemory, temporary } = require('./support.js')

const KEYS = [
  null, false, true, -Infinity, -1.5, 0, 2 ** 53, 5e-324, Infinity, 10n ** 30n, -(10n ** 30n), new Date(0),
  new Date(-8.64e15), '', 'text', ',"value":', '\ud800', '\u0000"\\', '__proto__', new Uint8Array(0),
  new Uint8Array([0, 255, 10]), [], [[1, [null, 'a', new Date(5)]], 10n ** 20n, new Uint8Array([1])]
]

/** A stream that keeps what is written to it. */
function collector (options) {
  const chunks = []
  const stream = new Writable({
    ...options,
    write (chunk, _encoding, done) {
      chunks.push(chunk)
      setImmediate(done)
    }
  })
  const text = () => Buffer.concat(chunks).toString()
  return { stream, text, lines: () => text().split('\n').slice(0, -1) }
}

async function exported (db, options) {
  const { stream, text } = collector()
  await db.export(stream, options)
  return text()
}

/** Everything that is known of every document of a store. */
async function entries (db, store) {
  const all = []
  for (const key of await db.getAllKeys(store)) all.push(await db.getEntry(store, key))
  return all
}

/** A database with stores of every kind and documents in them. */
async function filled (t) {
  const db = await openInMemory(t)
  await db.createObjectStore('users', { keyPath: 'id', defaultTtl: 86_400.057 })
  await db.createIndex('users', 'by_mail', 'mail', true)
  await db.createIndex('users', 'by_tag', 'tags', { multiEntry: true })
  await db.createIndex('users', 'by_place', ['country', 'city'])
  await db.createObjectStore('numbered', { autoIncrement: true })
  await db.createObjectStore('keys')
  await db.createObjectStore('empty')
  await db.put('users', { id: 1, mail: 'a', tags: ['x', 'y'], country: 'DE', city: 'Ulm' })
  await db.put('users', { id: 1, mail: 'b', tags: ['x'], country: 'DE', city: 'Ulm' }, { expiresAt: null })
  await db.put('users', { id: 2, mail: 'c' }, { expiresAt: Date.now() + 10_000_000 })
  await db.put('numbered', { text: 'line\nbreak \u2028 \ud83d\ude00 \ud800 "quotes" ,"value":' })
  await db.put('numbered', JSON.parse('{"__proto__":{"constructor":1},"n":[0.1,1e300,-5e-324]}'))
  for (const key of KEYS) await db.put('keys', { key: String(Array.isArray(key) ? 'array' : key) }, key)
  return db
}

test('what is exported and imported is the same: schema, keys, documents, versions, times and expiries', async (t) => {
  const db = await filled(t)
  const text = await exported(db)
  const copy = await openInMemory(t)

  const imported = await copy.import(Readable.from([text]))

  const count = 2 + 2 + KEYS.length
  assert.deepEqual(imported, { documents: count, expired: 0, lines: count + 2, schemaVersion: 0 })
  assert.deepEqual(await copy.storeNames(), await db.storeNames())
  for (const store of await db.storeNames()) {
    assert.deepEqual(await copy.describe(store), await db.describe(store))
    assert.deepEqual(await entries(copy, store), await entries(db, store))
  }
  assert.deepEqual((await copy.getByIndex('users', 'by_tag', 'x')).map(({ id }) => id), [1])
  assert.equal((await copy.getEntry('users', 1)).version, 2)
  // The copy exports the same lines; only the last line would tell of a difference.
  assert.equal(await exported(copy), text)
  assert.equal(await copy.put('numbered', {}), 3)
})

test('values that are not JSON come through as they are', async (t) => {
  const dataDir = temporary(t)
  const store = new FlashStore({ dataDir })
  const values = [new Map([[1, new Set(['a'])]]), new Date(7), 10n ** 20n, new Uint8Array([1, 2, 3]), -0, undefined, 'text']
  for (const [index, value] of values.entries()) await store.set(index, value)
  await store.close()
  const db = FlowDB.open({ dataDir })
  const text = await exported(db)
  await db.close()
  const copyDir = temporary(t)
  const copy = FlowDB.open({ dataDir: copyDir })

  await copy.import(Readable.from(text.split(/(?<=\n)/)))
  await copy.close()

  const again = new FlashStore({ dataDir: copyDir })
  t.after(() => again.close())
  for (const [index, value] of values.entries()) assert.deepEqual(await again.get(index), value)
})

test('the text of a document is kept, whatever a parser would make of it, and stays on its line', async (t) => {
  const db = await openInMemory(t, { items: 'id' })
  await db.put('items', { id: 1, n: 0 })
  await db.put('items', { id: 2 })
  const value = '{ "id":1, "n":12345678901234567890.10, "n":1e999}'
  const lines = (await exported(db)).split(/(?<=\n)/)
  lines[1] = lines[1].replace(/"value":.*/, `"value":${value}}`)
  const hash = createHash('sha256').update(lines.slice(0, 3).join('')).digest('hex')
  lines[3] = lines[3].replace(/"sha256":".*?"/, `"sha256":"${hash}"`)
  const copy = await openInMemory(t)
  await copy.import(Readable.from(lines))
  assert.equal(await exported(copy), lines.join(''))

  // As a Rust program may have written it.
  const row = { key: 1, version: 3, updatedAt: 5, expiresAt: 7, format: 1, document: '{\r\n\t"a": "\\n"\n}' }
  const line = documentLine('"items"', row).join('')
  assert.equal(line.indexOf('\n'), line.length - 1)
  assert.deepEqual(JSON.parse(readLine(line.slice(0, -1)).document), { a: '\n' })
})

test('an export is of one moment, whatever is written meanwhile', async (t) => {
  const db = await openInMemory(t, { items: 'id' })
  await db.update('items', async (tx) => {
    for (let id = 0; id < 2000; id++) await tx.put('items', { id, text: 'x'.repeat(200) })
  })
  const { stream, lines } = collector({ highWaterMark: 1000 })
  let written = 0
  const exporting = db.export(stream, {
    onProgress () {
      if (written++ === 0) db.clear('items')
    }
  })
  const { documents } = await exporting

  assert.equal(documents, 2000)
  assert.ok(written > 1)
  assert.equal(lines().length, 2002)
  assert.equal(await db.count('items'), 0)
})

test('an export says which version of the schema its documents have, whoever upgraded it', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  await db.ready
  const upgrade = (other) => other.createObjectStore('items', 'id')
  await FlowDB.open({ dataDir, version: 3, upgrade }).close()

  const [header] = (await exported(db)).split('\n')
  const copy = await openInMemory(t)
  const { schemaVersion } = await copy.import(Readable.from([await exported(db)]))

  assert.deepEqual([JSON.parse(header).schemaVersion, schemaVersion], [3, 3])
  await db.close()
})

test('a copy generates no key that was generated where it comes from, be it of a document that is gone', async (t) => {
  const db = await openInMemory(t)
  await db.createObjectStore('kept', { keyPath: 'id', autoIncrement: true })
  await db.createObjectStore('emptied', { autoIncrement: true })
  await db.createObjectStore('untouched', { autoIncrement: true })
  for (let id = 1; id <= 5; id++) await Promise.all([db.put('kept', {}), db.put('emptied', id)])
  await db.deleteMany('kept', [4, 5])
  await db.clear('emptied')
  const text = await exported(db)
  const dataDir = temporary(t)
  const first = FlowDB.open({ dataDir })
  await first.import(Readable.from([text]))
  await first.close()

  const copy = FlowDB.open({ dataDir })
  const keys = [copy.put('kept', {}), copy.put('emptied', 6), copy.put('untouched', 1)]
  assert.deepEqual(await Promise.all(keys), [6, 6, 1])
  await copy.close()

  // Of a file without them, the documents say how far it was.
  const older = await openInMemory(t)
  await assert.rejects(older.import(Readable.from([text.replaceAll(/"lastKey":\d+,/g, '')])), { code: 'FLOWDB_CORRUPTION' })
  assert.deepEqual([await older.put('kept', {}), await older.put('emptied', 1)], [4, 1])
})

test('an export writes no faster than its stream takes it', async (t) => {
  const db = await openInMemory(t, { items: 'id' })
  for (let id = 0; id < 300; id++) await db.put('items', { id, text: 'x'.repeat(10_000) })
  let most = 0
  const slow = new Writable({
    highWaterMark: 16 * 1024,
    write (chunk, _encoding, done) {
      most = Math.max(most, this.writableLength)
      setTimeout(done, 20)
    }
  })

  const { bytes } = await db.export(slow)

  assert.ok(bytes > 3_000_000)
  assert.ok(most < 200_000, `${most} bytes waited in the stream`)
  assert.ok(slow.writableFinished)
})

test('an export to a path is there when it is whole, and not before', async (t) => {
  const db = await filled(t)
  const folder = temporary(t)
  const file = join(folder, 'all.ndjson')
  writeFileSync(file, 'what was there')

  const aborting = new AbortController()
  const error = await errorOf(db.export(file, { signal: aborting.signal, onProgress: () => aborting.abort('enough') }))
  assert.equal(error.code, 'FLOWDB_ABORTED')
  assert.equal(error.cause, 'enough')
  assert.equal(readFileSync(file, 'utf8'), 'what was there')
  assert.deepEqual(readdirSync(folder), ['all.ndjson'])

  const { bytes, stores } = await db.export(file)
  assert.equal(stores, 4)
  assert.equal(readFileSync(file).length, bytes)
  assert.deepEqual(readdirSync(folder), ['all.ndjson'])
  const copy = await openInMemory(t)
  await copy.import(file)
  assert.equal(await copy.count('keys'), KEYS.length)
})

test('some stores may be exported alone, and a database without any', async (t) => {
  const db = await filled(t)

  const header = JSON.parse((await exported(db, { stores: ['users', 'empty', 'users'] })).split('\n')[0])
  assert.deepEqual(header.stores.map(({ name }) => name), ['empty', 'users'])
  await assert.rejects(exported(db, { stores: ['none'] }), { code: 'FLOWDB_NOT_FOUND' })

  const nothing = await openInMemory(t)
  const text = await exported(nothing)
  assert.equal(text.split('\n').length, 3)
  const imported = await nothing.import(Readable.from([text]))
  assert.deepEqual(imported, { documents: 0, expired: 0, lines: 2, schemaVersion: 0 })
})

test('what has expired on the way is left out, and told', async (t) => {
  const db = await openInMemory(t, { items: 'id' })
  await db.put('items', { id: 1 }, { expiresAt: Date.now() + 60 })
  await db.put('items', { id: 2 })
  const text = await exported(db)
  await new Promise((resolve) => setTimeout(resolve, 80))
  const copy = await openInMemory(t)

  const { documents, expired } = await copy.import(Readable.from([text]))

  assert.deepEqual([documents, expired], [1, 1])
  assert.equal(await copy.count('items'), 1)
})

test('bytes in any portions are the same import', async (t) => {
  const db = await filled(t)
  const bytes = Buffer.from(await exported(db))
  for (const size of [1, 7, 1000]) {
    const copy = await openInMemory(t)
    const scratch = Buffer.alloc(size)
    const portions = async function * () {
      for (let at = 0; at < bytes.length; at += size) yield scratch.subarray(0, bytes.copy(scratch, 0, at, at + size))
    }
    assert.equal((await copy.import(portions())).documents, 4 + KEYS.length, `portions of ${size}`)
  }
})

test('bytes that a program in Rust has written are read as bytes, and travel as they are', async (t) => {
  const db = await openInMemory(t, { items: null })
  await db.put('items', 'text', 2)
  const lines = (await exported(db)).split(/(?<=\n)/)
  const raw = '{"store":"items","key":1,"version":1,"updatedAt":0,"encoding":"raw","value":"AP8K"}\n'
  await assert.rejects(db.import(Readable.from([lines[0], raw])), { code: 'FLOWDB_CORRUPTION' })

  const bytes = new Uint8Array([0, 255, 10])
  assert.deepEqual(new Uint8Array(await db.get('items', 1)), bytes)
  assert.deepEqual((await db.getAll('items')).map((value) => typeof value === 'string' ? value : [...value]), [[...bytes], 'text'])
  assert.equal(await db.get('items', 2), 'text')
  assert.ok((await exported(db)).includes(raw))
})

/** An export of 2,500 documents as lines, which are read in three batches. */
async function linesOfItems (t) {
  const db = await openInMemory(t, { items: 'id' })
  await db.createIndex('items', 'by_u', 'u', true)
  await db.update('items', async (tx) => {
    for (let id = 0; id < 2500; id++) await tx.put('items', { id, u: id })
  })
  return (await exported(db)).split(/(?<=\n)/)
}

test('a bad line is an error with its number, and nothing of its batch or behind it is written', async (t) => {
  const lines = await linesOfItems(t)
  const bad = {
    FLOWDB_INVALID_VALUE: ['{"store":"items"', 'null\n', '[]\n', '\n', '{}\n', 'x,"value":}\n', '{"store":"items","value":1}\n',
      '{"store":"items","key":1,"version":0,"updatedAt":0,"value":{"id":1}}\n',
      '{"store":"items","key":1,"version":1,"updatedAt":-1,"value":{"id":1}}\n',
      '{"store":"items","key":1,"version":1,"updatedAt":0,"value":{"id":1},"more":1}\n',
      '{"store":"items","key":1,"version":1,"updatedAt":0,"encoding":"other","value":{"id":1}}\n',
      '{"store":"items","key":1,"version":1,"updatedAt":0,"encoding":"raw","value":"!"}\n',
      '{"store":"items","key":1,"version":1,"updatedAt":0,"encoding":"structured","value":"AAA="}\n',
      '{"store":"items","key":{"date":"x"},"version":1,"updatedAt":0,"value":{"id":1}}\n',
      '{"store":"items","key":{"bigint":{"toString":1}},"version":1,"updatedAt":0,"value":{"id":1}}\n',
      '{"store":"","key":1,"version":1,"updatedAt":0,"value":{"id":1}}\n',
      '{"key":1,"version":1,"updatedAt":0,"value":{"id":1}}\n',
      `{"store":"items","key":${'['.repeat(5000)}${']'.repeat(5000)},"version":1,"updatedAt":0,"value":{"id":1}}\n`,
      Buffer.from([0x7b, 0xff, 0x7d, 0x0a])],
    FLOWDB_INVALID_KEY: ['{"store":"items","key":2,"version":1,"updatedAt":0,"value":{"id":1}}\n',
      '{"store":"items","key":{"date":1e300},"version":1,"updatedAt":0,"value":{"id":1}}\n'],
    FLOWDB_NOT_FOUND: ['{"store":"none","key":1,"version":1,"updatedAt":0,"value":{"id":1}}\n'],
    FLOWDB_CONSTRAINT: ['{"store":"items","key":9000,"version":1,"updatedAt":0,"value":{"id":9000,"u":3}}\n']
  }
  for (const [code, texts] of Object.entries(bad)) {
    for (const text of texts) {
      const copy = await openInMemory(t)
      const error = await errorOf(copy.import(Readable.from([...lines.slice(0, 1500), text, ...lines.slice(1501)])))
      assert.equal(error.code, code, `${text}: ${error.message}`)
      assert.equal(error.line, 1501, String(text))
      assert.equal(error.resume, 1001)
      assert.equal(await copy.count('items'), 1000)
      await copy.close()
    }
  }
})

test('a first line that is none is refused before anything is written', async (t) => {
  const lines = await linesOfItems(t)
  const header = JSON.parse(lines[0])
  const firsts = [
    ['FLOWDB_INVALID_VALUE', '{}'], ['FLOWDB_INVALID_VALUE', 'text'], ['FLOWDB_INVALID_VALUE', 'null'],
    ['FLOWDB_VERSION', JSON.stringify({ ...header, format: 2 })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, format: 'x' })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: {} })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [null] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], indexes: [7] }] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], autoIncrement: 1 }] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, format: { toString: 1 } })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, format: [1] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], lastKey: -1 }] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], lastKey: 2 ** 54 }] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], name: '' }] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], name: 'a\nb' }] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], keyPath: 7 }] })],
    ['FLOWDB_INVALID_VALUE', JSON.stringify({ ...header, stores: [{ ...header.stores[0], keyPath: 'a..b' }] })]
  ]
  for (const [code, first] of firsts) {
    const copy = await openInMemory(t)
    const error = await errorOf(copy.import(Readable.from([`${first}\n`, ...lines.slice(1)])))
    assert.equal(error.code, code, `${first}: ${error.message}`)
    assert.equal(error.line, 1)
    assert.equal(error.resume, 0)
    assert.deepEqual(await copy.storeNames(), [])
  }
  const other = await openInMemory(t, { items: 'key' })
  await assert.rejects(other.import(Readable.from(lines)), { code: 'FLOWDB_EXISTS' })
})

test('a file that was cut, lost a line or was changed is noticed', async (t) => {
  const lines = await linesOfItems(t)
  const broken = {
    'nothing at all': [],
    'cut behind a line': lines.slice(0, 2000),
    'without its last line': lines.slice(0, -1),
    'a line lost': [...lines.slice(0, 100), ...lines.slice(101)],
    'a line changed': [...lines.slice(0, 100), lines[100].replace('"updatedAt":1', '"updatedAt":2'), ...lines.slice(101)],
    'a store renamed in passing': lines.map((line, index) => index === 0 ? line.replace('"schemaVersion":0', '"schemaVersion":1') : line)
  }
  for (const [what, those] of Object.entries(broken)) {
    const error = await errorOf((await openInMemory(t)).import(Readable.from(those)))
    assert.equal(error.code, 'FLOWDB_CORRUPTION', `${what}: ${error.message}`)
  }
  await assert.rejects((await openInMemory(t)).import(Readable.from([...lines, lines[5]])), { code: 'FLOWDB_INVALID_VALUE' })
})

test('an import that was ended goes on where it was, or does all of it again', async (t) => {
  const lines = await linesOfItems(t)
  const mistake = new Error('the network is down')
  const failing = async function * () {
    yield * lines.slice(0, 2100)
    throw mistake
  }
  const copy = await openInMemory(t)
  const error = await errorOf(copy.import(failing()))
  assert.equal(error.code, 'FLOWDB_IO')
  assert.equal(error.cause, mistake)
  assert.equal(error.resume, 2001)
  assert.equal(await copy.count('items'), 2000)

  const progress = []
  const rest = await copy.import(Readable.from(lines), { resume: error.resume, onProgress: (at) => progress.push(at) })

  assert.deepEqual(rest, { documents: 500, expired: 0, lines: 2502, schemaVersion: 0 })
  assert.deepEqual(progress, [{ documents: 500, expired: 0, lines: 2501, schemaVersion: 0 }])
  assert.equal(await copy.count('items'), 2500)
  assert.equal((await copy.import(Readable.from(lines))).documents, 2500)
  assert.equal(await copy.count('items'), 2500)
  assert.equal((await copy.getEntry('items', 7)).version, 1)
})

test('a signal ends an import between two batches', async (t) => {
  const lines = await linesOfItems(t)
  const copy = await openInMemory(t)
  const aborting = new AbortController()
  let isReturned = false
  const source = async function * () {
    try {
      yield * lines
    } finally {
      isReturned = true
    }
  }

  const error = await errorOf(copy.import(source(), { signal: aborting.signal, onProgress: () => aborting.abort('enough') }))

  assert.equal(error.code, 'FLOWDB_ABORTED')
  assert.equal(error.cause, 'enough')
  assert.equal(error.resume, 1001)
  assert.equal(await copy.count('items'), 1000)
  assert.ok(isReturned)
  await assert.rejects(copy.import(Readable.from(lines), { signal: AbortSignal.abort() }), { code: 'FLOWDB_ABORTED' })
  await assert.rejects(copy.export(new PassThrough(), { signal: AbortSignal.abort() }), { code: 'FLOWDB_ABORTED' })
})

test('a stream that breaks or is closed ends an export with its reason', async (t) => {
  const db = await openInMemory(t, { items: 'id' })
  for (let id = 0; id < 100; id++) await db.put('items', { id, text: 'x'.repeat(10_000) })
  const mistake = new Error('no room')
  const failing = new Writable({ write: (_chunk, _encoding, done) => done(mistake) })
  const closing = new Writable({ write () { this.destroy() } })
  const stuck = new Writable({ highWaterMark: 1, write () {} })
  const ended = new PassThrough()
  ended.end()

  const error = await errorOf(db.export(failing))
  assert.equal(error.code, 'FLOWDB_IO')
  assert.equal(error.cause, mistake)
  await assert.rejects(db.export(closing), { code: 'FLOWDB_IO' })
  await assert.rejects(db.export(ended), { code: 'FLOWDB_IO' })
  const onProgress = () => { throw mistake }
  assert.equal(await errorOf(db.export(new PassThrough().resume(), { onProgress })), mistake)
  assert.equal(await errorOf(db.import(Readable.from([await exported(db)]), { onProgress })), mistake)
  const aborting = new AbortController()
  setTimeout(() => aborting.abort(), 20)
  await assert.rejects(db.export(stuck, { signal: aborting.signal }), { code: 'FLOWDB_ABORTED' })
  await assert.rejects(db.export(join(temporary(t), 'none', 'file')), { code: 'FLOWDB_IO' })
  await assert.rejects(db.import(join(temporary(t), 'none')), { code: 'FLOWDB_IO' })
})

test('standard output and input of a process carry an export', async (t) => {
  const folder = temporary(t)
  const program = join(folder, 'program.js')
  writeFileSync(program, `
    const { FlowDB } = require(${JSON.stringify(join(__dirname, '..'))})
    async function main () {
      const db = FlowDB.open({ inMemory: true })
      if (process.argv[2] === 'in') {
        const { documents } = await db.import(process.stdin)
        console.log(documents)
      } else {
        await db.createObjectStore('items', 'id')
        await db.put('items', { id: 1 })
        await db.export(process.stdout)
      }
      await db.close()
    }
    main()`)

  const out = spawnSync(process.execPath, [program, 'out'])
  const back = spawnSync(process.execPath, [program, 'in'], { input: out.stdout })

  assert.equal(out.stdout.toString().split('\n').length, 4, String(out.stderr))
  assert.equal(back.stdout.toString(), '1\n', String(back.stderr))
})

test('bad arguments of export and import are refused and change nothing', async (t) => {
  const db = await filled(t)
  const invalid = { code: 'FLOWDB_INVALID_ARGUMENT' }
  for (const target of [undefined, null, 7, {}, [], '', 'a\0b', () => {}]) await assert.rejects(db.export(target), invalid)
  for (const source of [undefined, null, 7, {}, [], '', 'a\0b', () => {}]) await assert.rejects(db.import(source), invalid)
  const folder = temporary(t)
  const file = join(folder, 'file')
  for (const options of [7, { more: 1 }, { signal: {} }, { onProgress: 1 }, { stores: [] }, { stores: 'users' }, { stores: [1] }]) {
    await assert.rejects(db.export(file, options), invalid)
  }
  assert.ok(!existsSync(file))
  await db.export(file)
  for (const options of [7, { more: 1 }, { signal: {} }, { onProgress: 1 }, { resume: -1 }, { resume: 'x' }]) {
    await assert.rejects(db.import(file, options), invalid)
  }
  await assert.rejects(db.import(Readable.from([7])), invalid)
  await assert.rejects(db.import(Readable.from([{}])), invalid)
  await db.close()
  await assert.rejects(db.export(file), { code: 'FLOWDB_CLOSED' })
  await assert.rejects(db.import(file), { code: 'FLOWDB_CLOSED' })
})

test('a large database goes through in bounded memory', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir, durability: 'none', memtableSizeMb: 4, blockCacheCapacityMb: 4 })
  t.after(() => db.close())
  await db.createObjectStore('items', 'id')
  const text = 'x'.repeat(20_000)
  for (let start = 0; start < 5000; start += 500) {
    await db.update('items', async (tx) => {
      for (let id = start; id < start + 500; id++) await tx.put('items', { id, text })
    })
  }
  const file = join(dataDir, '..', `${Date.now()}.ndjson`)
  t.after(() => require('node:fs').rmSync(file, { force: true }))
  const before = process.memoryUsage().rss
  let most = 0
  const onProgress = () => { most = Math.max(most, process.memoryUsage().rss) }

  const { bytes } = await db.export(createWriteStream(file), { onProgress })
  const copy = FlowDB.open({ dataDir: temporary(t), durability: 'none', memtableSizeMb: 4, blockCacheCapacityMb: 4 })
  t.after(() => copy.close())
  const { documents } = await copy.import(createReadStream(file), { onProgress })

  assert.ok(bytes > 100_000_000)
  assert.equal(documents, 5000)
  t.diagnostic(`${Math.round((most - before) / 1e6)} MB more for ${Math.round(bytes / 1e6)} MB`)
  assert.ok(most - before < 150e6, `${most - before} bytes of memory`)
})

test('statistics have the count and the size of every store, in the text for Prometheus, too', async (t) => {
  const dataDir = temporary(t)
  const db = FlowDB.open({ dataDir })
  t.after(() => db.close())
  assert.deepEqual((await db.stats()).stores, [])
  await db.createObjectStore('b"c', 'id')
  await db.createObjectStore('a')
  await db.createIndex('b"c', 'by_n', 'n')
  for (let id = 0; id < 50; id++) await db.put('b"c', { id, n: id, text: 'x'.repeat(1000) })
  await db.compact()

  const { stores } = await db.stats()
  const metrics = await db.metrics()

  assert.deepEqual(stores.map(({ name, documents, indexes }) => [name, documents, indexes]), [['a', 0, 0], ['b"c', 50, 1]])
  assert.ok(stores[1].bytes > 1000, String(stores[1].bytes))
  assert.match(metrics, /^flowdb_store_documents\{store="b\\"c"\} 50$/m)
  assert.match(metrics, /^flowdb_store_bytes\{store="a"\} \d+$/m)
})

test('a backup of the open database is a database of its own', async (t) => {
  const folder = temporary(t)
  const upgrade = (upgrading) => upgrading.createObjectStore('items', 'id')
  const db = FlowDB.open({ dataDir: join(folder, 'db'), version: 4, upgrade })
  t.after(() => db.close())
  await db.put('items', { id: 1 })

  await db.backup(join(folder, 'copy'))
  await db.put('items', { id: 2 })
  await db.verify()

  const copy = FlowDB.open({ dataDir: join(folder, 'copy') })
  t.after(() => copy.close())
  assert.deepEqual(await copy.getAll('items'), [{ id: 1 }])
  assert.equal(copy.version, 4)
  await assert.rejects(db.backup(join(folder, 'copy')), { code: 'FLOWDB_INVALID_ARGUMENT' })
  await assert.rejects(db.backup(7), { code: 'FLOWDB_INVALID_ARGUMENT' })
})
