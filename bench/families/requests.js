'use strict'

/* Work in the style of IndexedDB: FlowDB, which is durable, beside fake-indexeddb, which is in memory. */

const { isDeepStrictEqual } = require('node:util')
const { check, shown } = require('../lib/answers.js')
const { Clock, inSlices, rate, watchLoop } = require('../lib/clock.js')
const { permutation, personOf, randomNumbers } = require('../lib/data.js')
const { AWAITED } = require('./writing.js')

const COUNT_MAX = 10000

const [PUTS, GET, CURSOR] = ['IndexedDB style: 10,000 puts in a transaction', 'IndexedDB style: get by key', 'IndexedDB style: cursor on an index']

/** @param {import('../lib/lines.js').Lines} lines */
async function requests (lines) {
  const count = Math.min(COUNT_MAX, lines.scale.entries)
  const rankOf = permutation(count)
  const people = Array.from({ length: count }, (_, n) => personOf(n, rankOf(n)))
  const store = await /** @type {any} */ (lines.adapter).openRequests(lines.dir)
  // The first time is the warm-up: the same documents are put again.
  await store.putAll(people)
  await lines.line(PUTS, () => watchLoop(async () => {
    const clock = new Clock()
    await clock.time(() => store.putAll(people))
    return count / clock.milliseconds * 1000
  }))
  const next = randomNumbers(4)
  await lines.line(GET, () => rate({ seconds: lines.scale.seconds }, async (clock) => {
    const ids = Array.from({ length: AWAITED }, () => next() % count)
    const found = await clock.time(async () => {
      const answers = []
      for (const id of ids) answers.push(await store.get(id))
      return answers
    })
    await inSlices(ids, (id, at) => checkSame(found[at], people[id]))
    return AWAITED
  }))
  const inOrder = people.toSorted((one, other) => one.score - other.score)
  await lines.line(CURSOR, () => rate({ seconds: lines.scale.seconds }, async (clock) => {
    const found = await clock.time(() => store.cursor())
    check(found.length === count, () => `the cursor gave ${found.length} documents`)
    await inSlices(inOrder, (person, at) => checkSame(found[at], person))
    return count
  }))
  await store.close()
}

/**
 * @param {any} found
 * @param {any} expected
 */
function checkSame (found, expected) {
  check(isDeepStrictEqual(found, expected), () => `document ${expected.id} is ${shown(found)}`)
}

exports.requests = {
  name: 'IndexedDB style',
  facet: /** @type {const} */ ('openRequests'),
  lines: [PUTS, GET, CURSOR].map((name) => ({ name, unit: 'documents/s', better: /** @type {const} */ ('more') })),
  stages: [requests]
}
