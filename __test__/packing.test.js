'use strict'

/* The decoder of packed answers, against bytes that nobody would send. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Failure, readAnswers } = require('../lib/packing.js')
const { readDocument } = require('../lib/values.js')
const { randomSource, seedOf } = require('./support')

const ROUNDS = Number(process.env.FLOWDB_SEQUENCES ?? 20000)

/** Every kind of answer there is, and some that are none. */
const KINDS = 31

/**
 * Answers of every kind whose payload is anything, in a buffer that has more behind them.
 *
 * @param {(bound: number) => number} below
 */
function answers (below) {
  const count = 1 + below(3)
  const parts = []
  for (let request = 1; request <= count; request++) {
    const payload = Buffer.from(Array.from({ length: below(60) }, () => below(2) === 0 ? below(4) : below(256)))
    const head = Buffer.alloc(9)
    head.writeUInt32LE(request)
    head[4] = below(KINDS)
    head.writeUInt32LE(payload.length, 5)
    parts.push(head, payload)
  }
  const bytes = Buffer.concat(parts)
  return { count, length: bytes.length, buffer: Buffer.concat([bytes, Buffer.alloc(below(300), below(256))]) }
}

test('whatever the bytes of answers are, each request is settled once, and nothing is thrown', (t) => {
  const { below } = randomSource(seedOf(t))
  const failed = new Set()
  for (let round = 0; round < ROUNDS; round++) {
    const { count, length, buffer } = answers(below)
    const settled = []
    readAnswers(buffer, length, () => below(32), readDocument, (request, value) => {
      settled.push(request)
      if (value instanceof Failure) failed.add(value.description?.code)
    })
    assert.deepEqual(settled, Array.from({ length: count }, (_, at) => at + 1), `round ${round}: ${buffer.toString('hex')}`)
  }
  assert.ok(failed.has('FLOWDB_INTERNAL'), 'some could not be read')
})
