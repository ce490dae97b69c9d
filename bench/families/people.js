'use strict'

/* Documents with a unique index on one field and an index on another, as objects or as JSON in a column. */

const { isDeepStrictEqual } = require('node:util')
const { check, shown } = require('../lib/answers.js')
const { inSlices, rate } = require('../lib/clock.js')
const { permutation, personOf, randomNumbers } = require('../lib/data.js')
const { freshDir, removeDir } = require('../lib/files.js')
const { AWAITED } = require('./writing.js')

const PEOPLE_MAX = 100000
const BATCH = 1000
const RANGE = 50
const LIMIT = 20
const SCORES_BETWEEN = 10

const PUTS = [
  { name: 'put with 2 indexes, awaited', size: AWAITED, isBatch: false },
  { name: 'put with 2 indexes, 1,000 at a time', size: BATCH, isBatch: false },
  { name: 'put with 2 indexes, batches of 1,000', size: BATCH, isBatch: true }
]
const [UNIQUE, INDEX_RANGE, QUERY] = ['lookup in the unique index', 'range of 50 in an index', 'query with order and limit of 20']

/** @typedef {import('../lib/lines.js').Lines} Lines */
/** @typedef {import('../adapters/index.js').People} Store */
/** @typedef {import('../adapters/index.js').Durability} Durability */

/** The people of a run: by number, and by the place of their score. */
class Population {
  /** @param {import('../lib/lines.js').Scale} scale */
  constructor ({ entries }) {
    this.count = Math.min(PEOPLE_MAX, entries)
    this.rankOf = permutation(this.count)
    this.byRank = new Uint32Array(this.count)
    for (let n = 0; n < this.count; n++) this.byRank[this.rankOf(n)] = n
  }

  /** @param {number} n */
  person (n) {
    return personOf(n, this.rankOf(n))
  }

  /**
   * @param {number} from
   * @param {number} most
   */
  people (from, most) {
    return inSlices(new Array(Math.max(0, Math.min(most, this.count - from))), (_, at) => this.person(from + at))
  }

  /** @param {number} rank */
  ranked (rank) {
    return this.person(this.byRank[rank])
  }
}

/**
 * @param {string} name
 * @param {Durability} durability
 */
const putLine = (name, durability) => `${name}, ${durability}`

/**
 * @param {Lines} lines
 * @param {Durability} durability
 * @param {(store: Store) => Promise<any>} use
 */
async function inNewStore (lines, durability, use) {
  const { adapter } = lines
  if (adapter.durability[durability] === undefined) throw lines.lacks(durability)
  const dir = freshDir(`${lines.dir}/people`)
  const store = await /** @type {any} */ (adapter).openPeople({ dir, durability, cacheBytes: 128 << 20 })
  try {
    return await use(store)
  } finally {
    await store.close()
    removeDir(dir)
  }
}

/**
 * @param {Lines} lines
 * @param {Durability} durability
 */
async function puts (lines, durability) {
  const all = new Population(lines.scale)
  for (const { name, size, isBatch } of PUTS) {
    await lines.line(putLine(name, durability), () => inNewStore(lines, durability, async (store) => {
      let written = 0
      const figure = await rate({ seconds: lines.scale.seconds, operations: all.count }, async (clock) => {
        const people = await all.people(written, size)
        await clock.time(() => putInOneWay(store, people, isBatch, size))
        written += people.length
        return people.length
      })
      for (let n = 0; n < written; n += Math.ceil(written / BATCH)) {
        checkPerson(all, n, await store.byEmail(all.person(n).email))
      }
      return figure
    }))
  }
}

/**
 * @param {Store} store
 * @param {any[]} people
 * @param {boolean} isBatch
 * @param {number} size
 */
async function putInOneWay (store, people, isBatch, size) {
  if (isBatch) await store.putMany(people)
  else if (size === BATCH) await Promise.all(people.map((person) => store.put(person)))
  else for (const person of people) await store.put(person)
}

/**
 * @param {Population} all
 * @param {number} n
 * @param {any} person
 */
function checkPerson (all, n, person) {
  check(isDeepStrictEqual(person, all.person(n)), () => `document ${n} is ${shown(person)}`)
}

/**
 * The answers of lookups, one after the other.
 *
 * @param {Lines} lines
 * @param {number} below the first place that is too high to begin at
 * @param {(start: number) => Promise<any>} ask
 * @param {(start: number, answer: any) => void} checkAnswer
 */
function lookups (lines, below, ask, checkAnswer) {
  const next = randomNumbers(9)
  return rate({ seconds: lines.scale.seconds }, async (clock) => {
    const starts = Array.from({ length: AWAITED }, () => next() % below)
    const answers = await clock.time(async () => {
      const found = []
      for (const start of starts) found.push(await ask(start))
      return found
    })
    await inSlices(starts, (start, at) => checkAnswer(start, answers[at]))
    return AWAITED
  })
}

/** @param {Lines} lines */
async function reads (lines) {
  if (![UNIQUE, INDEX_RANGE, QUERY].some((name) => lines.wants(name))) return
  const all = new Population(lines.scale)
  await inNewStore(lines, lines.fastest, async (store) => {
    for (let from = 0; from < all.count; from += BATCH) await store.putMany(await all.people(from, BATCH))
    const emails = (/** @type {number} */ n) => store.byEmail(`user${n}@example.org`)
    await lines.line(UNIQUE, () => lookups(lines, all.count, emails, (n, found) => checkPerson(all, n, found)))
    await lines.line(INDEX_RANGE, () => lookups(lines, all.count - RANGE,
      (rank) => store.byScore(rank * SCORES_BETWEEN, (rank + RANGE - 1) * SCORES_BETWEEN),
      (rank, found) => checkPeople(found, Array.from({ length: RANGE }, (_, at) => all.ranked(rank + at)))))
    await lines.line(QUERY, () => lookups(lines, all.count - 4 * LIMIT,
      (rank) => store.activeByScore(rank * SCORES_BETWEEN, LIMIT),
      (rank, found) => checkPeople(found, firstActive(all, rank))))
  })
}

/**
 * @param {Population} all
 * @param {number} rank
 */
function firstActive (all, rank) {
  const found = []
  for (let at = rank; at < all.count && found.length < LIMIT; at++) {
    const person = all.ranked(at)
    if (person.active) found.push(person)
  }
  return found
}

/**
 * @param {any[]} found
 * @param {any[]} expected
 */
function checkPeople (found, expected) {
  check(isDeepStrictEqual([...found], expected), () => `${found.length} documents from ${shown(found[0])} on are not the right ones`)
}

/**
 * @param {string} name
 * @param {string} counted
 */
const perSecond = (name, counted) => ({ name, unit: `${counted}/s`, better: /** @type {const} */ ('more') })

exports.people = {
  name: 'documents with indexes',
  facet: /** @type {const} */ ('openPeople'),
  lines: [
    ...PUTS.map(({ name }) => perSecond(putLine(name, 'relaxed'), 'documents')),
    ...PUTS.map(({ name }) => perSecond(putLine(name, 'strict'), 'documents')),
    perSecond(UNIQUE, 'lookups'), perSecond(INDEX_RANGE, 'ranges'), perSecond(QUERY, 'queries')
  ],
  stages: [
    (/** @type {Lines} */ lines) => puts(lines, 'relaxed'),
    (/** @type {Lines} */ lines) => puts(lines, 'strict'),
    reads
  ]
}
