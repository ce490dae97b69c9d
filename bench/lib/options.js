'use strict'

/* The command line. */

const { tmpdir } = require('node:os')

const HELP = `node run.js [options]
  --preset NAME      full (1 M entries, five rounds), short (about three minutes) or smoke (does everything work?)
  --entries N        another number of entries
  --value-bytes N    another size of values
  --seconds N        another time for each line
  --rounds N         another number of rounds
  --engines a,b      only these
  --only PART        only lines with PART in their names; may be given several times
  --dir PATH         where the databases are made; by default the folder for temporary files
  --timeout SECONDS  the most that a process may take
  --out FILE         every figure as a line of JSON, and a summary of each line
  --from FILE        measure nothing; show what such a file has
  --markdown FILE    put the tables between the comments of this page, and charts into the folder benchmarks beside it
  --list             the names of lines and engines`

const PRESETS = {
  full: { entries: 1000000, seconds: 3, fillSeconds: 180, rounds: 5, timeout: 900 },
  short: { entries: 20000, seconds: 0.15, fillSeconds: 8, rounds: 1, timeout: 60 },
  smoke: { entries: 2000, seconds: 0.02, fillSeconds: 30, rounds: 1, timeout: 120 }
}

const VALUE_BYTES = 100
const VALUE_BYTES_MIN = 16
/** Twice as many as are written at a time: the first ones are the warm-up. */
const ENTRIES_MIN = 2000
const ENTRIES_MAX = 2 ** 28

/**
 * @typedef {object} Options
 * @property {string} preset
 * @property {number} entries
 * @property {number} valueBytes
 * @property {number} seconds
 * @property {number} fillSeconds
 * @property {number} rounds
 * @property {number} timeout
 * @property {string[]} engines
 * @property {string[]} only
 * @property {string} dir
 * @property {string} [out]
 * @property {string} [from]
 * @property {string} [markdown]
 * @property {boolean} [list]
 */

/**
 * @param {readonly string[]} words
 * @param {readonly string[]} known the names of engines
 * @returns {Options} throws an error that says what is wrong
 */
function readOptions (words, known) {
  /** @type {any} */
  const given = { preset: 'short', engines: [...known], only: [], dir: tmpdir(), valueBytes: VALUE_BYTES }
  for (let at = 0; at < words.length; at++) {
    const word = words[at]
    if (word === '--list') {
      given.list = true
      continue
    }
    const read = READERS[word]
    const value = words[++at]
    if (read === undefined || value === undefined) throw new Error(`${word} is no option, or lacks its value\n${HELP}`)
    read(given, value, word)
  }
  const preset = PRESETS[/** @type {keyof typeof PRESETS} */ (given.preset)]
  if (!Object.hasOwn(PRESETS, given.preset)) throw new Error(`--preset is one of ${Object.keys(PRESETS).join(', ')}`)
  const unknown = given.engines.filter((/** @type {string} */ name) => !known.includes(name))
  if (unknown.length > 0) throw new Error(`there is no engine ${unknown.join(', ')}; there are ${known.join(', ')}`)
  return { ...preset, ...given }
}

/** @typedef {(given: any, text: string, word: string) => void} Reader */

/**
 * @param {string} name
 * @param {number} least
 * @param {number} [most]
 * @returns {Reader}
 */
const number = (name, least, most = Infinity) => (given, text, word) => {
  const value = Number(text)
  if (!(value >= least && value <= most)) throw new Error(`${word} is a number from ${least} on, not ${text}`)
  given[name] = value
}

/**
 * @param {string} name
 * @returns {Reader}
 */
const word = (name) => (given, text) => { given[name] = text }

/** @type {Record<string, Reader>} */
const READERS = {
  '--preset': word('preset'),
  '--entries': number('entries', ENTRIES_MIN, ENTRIES_MAX),
  '--value-bytes': number('valueBytes', VALUE_BYTES_MIN),
  '--seconds': number('seconds', 0.001),
  '--rounds': number('rounds', 1),
  '--timeout': number('timeout', 1),
  '--engines': (given, text) => { given.engines = text.split(',') },
  '--only': (given, text) => { given.only.push(text) },
  '--dir': word('dir'),
  '--out': word('out'),
  '--from': word('from'),
  '--markdown': word('markdown')
}

exports.HELP = HELP
exports.PRESETS = PRESETS
exports.readOptions = readOptions
