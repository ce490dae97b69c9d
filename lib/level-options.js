'use strict'

/*
 * The options of FlowLevel: those of the engine under their own names, and those of classic-level, which mean what they
 * mean there. What else is given is somebody else's: abstract-level hands on everything.
 */

const { FlowDBError } = require('./errors.js')
const { invalid, kindOf } = require('./names.js')
const { optionNames } = require('./options.js')

const KIB = 1024
const MIB = KIB * KIB

/**
 * Sizes of classic-level's, and the options that they are here, where some are counted in units of so many. As LevelDB
 * does, what is out of the limits is brought within them.
 *
 * @type {Record<string, { option: string, unit: number, least: number, most: number }>}
 */
const SIZES = {
  cacheSize: { option: 'blockCacheCapacityMb', unit: MIB, least: 0, most: MIB * MIB },
  writeBufferSize: { option: 'memtableSizeMb', unit: MIB, least: 4 * KIB, most: 4096 * MIB },
  blockSize: { option: 'blockSize', unit: 1, least: 128, most: MIB },
  maxOpenFiles: { option: 'maxOpenFiles', unit: 1, least: 8, most: 1_000_000 },
  maxFileSize: { option: 'tableSizeMb', unit: MIB, least: 4 * KIB, most: 1024 * MIB }
}

/** What means nothing here: a directory, said elsewhere; and what every database of ours does. */
const LEFT_OUT = new Set(['dataDir', 'path', 'errorIfExists', 'multithreading'])

/**
 * The options that a keyspace is opened with.
 *
 * @param {string | undefined} location `undefined` in memory
 * @param {Record<string, any>} options of abstract-level's `open`
 * @returns {Record<string, unknown>}
 */
function readLevelOptions (location, options) {
  // The interface has a word of its own for writes that wait for the disk: `sync`.
  /** @type {Record<string, unknown>} */
  const own = location === undefined ? { inMemory: true } : { path: location, durability: 'relaxed' }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (name === 'multithreading') checkFlag(name, value)
    if (name === 'blockRestartInterval') throw noSuchInterval()
    if (LEFT_OUT.has(name) || name === 'inMemory') continue
    if (Object.hasOwn(SIZES, name)) addSize(own, name, options)
    else if (name === 'compression') own.compression = compressionOf(value)
    else if (optionNames.has(name)) own[name] = value
  }
  if (location === undefined) delete own.createIfMissing
  if (own.walSyncMode !== undefined && options.durability === undefined) delete own.durability
  return own
}

/**
 * @param {Record<string, unknown>} own
 * @param {string} name
 * @param {Record<string, unknown>} options
 */
function addSize (own, name, options) {
  const { option } = SIZES[name]
  if (option !== name && options[option] !== undefined) {
    throw invalid(`${name} and ${option} are two names of one option: give one of them`)
  }
  own[option] = sizeOf(name, options[name])
}

/**
 * @param {string} name
 * @param {unknown} value
 * @returns {number}
 */
function sizeOf (name, value) {
  const { unit, least, most } = SIZES[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw invalid(`${name} is a whole number from 0, not ${kindOf(value)}`)
  }
  return Math.min(Math.max(value, least), most) / unit
}

/** @param {unknown} value */
function compressionOf (value) {
  if (typeof value === 'boolean') return value ? 'lz4' : 'none'
  return value
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function checkFlag (name, value) {
  if (typeof value !== 'boolean') throw invalid(`${name} is true or false, not ${kindOf(value)}`)
}

function noSuchInterval () {
  const message = 'blockRestartInterval can\'t be chosen: blocks have restart points where they pay. Leave it out'
  return new FlowDBError('FLOWDB_UNSUPPORTED', message)
}

exports.readLevelOptions = readLevelOptions
