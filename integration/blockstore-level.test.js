'use strict'

/* blockstore-level on flowdb/level: blocks stored, listed, deleted, and read again after a reopening. */

const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const { test } = require('node:test')
const { errorOf, gathered, temporary } = require('../__test__/support.js')
const { FlowLevel } = require('../lib/level.js')

const BLOCKS = 2_000
const BLOCK_BYTES_MAX = 4_000

/** Blocks of random bytes, by the text of their addresses. */
async function randomBlocks () {
  const { CID } = await import('multiformats/cid')
  const raw = await import('multiformats/codecs/raw')
  const { sha256 } = await import('multiformats/hashes/sha2')
  const blocks = new Map()
  for (let number = 0; number < BLOCKS; number++) {
    const bytes = new Uint8Array(randomBytes(1 + number % BLOCK_BYTES_MAX))
    const cid = CID.createV1(raw.code, await sha256.digest(bytes))
    blocks.set(cid.toString(), { cid, bytes })
  }
  return blocks
}

/** The bytes of what a blockstore gives in parts. */
const joined = async (parts) => new Uint8Array(Buffer.concat(await gathered(parts)))

test('blocks are stored, listed and deleted, and are there after a reopening', async (t) => {
  const { LevelBlockstore } = await import('blockstore-level')
  const folder = temporary(t)
  const open = async () => {
    const level = new FlowLevel(folder, { keyEncoding: 'utf8', valueEncoding: 'view' })
    const store = new LevelBlockstore(level)
    await store.open()
    return store
  }
  const blocks = await randomBlocks()

  let store = await open()
  await gathered(store.putMany(Array.from(blocks.values(), ({ cid, bytes }) => ({ cid, bytes }))))
  await store.close()

  store = await open()
  const listed = new Map()
  for await (const { cid, bytes } of store.getAll()) listed.set(cid.toString(), await joined(bytes))
  assert.equal(listed.size, blocks.size)
  for (const [address, { bytes }] of blocks) assert.deepEqual(listed.get(address), bytes)

  const [{ cid: gone }, ...others] = blocks.values()
  await store.delete(gone)
  assert.equal(await store.has(gone), false)
  assert.equal((await errorOf(joined(store.get(gone)))).name, 'NotFoundError')
  for (const { cid, bytes } of others.slice(0, 100)) assert.deepEqual(await joined(store.get(cid)), bytes)
  await store.close()
})
