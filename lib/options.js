'use strict'

/* The options that a database is opened with: names, types, and what the addon calls them. */

const { resolve } = require('node:path')
const { invalid, kindOf } = require('./names.js')

const MIB = 1024 * 1024

/**
 * @typedef {import('../native.d.ts').OpenOptions} OpenOptions
 * @typedef {(name: string, value: unknown) => Partial<OpenOptions>} ReadOption
 */

/**
 * @param {keyof OpenOptions} setting
 * @returns {ReadOption}
 */
const flag = (setting) => (name, value) => {
  if (typeof value !== 'boolean') throw invalid(`${name} is true or false, not ${kindOf(value)}`)
  return { [setting]: value }
}

/**
 * @param {keyof OpenOptions} setting
 * @param {number} least
 * @param {number} most
 * @returns {ReadOption}
 */
const whole = (setting, least, most) => (name, value) => {
  if (!Number.isSafeInteger(value) || Number(value) < least || Number(value) > most) {
    throw invalid(`${name} is a whole number from ${least} to ${most}, not ${kindOf(value)}`)
  }
  return { [setting]: value }
}

/**
 * @param {keyof OpenOptions} setting
 * @param {number} least in MiB
 * @param {number} most in MiB
 * @returns {ReadOption}
 */
const megabytes = (setting, least, most) => (name, value) => {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw invalid(`${name} is a number of megabytes from ${least} to ${most}, not ${kindOf(value)}`)
  }
  return { [setting]: Math.round(value * MIB) }
}

/**
 * @param {keyof OpenOptions} setting
 * @param {string[]} words
 * @returns {ReadOption}
 */
const oneOf = (setting, ...words) => (name, value) => {
  if (words.includes(/** @type {string} */ (value))) return { [setting]: value }
  throw invalid(`${name} is ${words.map((word) => `"${word}"`).join(' or ')}, not ${kindOf(value)}`)
}

/** @type {ReadOption} */
const directory = (name, value) => {
  if (typeof value !== 'string' || value === '') throw invalid(`${name} is the path of a directory, not ${kindOf(value)}`)
  if (value.includes('\0')) throw invalid(`${name} can't have a NUL in it`)
  // Made absolute now: a later change of the working directory must not move the database.
  return { dataDir: resolve(value) }
}

/**
 * The limits are those of the engine (src/config.rs), which has the last word; here they are told by the names that
 * JavaScript knows.
 *
 * @type {Record<string, ReadOption>}
 */
const OPTIONS = {
  dataDir: directory,
  inMemory: flag('inMemory'),
  readOnly: flag('readOnly'),
  createIfMissing: flag('createIfMissing'),
  durability: oneOf('durability', 'strict', 'relaxed', 'none'),
  syncIntervalMs: whole('syncIntervalMs', 1, 60_000),
  memtableSizeMb: megabytes('memtableSizeBytes', 4 / 1024, 4096),
  maxFrozenMemtables: whole('maxFrozenMemtables', 1, 64),
  blockSize: whole('blockSize', 128, MIB),
  tableSizeMb: megabytes('tableSizeBytes', 4 / 1024, 1024),
  blockCacheCapacityMb: megabytes('blockCacheCapacityBytes', 0, MIB),
  bloomBitsPerKey: whole('bloomBitsPerKey', 0, 32),
  compression: oneOf('compression', 'lz4', 'none'),
  compactionThreshold: whole('compactionThreshold', 2, 64),
  levelSizeMb: megabytes('levelSizeBytes', 16 / 1024, MIB)
}

/**
 * Checks options and translates them.
 *
 * @param {string} where who is told of them, for messages
 * @param {unknown} options
 * @returns {OpenOptions}
 */
function readOptions (where, options) {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(`${where} takes an object of options, not ${kindOf(options)}`)
  }
  /** @type {OpenOptions} */
  const settings = { dataDir: '' }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, name)) throw invalid(`${where} has no option ${JSON.stringify(name)}`)
    if (value !== undefined) Object.assign(settings, OPTIONS[name](name, value))
  }
  if (settings.dataDir === '' && settings.inMemory !== true) {
    throw invalid(`${where} needs a dataDir, or inMemory: true`)
  }
  if (settings.syncIntervalMs !== undefined && settings.durability !== 'relaxed') {
    throw invalid('syncIntervalMs means something with durability "relaxed" only')
  }
  if (settings.readOnly === true && settings.inMemory === true) {
    throw invalid('inMemory and readOnly exclude each other: a new database in memory has nothing to read')
  }
  return settings
}

exports.readOptions = readOptions
