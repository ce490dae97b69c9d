'use strict'

/*
 * The options that a database is opened with. Their names, kinds and limits are those of the engine's settings
 * (src/config/settings.rs), which the addon tells; here they are checked under the names that JavaScript knows.
 */

const { resolve } = require('node:path')
const { cut } = require('./errors.js')
const { checkText, entriesOf, invalid, kindOf } = require('./names.js')
const native = require('./native.js')

const MIB = 1024 * 1024

/**
 * @typedef {import('../native.d.ts').OptionSetting} OptionSetting
 * @typedef {import('../native.d.ts').OptionDescription} OptionDescription
 */

/** @param {string} name in snake case */
const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())

/**
 * An option by one of its names; `synonym` picks among the words that mean the same.
 *
 * @typedef {{ description: OptionDescription, synonym: 0 | 1 }} Named
 */

/** @type {Map<string, Named>} */
const named = new Map()
const descriptions = native.options()
for (const description of descriptions) {
  named.set(camelCase(description.name), { description, synonym: 0 })
  if (description.alias !== undefined) named.set(camelCase(description.alias), { description, synonym: 1 })
}

/**
 * Checks the value of an option and writes it as text.
 *
 * @param {string} name
 * @param {Named} option
 * @param {unknown} value
 * @returns {string}
 */
function readValue (name, { description, synonym }, value) {
  const { kind, least, most, words } = description
  const refused = (/** @type {string} */ wanted) => invalid(`${name} is ${wanted}, not ${kindOf(value)}`)
  switch (kind) {
    case 'path':
      return readDirectory(name, value)
    case 'flag':
      if (typeof value !== 'boolean') throw refused('true or false')
      break
    case 'megabytes':
      if (typeof value !== 'number' || !(value * MIB >= least && value * MIB <= most)) {
        throw refused(`a number of megabytes from ${least / MIB} to ${most / MIB}`)
      }
      break
    case 'word': {
      const known = words.map((word) => word[synonym])
      if (!known.includes(/** @type {string} */ (value))) throw refused(known.map((word) => `"${word}"`).join(' or '))
      break
    }
    default:
      if (!Number.isSafeInteger(value) || Number(value) < least || Number(value) > most) {
        throw refused(`a whole number from ${least} to ${most}`)
      }
  }
  return String(value)
}

/**
 * @param {string} name
 * @param {unknown} value
 * @returns {string}
 */
function readDirectory (name, value) {
  if (typeof value !== 'string' || value === '') throw invalid(`${name} is the path of a directory, not ${kindOf(value)}`)
  if (value.includes('\0')) throw invalid(`${name} can't have a NUL in it`)
  checkText(name, value)
  // Made absolute now: a later change of the working directory must not move the database.
  return resolve(value)
}

/**
 * Checked options: the settings in the order of the engine's table, and what the facades have to know of them.
 *
 * @typedef {{ settings: OptionSetting[], dataDir: string | undefined, inMemory: boolean }} Options
 */

/**
 * Checks options and translates them.
 *
 * @param {string} where who is told of them, for messages
 * @param {unknown} options
 * @returns {Options}
 */
function readOptions (where, options) {
  /** @type {Map<OptionDescription, { name: string, text: string }>} */
  const given = new Map()
  for (const [name, value] of entriesOf(where, options)) {
    const option = named.get(name)
    if (option === undefined) throw unknownOption(where, name)
    if (value === undefined) continue
    const other = given.get(option.description)
    if (other !== undefined) throw invalid(`${other.name} and ${name} are two names of one option: give one of them`)
    given.set(option.description, { name, text: readValue(name, option, value) })
  }
  /** @type {OptionSetting[]} */
  const settings = []
  /** @type {Record<string, string>} */
  const texts = Object.create(null)
  for (const description of descriptions) {
    const text = given.get(description)?.text
    if (text === undefined) continue
    settings.push({ name: description.name, value: text })
    texts[camelCase(description.name)] = text
  }
  checkTogether(where, texts)
  return { settings, dataDir: texts.dataDir, inMemory: texts.inMemory === 'true' }
}

/**
 * @param {string} where
 * @param {Record<string, string>} texts
 */
function checkTogether (where, { dataDir, inMemory, readOnly, walSyncMode, syncIntervalMs }) {
  if (dataDir === undefined && inMemory !== 'true') throw invalid(`${where} needs a dataDir, or inMemory: true`)
  if (syncIntervalMs !== undefined && walSyncMode !== 'relaxed' && walSyncMode !== 'interval') {
    throw invalid('syncIntervalMs means something with durability "relaxed" only')
  }
  if (readOnly === 'true' && inMemory === 'true') {
    throw invalid('inMemory and readOnly exclude each other: a new database in memory has nothing to read')
  }
}

/**
 * @param {string} where
 * @param {string} name
 */
function unknownOption (where, name) {
  const meant = camelCase(native.nearestOption(name) ?? '')
  // Rust has fields in bytes where options here count megabytes.
  const known = [meant, meant.replace(/Bytes$/, 'Mb')].find((one) => named.has(one))
  const hint = known === undefined ? '' : `; did you mean ${known}?`
  return invalid(`${where} has no option ${JSON.stringify(cut(name))}${hint}`)
}

exports.optionNames = named
exports.readDirectory = readDirectory
exports.readOptions = readOptions
