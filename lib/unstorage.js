'use strict'

/*
 * A driver for unstorage.
 *
 * Keys are texts with colons, in their order; what lies below a base is a range. Before each value are six bytes with
 * the time of its writing. Everything is a closure, because unstorage calls the functions of a driver without it.
 */

const { PAGE_ROWS, eachIn, nameOf, rowKey, rowsOf, toBytes, toValue } = require('./adapter-rows.js')
const { FlowDBError, reading } = require('./errors.js')
const { Keyspace } = require('./keyspace.js')
const { entriesOf, invalid, kindOf } = require('./names.js')

/** The rows of every driver are in this keyspace of a database. */
const KEYSPACE = 'unstorage'

/** All rows are of one group: which keys belong together, their beginnings say. */
const GROUP = null
const GROUP_LENGTH = 1

const TIME_BYTES = 6
const MS_PER_SECOND = 1000
const SEPARATOR = ':'
/** What comes next after everything that begins with a separator. */
const BEHIND_SEPARATOR = ';'

/**
 * @typedef {{ ttl?: number, maxDepth?: number }} CallOptions
 * @typedef {{ key: string, value: unknown, options?: CallOptions }} Item
 */

/**
 * @param {string | Record<string, unknown>} options a directory, or options with a `dataDir`
 */
function flowdbDriver (options) {
  /** @type {Record<string, unknown>} */
  const given = typeof options === 'string' ? { dataDir: options } : Object.fromEntries(entriesOf('the driver', options))
  const { base = '', ttl, ...others } = given
  if ('path' in others) throw invalid('flowdbDriver has no option "path"; did you mean dataDir?')
  // Nitro gives the name of the driver as well.
  delete others.driver
  if (typeof base !== 'string') throw invalid(`base is a string, not ${kindOf(base)}`)
  // A ttl that is none is refused now and not by the first item.
  momentIn(ttl)
  const prefix = beginningOf(base)
  const keyspace = Keyspace.open(others)
  const rows = keyspace.keyspace(KEYSPACE)

  const rowOf = (/** @type {string} */ key) => rowKey(GROUP, prefix + checkKey(key))

  /**
   * @param {string} key
   * @param {unknown} value
   * @param {CallOptions} [options]
   */
  const toWrite = (key, value, options) => {
    const expiresAt = momentIn(reading('FLOWDB_INVALID_ARGUMENT', 'ttl', () => options?.ttl) ?? ttl)
    const operation = { type: /** @type {const} */ ('put'), key: rowOf(key), value: withTime(toBytes(value)) }
    return expiresAt === undefined ? operation : { ...operation, expiresAt }
  }

  return {
    name: 'flowdb',
    options,
    flags: { maxDepth: true, ttl: true },
    getInstance: () => keyspace,

    /** @param {string} key */
    hasItem: async (key) => rows.has(rowOf(key)),

    /** @param {string} key */
    async getItem (key) {
      return toItem(await rows.get(rowOf(key)))
    },

    /** @param {{ key: string }[]} items */
    async getItems (items) {
      const keys = eachIn('getItems', items, ({ key }) => key)
      const all = await rows.getMany(keys.map(rowOf))
      return all.map((bytes, place) => ({ key: keys[place], value: toItem(bytes) }))
    },

    /** @param {string} key */
    async getItemRaw (key) {
      const bytes = await rows.get(rowOf(key))
      return bytes === undefined ? null : toValue(bytes.subarray(TIME_BYTES))
    },

    /** @type {(key: string, value: unknown, options?: CallOptions) => Promise<void>} */
    async setItem (key, value, options) {
      await rows.batch([toWrite(key, value, options)])
    },

    /** @type {(key: string, value: unknown, options?: CallOptions) => Promise<void>} */
    async setItemRaw (key, value, options) {
      await rows.batch([toWrite(key, value, options)])
    },

    /** @type {(items: Item[], common?: CallOptions) => Promise<void>} all of them, or none */
    async setItems (items, common) {
      await rows.batch(eachIn('setItems', items, ({ key, value, options }) => {
        return toWrite(key, value, { ...common, ...options })
      }))
    },

    /** @param {string} key */
    async removeItem (key) {
      await rows.batch([{ type: 'del', key: rowOf(key) }])
    },

    /** @param {string} key */
    async getMeta (key) {
      const [bytes, expiresAt] = await Promise.all([rows.get(rowOf(key)), rows.expiry(rowOf(key))])
      if (bytes === undefined) return null
      const meta = { mtime: new Date(bytes.readUIntBE(0, TIME_BYTES)), size: bytes.length - TIME_BYTES - 1 }
      // It may have been deleted, or have expired, between the two.
      if (expiresAt === undefined || expiresAt === Infinity) return meta
      return { ...meta, ttl: Math.ceil(Math.max(0, expiresAt - Date.now()) / MS_PER_SECOND) }
    },

    /** @type {(below?: string, options?: CallOptions) => Promise<string[]>} */
    async getKeys (below = '', options = undefined) {
      return await keysBelow(rows, prefix, below, depthIn(reading('FLOWDB_INVALID_ARGUMENT', 'maxDepth', () => options?.maxDepth)))
    },

    /** @type {(below?: string) => Promise<void>} by one entry, however much there is */
    clear: async (below = '') => rows.clear(rowsOf(GROUP, prefix + beginningOf(below))),

    dispose: () => keyspace.close()
  }
}

/**
 * @param {import('./keyspace.js').Keyspace} rows
 * @param {string} prefix of the driver; the keys are given without it
 * @param {string} below
 * @param {number} maxDepth a key may have so many separators
 */
async function keysBelow (rows, prefix, below, maxDepth) {
  const keys = []
  const iterator = rows.iterator({ ...rowsOf(GROUP, prefix + beginningOf(below)), values: false })
  try {
    for (let page = await iterator.next(PAGE_ROWS); page.length > 0; page = await iterator.next(PAGE_ROWS)) {
      let tooDeep
      for (const [row] of page) {
        const key = /** @type {string} */ (nameOf(row, GROUP_LENGTH)).slice(prefix.length)
        const end = endOfDepth(key, maxDepth)
        tooDeep = end < 0 ? undefined : key.slice(0, end)
        if (tooDeep === undefined) keys.push(key)
      }
      // However much lies below it, nothing of that is wanted.
      if (tooDeep !== undefined) iterator.seek(rowKey(GROUP, prefix + tooDeep + BEHIND_SEPARATOR))
    }
  } finally {
    iterator.close()
  }
  return keys
}

/**
 * How all keys below a base begin: as unstorage writes keys, with one colon between parts.
 *
 * @param {string} base
 */
function beginningOf (base) {
  const parts = checkKey(base).split(/[:/\\]/).filter((part) => part !== '')
  return parts.map((part) => part + SEPARATOR).join('')
}

/** @param {unknown} key or base: unstorage makes strings of both */
function checkKey (key) {
  if (typeof key !== 'string') throw new FlowDBError('FLOWDB_INVALID_KEY', `a key is a string, not ${kindOf(key)}`)
  return key
}

/**
 * @param {string} key
 * @param {number} maxDepth
 * @returns {number} where the first separator too many is, or -1
 */
function endOfDepth (key, maxDepth) {
  let at = key.indexOf(SEPARATOR)
  for (let depth = 1; at >= 0 && depth <= maxDepth; depth++) at = key.indexOf(SEPARATOR, at + 1)
  return at
}

/**
 * What `getItem` gives: a text where there is one, as other drivers do for bytes.
 *
 * @param {Buffer | undefined} bytes
 * @returns {unknown}
 */
function toItem (bytes) {
  if (bytes === undefined) return null
  const value = toValue(bytes.subarray(TIME_BYTES))
  return Buffer.isBuffer(value) ? value.toString() : value
}

/** @param {Buffer} value */
function withTime (value) {
  const bytes = Buffer.allocUnsafe(TIME_BYTES + value.length)
  bytes.writeUIntBE(Date.now(), 0, TIME_BYTES)
  bytes.set(value, TIME_BYTES)
  return bytes
}

/** @param {unknown} maxDepth */
function depthIn (maxDepth = Infinity) {
  if (maxDepth === Infinity || (Number.isSafeInteger(maxDepth) && Number(maxDepth) >= 0)) return Number(maxDepth)
  throw invalid(`maxDepth is a whole number from 0, not ${kindOf(maxDepth)}`)
}

/** @param {unknown} ttl in seconds, as in the other drivers; 0 is for ever */
function momentIn (ttl) {
  if (ttl === undefined || ttl === null || ttl === 0) return undefined
  if (typeof ttl !== 'number' || !(ttl > 0)) throw invalid(`ttl is a number of seconds, not ${kindOf(ttl)}`)
  const at = Math.ceil(Date.now() + ttl * MS_PER_SECOND)
  return at <= Number.MAX_SAFE_INTEGER ? at : undefined
}

module.exports = flowdbDriver
