'use strict'

/* Sets that nobody waits for, one by one: what they cost the event loop and memory, and that none is lost. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore } = require('..')
const { longestTurnUntil, temporary } = require('./support')

const COUNT = 100_000

/** A turn of the event loop that takes longer than this is a block. */
const BLOCK_MS = 20

/** What so many sets may take in memory beside their values: each has a promise. */
const BYTES_MAX = 300 * 1024 * 1024

test('100,000 sets in a loop leave the event loop free, take bounded memory, and are all there later', async (t) => {
  let longest = Infinity
  // Whoever was put aside by the system may look blocked as well: once in several times is enough.
  for (let attempt = 1; attempt <= 5 && longest > BLOCK_MS; attempt++) {
    const folder = temporary(t)
    const store = new FlashStore(folder)
    const before = process.memoryUsage.rss()
    let done
    for (let key = 0; key < COUNT; key++) done = store.set(`key${key}`, { key, text: 'x'.repeat(100) })
    longest = await longestTurnUntil(done)
    const taken = process.memoryUsage.rss() - before
    assert.ok(taken < BYTES_MAX, `${taken} bytes`)
    assert.equal(await store.size, COUNT)
    await store.close()

    const again = new FlashStore(folder)
    assert.equal(await again.size, COUNT)
    let count = 0
    for await (const [key, value] of again) {
      assert.equal(key, `key${value.key}`)
      count++
    }
    assert.equal(count, COUNT)
    await again.close()
  }
  t.diagnostic(`the longest turn took ${longest.toFixed(1)} ms`)
  assert.ok(longest <= BLOCK_MS, `every time a turn took ${longest} ms or longer`)
})
