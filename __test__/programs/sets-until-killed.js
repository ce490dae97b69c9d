'use strict'

/* Changes a FlashStoreSync until it is killed, turn by turn, and prints a line for each turn that was flushed. */

const { FlashStoreSync } = require('../..')

/** The changes of a turn, the last of which says that it is over. */
function changesOfTurn (turn) {
  const key = (number) => `key ${(turn * 7919 + number * 31) % 97}`
  return [
    (map) => map.set(key(1), `${turn} ${'x'.repeat(turn % 500)}`),
    (map) => map.delete(key(2)),
    (map) => map.set(key(3), turn),
    (map) => map.set(`fresh ${turn % 20}`, turn),
    (map) => map.delete(`fresh ${(turn + 10) % 20}`),
    (map) => map.set('turn', turn)
  ]
}

let isFlushing = false

function change (store, turn) {
  for (let count = 0; count < 50; count++, turn++) for (const change of changesOfTurn(turn)) change(store)
  if (!isFlushing) flush(store, turn - 1)
  setImmediate(() => change(store, turn))
}

async function flush (store, turn) {
  isFlushing = true
  await store.flush()
  process.stdout.write(`${turn}\n`)
  isFlushing = false
}

if (require.main === module) {
  const [dataDir, durability] = process.argv.slice(2)
  const store = new FlashStoreSync({ dataDir, durability })
  change(store, (store.get('turn') ?? 0) + 1)
}

exports.changesOfTurn = changesOfTurn
