'use strict'

/*
 * No engine: the same callbacks over a Map, each answered in the next turn of the event loop. It shows the delay of an
 * event loop that has nothing else to do than to call us.
 */

const { turn } = require('../lib/clock.js')

/** As many documents as any range of the workloads looks at. */
const SCANNED = 100

/** @type {Promise<void> | undefined} */
let nextTurn

/** One turn for all that is asked for in this one. */
function later () {
  nextTurn ??= turn().then(() => { nextTurn = undefined })
  return nextTurn
}

/** By directory, as if they were stored there. @type {Map<string, Map<string, any>>} */
const stores = new Map()

/** @param {import('./index.js').OpenOptions} options */
async function open ({ dir }) {
  const values = stores.get(dir) ?? new Map()
  stores.set(dir, values)
  // What is there when it is opened is what is read in order.
  const entries = [...values].sort(([one], [other]) => one < other ? -1 : 1)
  return {
    put: async (key, value) => {
      await later()
      values.set(key, value)
    },
    putMany: async (all) => {
      await later()
      for (const [key, value] of all) values.set(key, value)
    },
    get: async (key) => {
      await later()
      return values.get(key)
    },
    getMany: async (keys) => {
      await later()
      return keys.map((key) => values.get(key))
    },
    getSync: (key) => values.get(key),
    has: async (key) => {
      await later()
      return values.has(key)
    },
    delete: async (key) => {
      await later()
      values.delete(key)
    },
    iterate: () => entries,
    pages: async function * (size) {
      for (let at = 0; at < entries.length; at += size) {
        await later()
        yield entries.slice(at, at + size)
      }
    },
    range: async (from, limit) => {
      await later()
      let [low, high] = [0, entries.length]
      while (low < high) {
        const middle = (low + high) >> 1
        if (entries[middle][0] < from) low = middle + 1
        else high = middle
      }
      return entries.slice(low, low + limit)
    },
    close: later
  }
}

/** @returns {Promise<import('./index.js').People>} */
async function openPeople () {
  /** @type {Map<string, any>} */
  const byEmail = new Map()
  /** @type {any[] | undefined} */
  let ranked
  const add = async (/** @type {any[]} */ people) => {
    await later()
    for (const person of people) byEmail.set(person.email, person)
    ranked = undefined
  }
  const from = (/** @type {number} */ least) => {
    ranked ??= [...byEmail.values()].sort((one, other) => one.score - other.score)
    // Scores are the places in this order, times ten.
    return ranked.slice(least / 10, least / 10 + SCANNED)
  }
  return {
    put: (person) => add([person]),
    putMany: add,
    byEmail: async (email) => {
      await later()
      return byEmail.get(email)
    },
    byScore: async (least, most) => {
      await later()
      return from(least).filter(({ score }) => score <= most)
    },
    activeByScore: async (least, limit) => {
      await later()
      return from(least).filter(({ active }) => active).slice(0, limit)
    },
    close: later
  }
}

/** @returns {Promise<import('./index.js').Requests>} */
async function openRequests () {
  const { put, byEmail, close } = await openPeople()
  /** @type {any[]} */
  let all = []
  return {
    putAll: async (people) => {
      await Promise.all(people.map(put))
      all = people.toSorted((one, other) => one.score - other.score)
    },
    get: (id) => byEmail(`user${id}@example.org`),
    cursor: async () => {
      await later()
      return all
    },
    close
  }
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'idle',
  isBaseline: true,
  durability: { strict: 'it has none', relaxed: 'it has none' },
  cannot: { reopen: 'it stores nothing', opensTwice: 'it stores nothing' },
  load: () => undefined,
  open,
  openPeople,
  openRequests
}
