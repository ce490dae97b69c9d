'use strict'

/*
 * FlashStore against an ordered model in memory: sequences of calls that look random and come again with their seed.
 *
 * The model makes each call up and says what it has to give; so it can also tell, without a store, what there must be
 * after any number of calls. Each call that writes is one commit, so a store that was killed or whose log was cut has
 * to show what there was after one of them: `marks` has them all.
 */

const { inspect } = require('node:util')
const { KeyRange } = require('..')
const { randomSource } = require('./support')

/** Keys of every type in their order, which the model takes from here and not from the codec. */
const KEYS = [
  null, false, true, -Infinity, -5, 0, 1, 1n, 1.5, 10, 2n ** 70n, new Date(0), new Date(1), '', '\0', 'a', 'a\0', 'aa',
  'ab', 'b', '\u00e9', '\ud83d', '\uffff', new Uint8Array([]), new Uint8Array([0]), new Uint8Array([0, 1]), [], [1],
  [1, 'a'], ['a'], [[]]
]

const VALUES = [
  undefined, null, 0, -0, '', 'text', true, { a: 1 }, [1, [2]], new Map([[1, 2]]), 12n, new Date(5), 'x'.repeat(300),
  Buffer.from([1, 2]), { a: undefined }
]

/** Where the entries are: the store itself, and namespaces in it and in each other. */
const PLACES = [[], ['a'], ['a', 'b'], ['a/b'], ['']]

const text = (value) => inspect(value, { depth: 9 })

/** A number that stands for what an entry is; those of all entries are added up. */
function markOf (place, key, value) {
  let hash = 0xcbf29ce484222325n
  for (const unit of Buffer.from(`${place}\n${text(key)}\n${text(value)}`)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(unit)) * 0x100000001b3n)
  }
  return hash
}

const marksOfPlace = PLACES.map((_, place) => KEYS.map((key) => VALUES.map((value) => markOf(place, key, value))))

/** The store or namespace at a place. */
const at = (store, place) => PLACES[place].reduce((inner, name) => inner.namespace(name), store)

/** The mark of all that a store holds. */
async function markOfStore (store) {
  let mark = 0n
  for (const place of PLACES.keys()) {
    for await (const [key, value] of at(store, place)) mark += markOf(place, key, value)
  }
  return BigInt.asUintN(64, mark)
}

/** Numbers below a limit that look random. */
const randomFrom = (seed) => randomSource(seed).below

class Model {
  #random
  /** For each place, values by key, both as numbers of the lists above. @type {Map<number, number>[]} */
  #places = PLACES.map(() => new Map())
  /** Which places have been written into. */
  #made = PLACES.map(() => false)
  #mark = 0n
  /** The mark after each call, and before the first. */
  marks = [0n]

  constructor (seed) {
    this.#random = randomFrom(seed)
  }

  random (limit) {
    return this.#random(limit)
  }

  get mark () {
    return BigInt.asUintN(64, this.#mark)
  }

  /** What is called next: `{ place, call, args, expected }`, or `{ …, code }` where it has to be refused. */
  next () {
    const place = this.#random(PLACES.length)
    const [call, weight] = CALLS[this.#random(CALLS.length)]
    const made = weight.call(this, place)
    const next = { place, call, ...made }
    this.marks.push(this.mark)
    return next
  }

  #put (place, key, value) {
    this.#remove(place, key)
    this.#places[place].set(key, value)
    this.#made[place] = true
    this.#mark += marksOfPlace[place][key][value]
  }

  #remove (place, key) {
    const value = this.#places[place].get(key)
    if (value === undefined) return false
    this.#places[place].delete(key)
    this.#mark -= marksOfPlace[place][key][value]
    return true
  }

  #key () {
    return this.#random(KEYS.length)
  }

  #value () {
    return this.#random(VALUES.length)
  }

  /** A range and the keys in it: `[argument, test]`. */
  #range () {
    const [one, two] = [this.#key(), this.#key()]
    const [low, high] = one < two ? [one, two] : [two, one]
    switch (this.#random(8)) {
      case 0: return [{ gte: KEYS[low] }, (key) => key >= low]
      case 1: return [{ gt: KEYS[low] }, (key) => key > low]
      case 2: return [{ lte: KEYS[high] }, (key) => key <= high]
      case 3: return [{ gte: KEYS[low], lte: KEYS[high] }, (key) => key >= low && key <= high]
      case 4: return [{ prefix: 'a' }, (key) => typeof KEYS[key] === 'string' && KEYS[key].startsWith('a')]
      case 5: return [{ prefix: [1] }, (key) => Array.isArray(KEYS[key]) && KEYS[key][0] === 1]
      case 6: return [KeyRange.only(KEYS[low]), (key) => key === low]
      default: return [undefined, () => true]
    }
  }

  #sorted (place, test = () => true) {
    return [...this.#places[place].keys()].filter(test).sort((a, b) => a - b)
  }

  #entry (place, key) {
    return key === undefined ? undefined : [KEYS[key], VALUES[this.#places[place].get(key)]]
  }

  set (place) {
    const [key, value] = [this.#key(), this.#value()]
    this.#put(place, key, value)
    return { args: [KEYS[key], VALUES[value]] }
  }

  setIfAbsent (place) {
    const [key, value] = [this.#key(), this.#value()]
    const args = [KEYS[key], VALUES[value], { ifAbsent: true }]
    if (this.#places[place].has(key)) return { args, code: 'FLOWDB_CONSTRAINT' }
    this.#put(place, key, value)
    return { args }
  }

  get (place) {
    const key = this.#key()
    return { args: [KEYS[key]], expected: VALUES[this.#places[place].get(key) ?? VALUES.length] }
  }

  has (place) {
    const key = this.#key()
    return { args: [KEYS[key]], expected: this.#places[place].has(key) }
  }

  delete (place) {
    const key = this.#key()
    return { args: [KEYS[key]], expected: this.#remove(place, key) }
  }

  clear (place) {
    for (const key of this.#sorted(place)) this.#remove(place, key)
    return { args: [] }
  }

  size (place) {
    return { args: [], expected: this.#places[place].size }
  }

  count (place) {
    const [range, test] = this.#range()
    return { args: [range], expected: this.#sorted(place, test).length }
  }

  #listed (place, select) {
    const [range, test] = this.#range()
    const reverse = this.#random(2) === 1
    const [offset, limit] = [this.#random(4), this.#random(2) === 1 ? 1 + this.#random(5) : Infinity]
    const keys = this.#sorted(place, test)
    const isSpread = range !== undefined && !(range instanceof KeyRange)
    const options = { ...(isSpread ? range : { range }), reverse, offset, limit }
    return { args: [options], expected: (reverse ? keys.reverse() : keys).slice(offset, offset + limit).map(select) }
  }

  keys (place) {
    return this.#listed(place, (key) => KEYS[key])
  }

  values (place) {
    return this.#listed(place, (key) => VALUES[this.#places[place].get(key)])
  }

  entries (place) {
    return this.#listed(place, (key) => this.#entry(place, key))
  }

  first (place) {
    const [range, test] = this.#range()
    return { args: [range], expected: this.#entry(place, this.#sorted(place, test)[0]) }
  }

  last (place) {
    const [range, test] = this.#range()
    return { args: [range], expected: this.#entry(place, this.#sorted(place, test).at(-1)) }
  }

  #popped (place, index) {
    const [range, test] = this.#range()
    const key = this.#sorted(place, test).at(index)
    const expected = this.#entry(place, key)
    if (key !== undefined) this.#remove(place, key)
    return { args: [range], expected }
  }

  popFirst (place) {
    return this.#popped(place, 0)
  }

  popLast (place) {
    return this.#popped(place, -1)
  }

  #several () {
    return Array.from({ length: this.#random(5) }, () => this.#key())
  }

  getMany (place) {
    const keys = this.#several()
    const expected = keys.map((key) => VALUES[this.#places[place].get(key) ?? VALUES.length])
    return { args: [keys.map((key) => KEYS[key])], expected }
  }

  setMany (place) {
    const entries = this.#several().map((key) => [key, this.#value()])
    for (const [key, value] of entries) this.#put(place, key, value)
    return { args: [entries.map(([key, value]) => [KEYS[key], VALUES[value]])] }
  }

  deleteMany (place) {
    const keys = this.#several()
    const expected = keys.filter((key) => this.#remove(place, key)).length
    return { args: [keys.map((key) => KEYS[key])], expected }
  }

  batch (place) {
    const operations = this.#several().map((key) => {
      if (this.#random(3) === 0) {
        this.#remove(place, key)
        return { type: 'delete', key: KEYS[key] }
      }
      const value = this.#value()
      this.#put(place, key, value)
      return { type: 'set', key: KEYS[key], value: VALUES[value] }
    })
    return { args: [operations] }
  }

  /** A batch whose last operation is refused, so that none of the others may have been done. */
  batchRefused (place) {
    const [taken] = this.#sorted(place)
    if (taken === undefined) return { call: 'size', args: [], expected: 0 }
    const last = { type: 'set', key: KEYS[taken], value: 1, ifAbsent: true }
    const operations = this.#several().filter((key) => key !== taken).map((key) => ({ type: 'set', key: KEYS[key], value: 7 }))
    return { call: 'batch', args: [[...operations, last]], code: 'FLOWDB_CONSTRAINT' }
  }

  drop (place) {
    if (place === 0) return { call: 'size', args: [], expected: this.#places[0].size }
    const path = PLACES[place]
    let expected = false
    for (const [inner, names] of PLACES.entries()) {
      if (!path.every((name, level) => names[level] === name)) continue
      expected ||= this.#made[inner]
      this.#made[inner] = false
      for (const key of this.#sorted(inner)) this.#remove(inner, key)
    }
    return { args: [], expected }
  }

  namespaces (place) {
    const path = PLACES[place]
    const within = PLACES.filter((names, inner) => {
      return this.#made[inner] && names.length > path.length && path.every((name, level) => names[level] === name)
    })
    return { args: [], expected: [...new Set(within.map((names) => names[path.length]))].sort() }
  }
}

/** What is called, how often beside each other, and which of the model's methods makes it up. */
const CALLS = [
  ['set', 8], ['setIfAbsent', 2], ['get', 4], ['has', 1], ['delete', 3], ['clear', 1], ['size', 2], ['count', 2],
  ['keys', 2], ['values', 2], ['entries', 3], ['first', 1], ['last', 1], ['popFirst', 2], ['popLast', 2],
  ['getMany', 1], ['setMany', 3], ['deleteMany', 2], ['batch', 3], ['batchRefused', 1], ['drop', 1], ['namespaces', 1]
].flatMap(([call, times]) => {
  return Array.from({ length: times }, () => [call === 'setIfAbsent' ? 'set' : call, Model.prototype[call]])
})

/** Does a call that a model has made up, and gives what it comes to. */
async function perform (store, { place, call, args }) {
  const target = at(store, place)
  if (call === 'size') return await target.size
  const result = target[call](...args)
  if (typeof result[Symbol.asyncIterator] !== 'function' || call === 'set' || call === 'setMany') {
    const value = await result
    return value === target ? undefined : value
  }
  const rows = []
  for await (const row of result) rows.push(row)
  return rows
}

exports.Model = Model
exports.markOfStore = markOfStore
exports.perform = perform
