'use strict'

/* Exports and imports beside files and streams that stand still, are special, break, or give odd things. */

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const {
  createReadStream, lstatSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync
} = require('node:fs')
const { join } = require('node:path')
const { PassThrough, Readable, Writable } = require('node:stream')
const { text } = require('node:stream/consumers')
const test = require('node:test')
const { errorOf, openInMemory, temporary } = require('./support.js')

/** A database with some documents. */
async function filled (t) {
  const db = await openInMemory(t, { items: 'id' })
  await db.putMany('items', Array.from({ length: 100 }, (_, id) => ({ id, text: 'x'.repeat(1000) })))
  return db
}

async function exported (db) {
  const stream = new PassThrough()
  const [all] = await Promise.all([text(stream), db.export(stream)])
  return all
}

test('an export to a link replaces what the link leads to, and one to a directory is refused before it is written', async (t) => {
  const db = await filled(t)
  const folder = temporary(t)
  mkdirSync(join(folder, 'there'))
  writeFileSync(join(folder, 'there', 'file'), 'before', { mode: 0o600 })
  symlinkSync(join(folder, 'there', 'file'), join(folder, 'link'))
  let progress = 0

  await db.export(join(folder, 'link'))
  const error = await errorOf(db.export(join(folder, 'there'), { onProgress: () => { progress++ } }))

  assert.ok(lstatSync(join(folder, 'link')).isSymbolicLink())
  assert.equal(readFileSync(join(folder, 'there', 'file'), 'utf8'), await exported(db))
  if (process.platform !== 'win32') assert.equal(statSync(join(folder, 'there', 'file')).mode & 0o777, 0o600)
  assert.equal(error.code, 'FLOWDB_IO')
  assert.equal(progress, 0)
  assert.deepEqual([readdirSync(folder).sort(), readdirSync(join(folder, 'there'))], [['link', 'there'], ['file']])
})

test('an export to a pipe by its path is written to it and does not take its place', { skip: process.platform === 'win32' }, async (t) => {
  const db = await filled(t)
  const folder = temporary(t)
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])

  const [all] = await Promise.all([text(createReadStream(pipe)), db.export(pipe)])

  assert.equal(all, await exported(db))
  assert.ok(lstatSync(pipe).isFIFO())
  assert.deepEqual(readdirSync(folder), ['pipe'])
})

test('text that comes in portions which part a surrogate pair is what it was, and half a pair is a bad line', async (t) => {
  const db = await openInMemory(t, { items: null })
  await db.put('items', 'an emoji: \ud83d\ude00', '\ud83d\ude00')
  const whole = await exported(db)

  const copy = await openInMemory(t)
  await copy.import(Readable.from(whole.split('')))
  assert.equal(await copy.get('items', '\ud83d\ude00'), 'an emoji: \ud83d\ude00')

  const [header, line] = whole.split(/(?<=\n)/)
  for (const bad of ['\ud83d', '\ude00', '\ude00\ud83d']) {
    const [start] = line.split('\ud83d')
    for (const portions of [[header, line.replaceAll('\ud83d\ude00', bad)], [header, start + bad, Buffer.from('\n')]]) {
      const other = await openInMemory(t)
      const error = await errorOf(other.import(Readable.from(portions)))
      assert.deepEqual([error.code, error.line], ['FLOWDB_INVALID_VALUE', 2])
      assert.equal(await other.count('items'), 0)
    }
  }
})

test('an import that waits for its source ends with its signal, and with its database', async (t) => {
  const lines = (await exported(await filled(t))).split(/(?<=\n)/)
  const db = await openInMemory(t)
  const stream = new PassThrough()
  stream.write(lines[0])
  const aborting = new AbortController()
  const aborted = errorOf(db.import(stream, { signal: aborting.signal }))
  let isReturned = false
  const iterable = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => {
        isReturned = true
        return new Promise(() => {})
      }
    })
  }
  const closed = errorOf(db.import(iterable))

  setImmediate(() => aborting.abort('enough'))
  const error = await aborted
  assert.deepEqual([error.code, error.cause, error.resume], ['FLOWDB_ABORTED', 'enough', 1])
  assert.ok(stream.destroyed)

  await db.close()
  assert.equal((await closed).code, 'FLOWDB_CLOSED')
  assert.ok(isReturned)
})

test('an export that waits for its stream, at its end too, ends with its signal, and with its database', async (t) => {
  const db = await filled(t)
  const standing = {
    write: () => new Writable({ highWaterMark: 1, write () {} }),
    end: () => new Writable({ write: (_chunk, _encoding, done) => done(), final () {} })
  }
  for (const [where, make] of Object.entries(standing)) {
    const stream = make()
    const aborting = new AbortController()
    const aborted = errorOf(db.export(stream, { signal: aborting.signal }))
    setTimeout(() => aborting.abort('enough'), 20)
    const error = await aborted
    assert.deepEqual([error.code, error.cause], ['FLOWDB_ABORTED', 'enough'], where)
    for (const event of ['error', 'close', 'drain']) assert.equal(stream.listenerCount(event), 0, `${where}: ${event}`)
  }

  const waiting = Object.values(standing).map((make) => errorOf(db.export(make())))
  setTimeout(() => db.close(), 20)
  for (const error of await Promise.all(waiting)) assert.equal(error.code, 'FLOWDB_CLOSED')
})

test('what a source or a stream throws is the cause of a typed error', async (t) => {
  const db = await filled(t)
  const mistake = new Error('a mistake')
  const fail = () => { throw mistake }
  const iterators = {
    iterator: fail,
    next: () => ({ next: fail }),
    rejection: () => ({ next: () => Promise.reject(mistake) })
  }
  for (const [where, iterator] of Object.entries(iterators)) {
    const error = await errorOf(db.import({ [Symbol.asyncIterator]: iterator }))
    assert.deepEqual([error.code, error.cause, error.resume], ['FLOWDB_IO', mistake, 0], where)
  }
  for (const nothing of [() => undefined, () => ({ next: () => undefined })]) {
    await assert.rejects(db.import({ [Symbol.asyncIterator]: nothing }), { code: 'FLOWDB_IO' })
  }
  const streams = {
    write: { write: fail, end: (done) => done() },
    end: { write: () => true, end: fail },
    final: { write: () => true, end: (done) => done(mistake) }
  }
  for (const [where, stream] of Object.entries(streams)) {
    const error = await errorOf(db.export({ on () {}, off () {}, ...stream }))
    assert.deepEqual([error.code, error.cause], ['FLOWDB_IO', mistake], where)
  }
})

test('passing over lines of an import lets the event loop turn, however many come at once', async (t) => {
  const db = await openInMemory(t, { items: 'id' })
  await db.putMany('items', Array.from({ length: 4000 }, (_, id) => ({ id, text: 'x'.repeat(1000) })))
  const [header, ...lines] = (await exported(db)).split(/(?<=\n)/)
  let turns = 0
  let isCounting = true
  const count = () => {
    turns++
    if (isCounting) setImmediate(count)
  }
  const source = async function * () {
    yield header
    setImmediate(count)
    yield lines.join('')
    isCounting = false
  }

  await db.import(source(), { resume: lines.length })

  assert.ok(turns >= 3, `${turns} turns in 4 MB`)
})
