'use strict'

/*
 * Calls that would be right: for each method the lists of arguments of which one after the other is replaced by a
 * hostile value, as is each property of those that are plain objects. A method that has none here takes anything in
 * each of its first places.
 */

const RANGE = { gte: 1, lt: 5 }
const PAGE = { limit: 2, reverse: true }
const FLASH_RANGE = { ...RANGE, ...PAGE }
const EXPIRY = { ttl: 60 }
const signal = new AbortController().signal

const document = () => ({ id: 2, group: 1, name: 'x' })
const same = (value) => value

const DOCUMENTS = {
  put: [['rows', document(), { ttl: 60, ifVersion: 1 }], ['notes', { x: 1 }, 1, { ttl: 60, durability: 'none' }]],
  add: [['notes', { x: 1 }, 5, EXPIRY]],
  get: [['rows', 1]],
  getEntry: [['rows', 1]],
  touch: [['rows', 1, EXPIRY], ['rows', 1, { expiresAt: Date.now() + 1e9 }]],
  getMany: [['rows', [1, 2]]],
  getKey: [['rows', RANGE]],
  has: [['rows', 1]],
  putMany: [['rows', [document()]], ['notes', [1, 2], [1, 2]]],
  addMany: [['notes', [1, 2], [7, 8]]],
  delete: [['rows', 2], ['rows', RANGE]],
  deleteMany: [['rows', [2, 3]]],
  modify: [['rows', 1, same]],
  patch: [['rows', 1, { name: 'y' }]],
  cursor: [['rows', { index: 'group', range: RANGE, direction: 'next' }]],
  clear: [['notes']],
  count: [['rows', RANGE]],
  scan: [['rows', RANGE, PAGE]],
  getAll: [['rows', RANGE, PAGE], ['rows', { prefix: 'x' }, 3]],
  getAllKeys: [['rows', RANGE, PAGE]],
  getByIndex: [['rows', 'group', 1]],
  rangeByIndex: [['rows', 'group', 1, 2]],
  getAllByIndex: [['rows', 'group', RANGE, PAGE]],
  countByIndex: [['rows', 'group', RANGE]],
  getKeyByIndex: [['rows', 'group', 1]],
  query: [['rows']]
}

const DATABASE = {
  ...DOCUMENTS,
  transaction: [['rows', 'readwrite', { isolation: 'snapshot' }], [['rows', 'notes'], 'readonly']],
  update: [['rows', same, { retries: 1, signal, isolation: 'serializable' }]],
  view: [['rows', same]],
  watch: [[{ store: 'rows', range: RANGE, values: true, oldValues: true, buffer: 10, overflow: 'error', signal }]],
  liveQuery: [[{ store: 'rows', where: { group: 1 }, orderBy: 'name', limit: 3 }, { signal }], [{ store: 'rows', range: RANGE }]],
  setDefaultTtl: [['notes', 1e6]],
  purgeExpired: [['rows']],
  series: [['records', { retention: 1e6 }]],
  deleteSeries: [['gone']],
  checkpoint: [['copies/checkpoint']],
  backup: [['copies/backup']],
  export: [['copies/export', { stores: ['rows'], signal }]],
  import: [['copies/import', { batchSize: 10, signal }]],
  compact: [['rows', RANGE]],
  approximateSize: [['rows', RANGE]],
  createObjectStore: [['new', ['a', 'b'], false], ['newer', { keyPath: 'id', autoIncrement: true, defaultTtl: 1e6 }]],
  deleteObjectStore: [['gone']],
  createIndex: [['notes', 'new', ['a', 'b'], { unique: true, multiEntry: false }], ['notes', 'newer', 'a', true]],
  deleteIndex: [['notes', 'gone']],
  describe: [['rows']]
}

const TRANSACTION = { ...DOCUMENTS, rollbackTo: [[1]] }

const QUERY = {
  where: [[{ group: 1, name: { gte: 'a', lt: 'z' } }], [{ group: { in: [1, 2] }, name: { startsWith: 'x' } }]],
  orderBy: [['name', 'desc'], [{ name: 'asc' }], [['name', 'group']]],
  select: [['name', 'group'], [['name']]],
  limit: [[2]],
  offset: [[1]]
}

const SERIES = {
  append: [['key', { v: 1 }, { ts: 5, ttl: 60 }], ['key', 1, { expiresAt: Date.now() * 2000 }]],
  appendMany: [[[{ key: 'key', value: 1, ts: 7, ttl: 60 }]]],
  get: [['key', 5]],
  latest: [['key']],
  range: [[{ key: 'key', from: 1, to: 9, ...PAGE }], [{ prefix: ['k'] }]],
  getAll: [[{ key: 'key', from: 1, to: 9, ...PAGE }]],
  downsample: [[{ key: 'key', window: 1, aggregate: 'sum', path: 'v', from: 1, to: 9, limit: 3 }]],
  delete: [['key', 5]],
  deleteRange: [[{ key: 'key', from: 1, to: 9 }]],
  patch: [['key', 5, { v: 2 }, EXPIRY]]
}

const CURSOR = { update: [[document()]] }

const ENTRIES = {
  set: [['key', { v: 1 }, { ttl: 60, ifAbsent: true, durability: 'none' }], ['key', 1, { ifVersion: 1 }]],
  get: [['key']],
  has: [['key']],
  delete: [['key']],
  del: [['key']],
  getSync: [['key']],
  hasSync: [['key']],
  setSync: [['key', 1, EXPIRY]],
  deleteSync: [['key']],
  keys: [[FLASH_RANGE]],
  values: [[FLASH_RANGE]],
  entries: [[FLASH_RANGE]],
  getAllKeys: [[FLASH_RANGE]],
  getAll: [[{ prefix: 'k', limit: 1 }]],
  getAllEntries: [[FLASH_RANGE]],
  forEach: [[same, {}]],
  count: [[RANGE]],
  first: [[RANGE]],
  last: [[RANGE]],
  popFirst: [[RANGE]],
  popLast: [[RANGE]],
  getMany: [[['key', 'x']]],
  setMany: [[[['key', 1]], EXPIRY]],
  deleteMany: [[['x']]],
  batch: [[[{ type: 'set', key: 'key', value: 1 }, { type: 'delete', key: 'x' }]]],
  ttl: [['key']],
  expire: [['key', 60], ['key', EXPIRY]],
  persist: [['key']],
  getEntry: [['key']],
  update: [['key', same]],
  incr: [['number', 1]],
  getOrSet: [['other', () => 1, EXPIRY]],
  wrap: [[same, { key: same, ttl: 60 }]]
}

const FLASH = {
  ...ENTRIES,
  namespace: [['x', { valueEncoding: 'json', ttl: 60 }]],
  table: [['x', { ttl: 60 }]],
  dropNamespace: [['gone']],
  deleteTable: [['gone']],
  tableSize: [['gone']],
  cleanupExpired: [['gone']],
  transaction: [[same, { retries: 1, signal, isolation: 'snapshot' }]],
  watch: [[{ range: RANGE, values: true, buffer: 3, overflow: 'error', signal }]]
}

const ATOMIC = {
  check: [[{ key: 'key', version: 1 }]],
  set: [['key', 1, EXPIRY]],
  delete: [['key']],
  sum: [['number', 1]],
  min: [['number', 1n]],
  max: [['number', 1]],
  in: [[1]]
}

const MAP = {
  set: [['key', { v: 1 }]],
  get: [['key']],
  has: [['key']],
  delete: [['x']],
  getOrInsert: [['key', 1]],
  getOrInsertComputed: [['key', same]],
  forEach: [[() => {}, {}]]
}

const LEVEL_RANGE = { gte: 'a', lt: 'z', reverse: true, limit: 2, keyEncoding: 'utf8', valueEncoding: 'json', fillCache: true }
const ENCODING = { keyEncoding: 'utf8', valueEncoding: 'json' }

const LEVEL = {
  open: [[{ createIfMissing: true }]],
  get: [['key', ENCODING]],
  getSync: [['key', ENCODING]],
  getMany: [[['key', 'x'], ENCODING]],
  has: [['key', ENCODING]],
  hasSync: [['key', ENCODING]],
  hasMany: [[['key'], ENCODING]],
  put: [['key', 'value', { ...ENCODING, sync: false }]],
  del: [['key', ENCODING]],
  batch: [[[{ type: 'put', key: 'key', value: 'value', sublevel: null }, { type: 'del', key: 'x' }], ENCODING]],
  sublevel: [['below', { separator: '!', ...ENCODING }]],
  prefixKey: [['key', 'utf8', false]],
  clear: [[{ gte: 'm', lt: 'n', limit: 2, reverse: true, keyEncoding: 'utf8' }]],
  iterator: [[LEVEL_RANGE]],
  keys: [[LEVEL_RANGE]],
  values: [[LEVEL_RANGE]],
  approximateSize: [['a', 'z', ENCODING]],
  compactRange: [['a', 'z', ENCODING]],
  getProperty: [['leveldb.stats']],
  seek: [['key', ENCODING]],
  nextv: [[2, {}]],
  all: [[{ limit: 2 }]],
  write: [[{ sync: false }]]
}

const KEYV = {
  get: [['key']],
  getMany: [[['key']]],
  has: [['key']],
  hasMany: [[['key']]],
  set: [['key', 'value', 1e6]],
  setMany: [[[{ key: 'key', value: 'value', ttl: 1e6 }]]],
  delete: [['key']],
  deleteMany: [[['key']]],
  iterator: [['tried']]
}

const DRIVER = {
  hasItem: [['key']],
  getItem: [['key']],
  getItems: [[[{ key: 'key' }]]],
  getItemRaw: [['key']],
  setItem: [['key', 'value', EXPIRY]],
  setItemRaw: [['key', 'value', EXPIRY]],
  setItems: [[[{ key: 'key', value: 'value', options: EXPIRY }], EXPIRY]],
  removeItem: [['key']],
  getMeta: [['key']],
  getKeys: [['below', { maxDepth: 1 }]],
  clear: [['below']]
}

const KEY_RANGE = {
  only: [[1]], lowerBound: [[1, true]], upperBound: [[1, true]], bound: [[1, 2, true, false]], includes: [[1]]
}

module.exports = { ATOMIC, CURSOR, DATABASE, DRIVER, FLASH, KEYV, KEY_RANGE, LEVEL, MAP, QUERY, SERIES, TRANSACTION }
