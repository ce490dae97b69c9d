'use strict'

/* What FlashStoreSync writes behind: in order, in bounded batches, whole; and what becomes of it when it fails. */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStoreSync, FlowDBError } = require('..')
const { encodeEntry } = require('../lib/flash-sync/entry')
const { WAITING_BYTES_MAX, WriteBehind } = require('../lib/flash-sync/write-behind')
const { FORMAT } = require('../lib/packing')
const { errorOf, longestTurnUntil, runProgram, temporary } = require('./support')
const { changesOfTurn } = require('./programs/sets-until-killed')

/** A turn of the event loop that takes longer than this is a block. */
const BLOCK_MS = 20

test('100,000 sets in a loop leave the event loop free, take bounded memory, and are all there later', async (t) => {
  const value = (key) => ({ key, text: 'x'.repeat(600) })
  let longest = Infinity
  // Whoever was put aside by the system may look blocked as well: once in several times is enough.
  for (let attempt = 1; attempt <= 5 && longest > BLOCK_MS; attempt++) {
    const folder = temporary(t)
    const store = new FlashStoreSync(folder)
    let most = 0
    for (let key = 0; key < 100_000; key++) {
      store.set(key, value(key))
      most = Math.max(most, store.pendingBytes)
    }
    assert.ok(most > WAITING_BYTES_MAX / 2 && most <= WAITING_BYTES_MAX + 2000, `${most} bytes waited`)
    longest = await longestTurnUntil(store.flush())
    await store.close()

    const again = await FlashStoreSync.open(folder)
    assert.equal(again.size, 100_000)
    let expected = 0
    for (const key of again.keys()) assert.equal(key, expected++)
    assert.deepEqual(again.get(54_321), value(54_321))
    await again.close()
  }
  t.diagnostic(`the longest turn took ${longest.toFixed(1)} ms`)
  assert.ok(longest <= BLOCK_MS, `every time a turn took ${longest} ms or longer`)
})

test('what is set before loading has ended does not block the event loop at its end', async (t) => {
  let longest = Infinity
  for (let attempt = 1; attempt <= 5 && longest > BLOCK_MS; attempt++) {
    const store = new FlashStoreSync(temporary(t))
    for (let key = 0; key < 100_000; key++) store.set(key, key)
    assert.equal(store.state, 'loading')
    longest = await longestTurnUntil(store.flush())
    assert.equal(store.size, 100_000)
    await store.close()
  }
  t.diagnostic(`the longest turn took ${longest.toFixed(1)} ms`)
  assert.ok(longest <= BLOCK_MS, `every time a turn took ${longest} ms or longer`)
})

test('drain resolves when there is room again', async (t) => {
  const store = await FlashStoreSync.open(temporary(t))
  for (let key = 0; store.pendingBytes < WAITING_BYTES_MAX * 0.9; key++) store.set(key, 'x'.repeat(10_000))
  await store.drain()
  assert.ok(store.pendingBytes <= WAITING_BYTES_MAX / 2)
  await store.drain()
  await store.close()
})

test('after kill -9 there is what there was at one moment, and everything that was flushed', async (t) => {
  for (const durability of ['strict', 'relaxed', 'none']) {
    const folder = temporary(t)
    const map = new Map()
    for (let round = 1; round <= 3; round++) {
      const { signal, output, errors } = await runProgram('sets-until-killed.js', [folder, durability], {
        onOutput: (text, child) => { if (text.split('\n').length > round * 4) child.kill('SIGKILL') }
      })
      assert.equal(signal, 'SIGKILL', errors)
      const flushed = Number(output.trim().split('\n').at(-1))

      const store = await FlashStoreSync.open({ dataDir: folder, durability })
      const found = [...store]
      const turns = store.get('turn')
      assert.ok(turns >= flushed, `${durability}: turn ${turns} is there, and ${flushed} was flushed`)
      for (let turn = (map.get('turn') ?? 0) + 1; turn <= turns; turn++) {
        for (const change of changesOfTurn(turn)) change(map)
      }
      assert.ok(isFurtherBy(map, changesOfTurn(turns + 1), found), `${durability}: no moment after turn ${turns} was so`)
      // The next round goes on from a whole turn.
      store.clear()
      for (const [key, value] of map) store.set(key, value)
      await store.close()
    }
  }
})

test('who loses the store to another gets a typed error at the next write, at flush and at close', async (t) => {
  const folder = temporary(t)
  const [one, two] = [await FlashStoreSync.open(folder), await FlashStoreSync.open(folder)]
  one.set('by', 'one')
  await one.flush()
  const told = new Promise((resolve) => { two.onerror = resolve })
  two.set('by', 'two')
  assert.equal((await told).code, 'FLOWDB_CONFLICT')

  assert.throws(() => two.set('more', 1), { code: 'FLOWDB_CONFLICT' })
  assert.throws(() => two.delete('by'), { code: 'FLOWDB_CONFLICT' })
  assert.throws(() => two.clear(), { code: 'FLOWDB_CONFLICT' })
  assert.deepEqual([...two], [['by', 'two']], 'what it refuses changes nothing')
  await assert.rejects(two.flush(), { code: 'FLOWDB_CONFLICT' })
  assert.throws(() => two.flushSync(), { code: 'FLOWDB_CONFLICT' })
  assert.match((await errorOf(two.drain())).message, /another FlashStoreSync/)
  await assert.rejects(two.close(), { code: 'FLOWDB_CONFLICT' })

  one.set('and', 'goes on')
  await one.close()
  const now = await FlashStoreSync.open(folder)
  assert.deepEqual([...now], [['by', 'one'], ['and', 'goes on']])
  await now.close()
})

test('a failure that nobody asks about is no unhandled rejection', async (t) => {
  const { code, output, errors } = await runProgram('loses-its-store.js', [join(temporary(t), 'store')])
  assert.deepEqual({ code, output, errors }, { code: 0, output: 'went on', errors: '' })
})

test('what could not be stored is kept, in order, and stored when flush tries again', async () => {
  const disk = new Disk()
  const behind = new WriteBehind(disk.session, Buffer.from('s'), (error) => disk.told.push(error.code))
  behind.begin(0, 0)
  disk.failures = 1
  behind.put(1, text('a'))
  await disk.turn()
  assert.deepEqual(disk.told, ['FLOWDB_IO'])
  assert.throws(() => behind.check(), { code: 'FLOWDB_IO', message: /full/ })
  assert.ok(behind.bytes > 0)
  disk.failures = 1
  await assert.rejects(behind.flush(), { code: 'FLOWDB_IO' })
  assert.deepEqual(disk.batches, [])

  await behind.flush()
  behind.check()
  behind.put(2, text('b'))
  behind.put(1, text('c'))
  behind.delete(2)
  await behind.flush()
  assert.equal(behind.bytes, 0)
  assert.equal(disk.batches.length, 2)
  assert.deepEqual(disk.told, ['FLOWDB_IO', 'FLOWDB_IO'])
})

test('a batch that can\'t even be sent is kept as one that the disk refused', async () => {
  const disk = new Disk()
  const behind = new WriteBehind(disk.session, Buffer.from('s'), (error) => disk.told.push(error.code))
  behind.begin(0, 0)
  disk.issueTo = () => { throw new RangeError('no memory') }
  behind.put(1, text('a'))
  await disk.turn()
  assert.deepEqual(disk.told, ['FLOWDB_INTERNAL'])
  delete disk.issueTo
  await behind.flush()
  assert.deepEqual([disk.batches.length, behind.bytes], [1, 0])
})

test('a flush of what can\'t even be sent is told so, and does not wait for ever', async () => {
  const disk = new Disk()
  const behind = new WriteBehind(disk.session, Buffer.from('s'), (error) => disk.told.push(error.code))
  behind.begin(0, 0)
  disk.issueTo = () => { throw new RangeError('no memory') }
  behind.put(1, text('a'))
  for (let times = 1; times <= 2; times++) {
    await assert.rejects(behind.flush(), { code: 'FLOWDB_INTERNAL', message: /no memory/ })
    assert.equal(disk.told.length, times)
  }
  delete disk.issueTo
  await behind.flush()
  assert.deepEqual([disk.batches.length, behind.bytes], [1, 0])
})

test('an entry of more than 256 MiB is refused, however few characters these are', () => {
  const text = '\u4e00'.repeat(90 * 1024 * 1024)
  assert.throws(() => encodeEntry('key', text), { code: 'FLOWDB_INVALID_VALUE', message: /268435456/ })
  assert.equal(encodeEntry('key', text.slice(0, 80 * 1024 * 1024)).format, FORMAT.JSON)
})

test('a batch waits for the one before it, and takes up what comes meanwhile', async () => {
  const disk = new Disk()
  const behind = new WriteBehind(disk.session, Buffer.from('s'), assert.ifError)
  behind.begin(0, 0)
  disk.isHeld = true
  behind.put(1, text('a'))
  await disk.turn()
  for (let count = 0; count < 1000; count++) {
    behind.put(2, text(`value ${count}`))
    if (count % 100 === 0) await disk.turn()
  }
  assert.equal(disk.held.length, 1)
  disk.isHeld = false
  disk.release()
  await behind.flush()
  assert.equal(disk.batches.length, 2)
})

/** What a database does for a WriteBehind, with failures on demand. */
class Disk {
  batches = []
  told = []
  failures = 0
  isHeld = false
  held = []

  get session () {
    return { connection: this, issue: () => Promise.resolve() }
  }

  issueTo (_verb, _way, _pack, done) {
    this.held.push(done)
    if (!this.isHeld) setImmediate(() => this.release())
    return 1
  }

  release () {
    for (const done of this.held.splice(0)) {
      if (this.failures-- > 0) done(new FlowDBError('FLOWDB_IO', 'the disk is full'))
      else {
        this.batches.push(done)
        done(undefined)
      }
    }
  }

  async turn () {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

const text = (of) => ({ format: 1, text: `[1,"${of}"]` })

/** Whether entries are those of a map, or of what it becomes by some of the next changes. */
function isFurtherBy (map, changes, entries) {
  const further = new Map(map)
  const isSo = () => JSON.stringify([...further]) === JSON.stringify(entries)
  return isSo() || changes.some((change) => {
    change(further)
    return isSo()
  })
}
