'use strict'

/*
 * The data of all workloads: made of numbers alone, so that every process makes the same and can check every answer.
 *
 * Keys are strings of 16 digits. Entry n has the key 2n, so that a miss asks for an odd one among those that are there.
 * Values are ASCII strings, half random and half words, so that they compress about as documents do.
 */

const KEY_DIGITS = 16
const FILLER_CHARACTERS = 1 << 20
const WORDS = ['river', 'amber', 'copper', 'willow', 'harbour', 'lantern', 'meadow', 'quartz', 'saddle', 'thunder']
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * A small generator of random numbers, the same on every machine (xorshift).
 *
 * @param {number} seed
 * @returns {() => number} of 32 bits each
 */
function randomNumbers (seed) {
  let state = (seed ^ 0x9e3779b9) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** Text in turns of eight random characters and a word. */
const filler = makeFiller()

function makeFiller () {
  const next = randomNumbers(7)
  const parts = []
  for (let length = 0; length < FILLER_CHARACTERS;) {
    let part = ''
    for (let at = 0; at < 8; at++) part += DIGITS[next() & 63]
    part += ` ${WORDS[next() % WORDS.length]} `
    parts.push(part)
    length += part.length
  }
  return parts.join('')
}

/**
 * @param {number} seed
 * @param {number} characters
 */
function text (seed, characters) {
  const from = scatter(seed) % (filler.length - characters)
  return filler.slice(from, from + characters)
}

/** @param {number} number */
function scatter (number) {
  let mixed = Math.imul(number ^ (number >>> 16), 0x45d9f3b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0x2c1b3c6d)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/**
 * The same text as one flat piece: what JavaScript puts together lazily, an engine would pay for.
 *
 * @param {string} ascii
 */
const flat = (ascii) => Buffer.from(ascii, 'latin1').toString('latin1')

/** @param {number} n */
const keyOf = (n) => flat(String(2 * n).padStart(KEY_DIGITS, '0'))

/** A key that is not there, next to the one of entry `n`. @param {number} n */
const missOf = (n) => flat(String(2 * n + 1).padStart(KEY_DIGITS, '0'))

/** Which entry has the key. @param {string} key */
const entryOf = (key) => Number(key) / 2

/**
 * @param {number} n
 * @param {number} bytes
 */
const valueOf = (n, bytes) => flat(`${String(n).padStart(10, '0')}:${text(n, bytes - 11)}`)

/**
 * A permutation of the numbers below `count`: what comes at place `at`.
 *
 * It mixes the bits of the next power of two by steps that can all be undone, again and again until the number is below
 * `count`.
 *
 * @param {number} count
 * @returns {(at: number) => number}
 */
function permutation (count) {
  const bits = Math.max(2, Math.ceil(Math.log2(count)))
  const mask = 2 ** bits - 1
  const half = bits >> 1
  return (at) => {
    let mixed = at
    do {
      mixed = (Math.imul(mixed, 0x9e3779b1) >>> 0) & mask
      mixed ^= mixed >>> half
      mixed = (Math.imul(mixed, 0x85ebca6b) >>> 0) & mask
      mixed ^= mixed >>> half
    } while (mixed >= count)
    return mixed
  }
}

/**
 * A document of about so many bytes as JSON.
 *
 * @param {number} n
 * @param {number} bytes
 */
function documentOf (n, bytes) {
  const document = {
    id: n,
    email: `user${n}@example.org`,
    active: n % 3 !== 0,
    place: { city: `city ${n % 100}`, zip: String(10000 + n % 90000) },
    tags: [`t${n % 7}`, `t${n % 11}`],
    text: ''
  }
  document.text = text(n, Math.max(1, bytes - JSON.stringify(document).length))
  return document
}

/**
 * A document of the workloads with indexes: about 200 bytes, with a unique email and a score that nobody else has.
 *
 * @param {number} n
 * @param {number} rank its place in the order of scores
 */
function personOf (n, rank) {
  return { id: n, email: `user${n}@example.org`, score: rank * 10, active: n % 3 !== 0, name: `Name ${n}`, text: text(n, 100) }
}

exports.documentOf = documentOf
exports.entryOf = entryOf
exports.keyOf = keyOf
exports.missOf = missOf
exports.permutation = permutation
exports.personOf = personOf
exports.randomNumbers = randomNumbers
exports.valueOf = valueOf
