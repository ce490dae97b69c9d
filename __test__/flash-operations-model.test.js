'use strict'

/*
 * FlashStore's operations against a model in memory: conditions, expiry, updates, numbers, atomic changes and
 * transactions give what the model gives, and who watches can follow the entries by their changes.
 */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { FlashStore } = require('..')
const { randomFrom } = require('./flash-model')
const { flashInMemory, gathered } = require('./support')

const SEED = Number(process.env.FLOWDB_SEED ?? Date.now() % 1_000_000)
const STORES = 10
const OPERATIONS = 300
const HOUR = 3600

const KEYS = ['a', 'b', 'c', 1, [1, 'x']]
const VALUES = [0, 5, -1.5, 7n, 'text', { n: 1 }, null, undefined]
const NUMBERS = [1, -2, 0.5, 3n]
const PLACES = [[], ['one'], ['one', 'two']]
const END = 'the end'

class Refused extends Error {
  constructor (code) {
    super(code)
    this.code = code
  }
}

const constraint = () => new Refused('FLOWDB_CONSTRAINT')

/** Entries of one place: `{ value, version, expires }` by key as text. */
class Entries {
  #entries = new Map()

  get (key) {
    return this.#entries.get(JSON.stringify(key))
  }

  put (key, value, expires) {
    const version = (this.get(key)?.version ?? 0) + 1
    this.#entries.set(JSON.stringify(key), { value, version, expires })
    return version
  }

  /** Puts a value that keeps the expiry that there is. */
  change (key, value) {
    return this.put(key, value, this.get(key)?.expires ?? false)
  }

  expire (key, expires) {
    const entry = this.get(key)
    if (entry !== undefined) entry.expires = expires
    return entry !== undefined
  }

  remove (key) {
    return this.#entries.delete(JSON.stringify(key))
  }

  clear () {
    this.#entries.clear()
  }

  copy () {
    const copy = new Entries()
    for (const [key, entry] of this.#entries) copy.#entries.set(key, { ...entry })
    return copy
  }

  get listed () {
    return Object.fromEntries([...this.#entries].map(([key, { value, version }]) => [key, [value, version]]))
  }
}

function reckoned (how, now, given) {
  if (now === undefined) return given
  const { value } = now
  if (typeof value !== typeof given) throw new Refused('FLOWDB_INVALID_VALUE')
  if (how === 'sum') return value + given
  return how === 'min' ? (given < value ? given : value) : (given > value ? given : value)
}

/** What each operation does to the model, and to a store; both give the same or are refused with the same code. */
const OPERATIONS_BY_NAME = {
  set: [
    (entries, { key, value, options }) => {
      const { ifVersion, ifAbsent, ttl } = options
      const version = entries.get(key)?.version ?? 0
      if (ifAbsent && version !== 0) throw constraint()
      if (ifVersion !== undefined && ifVersion !== version) throw constraint()
      entries.put(key, value, ttl !== undefined)
    },
    async (store, { key, value, options }) => { await store.set(key, value, options) }
  ],
  delete: [(entries, { key }) => entries.remove(key), (store, { key }) => store.delete(key)],
  clear: [(entries) => entries.clear(), (store) => store.clear()],
  getEntry: [
    (entries, { key }) => {
      const entry = entries.get(key)
      return entry && { key, value: entry.value, version: entry.version, expires: entry.expires }
    },
    async (store, { key }) => {
      const entry = await store.getEntry(key)
      if (entry === undefined) return undefined
      const { updatedAt: _updatedAt, expiresAt, ...rest } = entry
      return { ...rest, expires: expiresAt !== undefined }
    }
  ],
  ttl: [
    (entries, { key }) => {
      const entry = entries.get(key)
      return entry && (entry.expires ? 'some' : Infinity)
    },
    async (store, { key }) => {
      const left = await store.ttl(key)
      return left > 0 && left <= HOUR ? 'some' : left
    }
  ],
  expire: [
    (entries, { key }) => entries.expire(key, true),
    (store, { key }) => store.expire(key, HOUR)
  ],
  persist: [
    (entries, { key }) => entries.expire(key, false),
    (store, { key }) => store.persist(key)
  ],
  incr: [
    (entries, { key, number }) => {
      const made = reckoned('sum', entries.get(key), number)
      entries.change(key, made)
      return made
    },
    (store, { key, number }) => store.incr(key, number)
  ],
  update: [
    (entries, { key, value, way }) => {
      if (way === 'delete') {
        entries.remove(key)
        return undefined
      }
      if (way === 'leave' || value === undefined) return entries.get(key)?.value
      entries.change(key, value)
      return value
    },
    (store, { key, value, way }) => {
      return store.update(key, async () => way === 'delete' ? FlashStore.DELETE : way === 'leave' ? undefined : value)
    }
  ],
  getOrSet: [
    (entries, { key, value }) => {
      const entry = entries.get(key)
      if (entry !== undefined) return entry.value
      if (value !== undefined) entries.put(key, value, true)
      return value
    },
    (store, { key, value }) => store.getOrSet(key, () => value, { ttl: HOUR })
  ]
}

/** Makes checks and changes in the places, or leaves them as they are. */
function changeModel (places, { checks, changes }) {
  const unmet = checks.findIndex(({ place, key, version }) => (places[place].get(key)?.version ?? 0) !== version)
  if (unmet !== -1) return { ok: false, unmet }
  const copies = places.map((entries) => entries.copy())
  for (const { place, how, key, value, number } of changes) {
    const entries = copies[place]
    if (how === 'set') entries.put(key, value, false)
    else if (how === 'delete') entries.remove(key)
    else entries.change(key, reckoned(how, entries.get(key), number))
  }
  places.splice(0, places.length, ...copies)
  return { ok: true, versions: changes.map(({ place, key }) => places[place].get(key)?.version ?? 0) }
}

function changeStore (stores, { checks, changes }) {
  const atomic = stores[0].atomic()
  for (const { place, ...entry } of checks) atomic.in(stores[place]).check(entry)
  for (const { place, how, key, value, number } of changes) {
    atomic.in(stores[place])
    if (how === 'set') atomic.set(key, value)
    else if (how === 'delete') atomic.delete(key)
    else atomic[how](key, number)
  }
  return atomic.commit()
}

/** Makes up operations. */
class Maker {
  constructor (random, places) {
    this.random = random
    this.places = places
  }

  of (list) {
    return list[this.random(list.length)]
  }

  get base () {
    return {
      place: this.random(PLACES.length), key: this.of(KEYS), value: this.of(VALUES), number: this.of(NUMBERS),
      way: this.of(['change', 'change', 'leave', 'delete'])
    }
  }

  /** A version that is the right one more often than not. */
  version (place, key) {
    return this.random(4) === 0 ? this.random(4) : this.places[place].get(key)?.version ?? 0
  }

  single () {
    const operation = { ...this.base, name: this.of([...Object.keys(OPERATIONS_BY_NAME), 'set', 'set', 'incr']) }
    if (operation.name === 'clear' && this.random(4) !== 0) operation.name = 'getEntry'
    const version = this.version(operation.place, operation.key)
    operation.options = this.of([{}, { ttl: HOUR }, { ifAbsent: true }, { ifVersion: version, ttl: HOUR }])
    return operation
  }

  atomic () {
    const checks = Array.from({ length: this.random(3) }, () => {
      const { place, key } = this.base
      return { place, key, version: this.version(place, key) }
    })
    const hows = ['set', 'delete', 'sum', 'min', 'max']
    const changes = Array.from({ length: this.random(4) }, () => ({ ...this.base, how: this.of(hows) }))
    return { name: 'atomic', checks, changes }
  }
}

function performOnModel (places, operation) {
  if (operation.name === 'atomic') return changeModel(places, operation)
  return OPERATIONS_BY_NAME[operation.name][0](places[operation.place], operation)
}

async function performOnStore (stores, operation) {
  if (operation.name === 'atomic') return await changeStore(stores, operation)
  return await OPERATIONS_BY_NAME[operation.name][1](stores[operation.place], operation)
}

/** What an operation comes to: a result, or the code with which it is refused. */
async function outcome (perform) {
  try {
    return { result: await perform() }
  } catch (error) {
    if (error.code === undefined) throw error
    return { code: error.code }
  }
}

async function check (stores, places, operation, where) {
  const expected = await outcome(() => performOnModel(places, operation))
  assert.deepEqual(await outcome(() => performOnStore(stores, operation)), expected, where(operation))
}

/** Some operations in one transaction, which is taken back now and then. */
async function checkTransaction (stores, maker, where) {
  const places = maker.places.map((entries) => entries.copy())
  const inside = new Maker(maker.random, places)
  const isTakenBack = maker.random(3) === 0
  const thrown = new Error('taken back')
  const ended = stores[0].transaction(stores, async (...within) => {
    for (let left = maker.random(5); left > 0; left--) {
      const operation = maker.random(4) === 0 ? inside.atomic() : inside.single()
      await check(within, places, operation, where)
    }
    if (isTakenBack) throw thrown
  }, { retries: 0 })
  if (isTakenBack) return await assert.rejects(ended, thrown)
  await ended
  maker.places.splice(0, places.length, ...places)
}

/** The entries that the changes of a watch make, with their versions. */
async function followed (changes) {
  const entries = {}
  for await (const { type, key, value, version } of changes) {
    if (key === END) break
    if (type === 'set') entries[JSON.stringify(key)] = [value, version]
    else if (type === 'delete') delete entries[JSON.stringify(key)]
    else for (const name of Object.keys(entries)) delete entries[name]
  }
  return entries
}

async function listed (store) {
  const entries = {}
  for (const key of await gathered(store.keys())) {
    const { value, version } = await store.getEntry(key)
    entries[JSON.stringify(key)] = [value, version]
  }
  return entries
}

test('conditions, numbers, updates, atomic changes and transactions give what the model gives, and can be followed', async (t) => {
  t.diagnostic(`FLOWDB_SEED=${SEED}`)
  for (let number = 0; number < STORES; number++) {
    const store = flashInMemory(t)
    const stores = PLACES.map((path) => path.reduce((inner, name) => inner.namespace(name), store))
    const watches = stores.map((store) => store.watch({ buffer: 100_000 }))
    const maker = new Maker(randomFrom(SEED + number), PLACES.map(() => new Entries()))
    const where = (operation) => `FLOWDB_SEED=${SEED}, store ${number}: ${operation.name} ${JSON.stringify(operation.key)}`
    for (let done = 0; done < OPERATIONS; done++) {
      const kind = maker.random(10)
      if (kind === 0) await checkTransaction(stores, maker, where)
      else await check(stores, maker.places, kind === 1 ? maker.atomic() : maker.single(), where)
    }
    for (const [place, store] of stores.entries()) {
      const expected = maker.places[place].listed
      assert.deepEqual(await listed(store), expected, `FLOWDB_SEED=${SEED}, store ${number}`)
      await store.set(END, 1)
      assert.deepEqual(await followed(watches[place]), expected, `FLOWDB_SEED=${SEED}, store ${number}: followed`)
    }
  }
})
