'use strict'

/* Opening a store of 100,000 entries again, in a new process, until all of it can be read. */

const { check, shown } = require('../lib/answers.js')
const { rest } = require('../lib/clock.js')
const { keyOf, valueOf } = require('../lib/data.js')
const { evict, freshDir } = require('../lib/files.js')

const COUNT_MAX = 100000

const CLASSES = ['FlashStore', 'FlashStoreSync']

/** @param {string} name */
const lineOf = (name) => `reopen a ${name} of 100,000 entries`

/** @typedef {import('../lib/lines.js').Lines} Lines */

/** @param {Lines} lines */
const countOf = ({ scale }) => Math.min(COUNT_MAX, scale.entries)

/**
 * @param {Lines} lines
 * @param {string} name
 */
const dirOf = (lines, name) => `${lines.dir}/${name}`

/** @param {Lines} lines */
async function fillBoth (lines) {
  for (const name of CLASSES) {
    if (!lines.wants(lineOf(name))) continue
    const entries = Array.from({ length: countOf(lines) }, (_, n) => /** @type {[string, string]} */ ([
      keyOf(n), valueOf(n, lines.scale.valueBytes)
    ]))
    await reopeningOf(lines, name).fill(freshDir(dirOf(lines, name)), entries)
    evict(dirOf(lines, name))
  }
}

/** @param {Lines} lines */
async function openBoth (lines) {
  await rest()
  for (const name of CLASSES) {
    await lines.line(lineOf(name), async () => {
      const n = countOf(lines) - 1
      const start = performance.now()
      const [value, close] = await reopeningOf(lines, name).open(dirOf(lines, name), keyOf(n))
      const milliseconds = performance.now() - start
      check(value === valueOf(n, lines.scale.valueBytes), () => `entry ${n} has the value ${shown(value)}`)
      await close()
      return { value: milliseconds }
    })
  }
}

/**
 * @param {Lines} lines
 * @param {string} name
 */
const reopeningOf = ({ adapter }, name) => /** @type {any} */ (adapter.reopenings)[name]

exports.reopenings = {
  name: 'reopening',
  facet: /** @type {const} */ ('reopenings'),
  lines: CLASSES.map((name) => ({ name: lineOf(name), unit: 'ms', better: /** @type {const} */ ('less') })),
  stages: [fillBoth, openBoth]
}
