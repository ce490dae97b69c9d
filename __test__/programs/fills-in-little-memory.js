'use strict'

/*
 * Fills a store with many times what memtables and cache may hold, reads it, and tells how much memory that took beyond
 * what an open store took before, without V8's heap, in MiB.
 */

const { FlashStore } = require('../..')

const ENTRIES = 400_000
const AT_A_TIME = 1000
const MIB = 1024 * 1024
const TEXT = 'the quick brown fox jumps over the lazy dog, and what comes behind it is of no importance'

/** In an order that jumps, so that tables overlap. @param {number} n */
const keyOf = (n) => String(n * 7919 % ENTRIES).padStart(16, '0')
/** @param {number} n */
const valueOf = (n) => `${n}:${TEXT.slice(n % 13)}${n * 7919 % 100_003}`

function nativeBytes () {
  const { rss, heapTotal, external } = process.memoryUsage()
  return rss - heapTotal - external
}

async function main () {
  const [, , dataDir, memtableSizeMb, blockCacheCapacityMb] = process.argv
  const store = await FlashStore.open({
    dataDir,
    durability: 'relaxed',
    memtableSizeMb: Number(memtableSizeMb),
    blockCacheCapacityMb: Number(blockCacheCapacityMb)
  })
  let peak = 0
  /** @param {number} from @param {number} to */
  const fillAndRead = async (from, to) => {
    for (let first = from; first < to; first += AT_A_TIME) {
      const numbers = Array.from({ length: AT_A_TIME }, (_, at) => first + at)
      await store.setMany(numbers.map((n) => [keyOf(n), valueOf(n)]))
      const values = await store.getMany(numbers.map((n) => keyOf(n - from)))
      if (values.some((value, at) => value !== valueOf(numbers[at] - from))) throw new Error('a wrong value')
      peak = Math.max(peak, nativeBytes())
    }
  }
  await fillAndRead(0, 2 * AT_A_TIME)
  const before = nativeBytes()
  peak = before
  await fillAndRead(2 * AT_A_TIME, ENTRIES)
  await store.close()
  process.stdout.write(String(Math.ceil((peak - before) / MIB)))
}

main()
