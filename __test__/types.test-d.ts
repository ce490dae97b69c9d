/* Checked by `tsc` and never run: what users' code may say, and what must be an error. */

import { FlashNamespace, FlashStore, FlashStoreSync, FlowDB, FlowDBError, KeyRange } from 'flowdb'
import { FlowLevel } from 'flowdb/level'
import type { AsyncMapLike } from 'async-map-like'
import type {
  AnySchema, DocumentEntry, ExportResult, ImportError, ImportResult, Key, Query, QueryExplanation, RepairReport, SeriesRecord,
  SeriesWindow, Stats, StoreDescription, StoreStats, Transaction
} from 'flowdb'

interface User {
  id: number
  name: string
  email: string
}

interface Shop {
  users: { key: number, value: User, indexes: { email: string, place: [string, number] } }
  notes: { key: string, value: { text: string } }
}

/** Holds only when `T` is exactly what was got: neither wider nor narrower. */
declare function exactly<T> (): <G>(got: G, ...same: [T] extends [G] ? ([G] extends [T] ? [] : [never]) : [never]) => void

async function documents (db: FlowDB<Shop>) {
  exactly<number>()(await db.put('users', { id: 1, name: 'Ada', email: 'a@b.c' }))
  exactly<string>()(await db.add('notes', { text: 'x' }, 'key'))
  exactly<User | undefined>()(await db.get('users', 1))
  exactly<boolean>()(await db.delete('users', 1))
  exactly<void>()(await db.clear('users'))
  exactly<number>()(await db.count('users', KeyRange.lowerBound(3)))
  exactly<User[]>()(await db.getAll('users', null, 10))
  exactly<number[]>()(await db.getAllKeys('users', undefined, { reverse: true }))
  exactly<User[]>()(await db.getByIndex('users', 'email', 'a@b.c'))
  exactly<User[]>()(await db.rangeByIndex('users', 'place', ['a'], ['b', 3]))
  for await (const user of db.scan('users', 7, { limit: 3 })) exactly<User>()(user)

  // @ts-expect-error there is no such store
  await db.get('user', 1)
  // @ts-expect-error the keys are numbers
  await db.get('users', '1')
  // @ts-expect-error the document lacks its fields
  await db.put('users', { id: 1 })
  // @ts-expect-error there is no such index
  await db.getByIndex('users', 'name', 'Ada')
  // @ts-expect-error the second part of the key is a number
  await db.rangeByIndex('users', 'place', ['a', 'b'])
  // @ts-expect-error a store without indexes has none
  await db.getByIndex('notes', 'text', 'x')
}

async function versions (db: FlowDB<Shop>) {
  exactly<number>()(await db.put('users', { id: 1, name: 'Ada', email: 'a@b.c' }, { ttl: 60, ifVersion: 3 }))
  exactly<string>()(await db.put('notes', { text: 'x' }, 'key', { expiresAt: null, ifAbsent: true }))
  exactly<string>()(await db.add('notes', { text: 'x' }, 'key', { expiresAt: new Date() }))
  exactly<DocumentEntry<User, number> | undefined>()(await db.getEntry('users', 1))
  exactly<boolean>()(await db.touch('users', 1, { expiresAt: Date.now() }))
  exactly<number>()(await db.purgeExpired('users'))
  exactly<void>()(await db.setDefaultTtl('users', null))
  await db.createObjectStore('users', { keyPath: 'id', defaultTtl: 3600 })
  const [perhaps, hasCondition]: [number | undefined, boolean] = [undefined, true]
  await db.put('notes', { text: 'x' }, 'key', { ttl: perhaps, ifVersion: perhaps })
  await db.put('notes', { text: 'x' }, 'key', { expiresAt: perhaps, ifAbsent: hasCondition })

  // @ts-expect-error there is no such option
  await db.put('notes', { text: 'x' }, 'key', { ifversion: 3 })
  // @ts-expect-error a moment is no text
  await db.touch('users', 1, { expiresAt: '2030' })
  // @ts-expect-error a span or a moment, not both
  await db.put('notes', { text: 'x' }, 'key', { ttl: 60, expiresAt: Date.now() })
  // @ts-expect-error a span or a moment, not both
  await db.add('users', { id: 1, name: 'Ada', email: 'a@b.c' }, { ttl: 60, expiresAt: null })
  // @ts-expect-error a span or a moment, not both
  await db.touch('users', 1, { ttl: 60, expiresAt: null })
  // @ts-expect-error one of them has to be there
  await db.touch('users', 1, {})
  // @ts-expect-error one condition
  await db.put('notes', { text: 'x' }, 'key', { ifVersion: 1, ifAbsent: true })
}

async function attempts (db: FlowDB<Shop>) {
  exactly<User | undefined>()(await db.view('users', async (tx) => await tx.get('users', 1)))
  exactly<number>()(await db.update(['users', 'notes'], async (tx) => {
    const place = await tx.savepoint()
    exactly<void>()(await tx.rollbackTo(place))
    await tx.put('notes', { text: 'x' }, 'key')
    exactly<boolean>()(tx.isActive)
    return 7
  }, { retries: 3, signal: AbortSignal.timeout(1000), isolation: 'snapshot' }))
  db.transaction('users', 'readwrite', { isolation: 'snapshot' })

  // @ts-expect-error it is not in the scope
  await db.update('users', async (tx) => await tx.get('notes', 'key'))
  // @ts-expect-error there is no such isolation
  db.transaction('users', 'readwrite', { isolation: 'none' })
  // @ts-expect-error a number is no savepoint
  await db.update('users', async (tx) => await tx.rollbackTo(5))
}

async function operations (db: FlowDB<Shop>) {
  exactly<(User | undefined)[]>()(await db.getMany('users', [1, 2]))
  exactly<number | undefined>()(await db.getKey('users', { gt: 3, lte: 5 }))
  exactly<boolean>()(await db.has('users', 1))
  exactly<number[]>()(await db.putMany('users', [{ id: 1, name: 'Ada', email: 'a@b.c' }]))
  exactly<string[]>()(await db.addMany('notes', new Set([{ text: 'x' }]), ['key']))
  exactly<number>()(await db.delete('users', { lt: 3 }))
  exactly<number>()(await db.delete('users', KeyRange.lowerBound(3)))
  exactly<number>()(await db.delete('notes', { prefix: 'draft ' }))
  exactly<number>()(await db.deleteMany('users', [1, 2]))
  exactly<number>()(await db.count('users', { gte: 1 }))
  exactly<number>()(await db.count('users', { gt: 1, lte: 3 }))
  exactly<number>()(await db.count('users', { lt: 3 }))
  exactly<User | undefined>()(await db.modify('users', 1, (user) => user && { ...user, name: 'Max' }))
  exactly<User | undefined>()(await db.modify('users', 1, async () => FlowDB.DELETE))
  exactly<boolean>()(await db.patch('users', 1, { name: 'Max', email: null }))
  exactly<User[]>()(await db.getAllByIndex('users', 'place', { prefix: ['Rome'] }, { reverse: true, limit: 3 }))
  exactly<User[]>()(await db.rangeByIndex('users', 'email', { gte: 'a', lt: 'b' }))
  exactly<number>()(await db.countByIndex('users', 'email', 'a@b.c'))
  exactly<number | undefined>()(await db.getKeyByIndex('users', 'email', { gt: 'a' }))
  for await (const cursor of db.cursor('users', { index: 'place', range: { gt: ['a'] }, direction: 'prevunique' })) {
    exactly<[string, number]>()(cursor.key)
    exactly<number>()(cursor.primaryKey)
    exactly<User>()(cursor.value)
    exactly<number>()(await cursor.update(cursor.value))
    exactly<boolean>()(await cursor.delete())
  }
  for await (const cursor of db.cursor('notes')) exactly<string>()(cursor.key)

  // @ts-expect-error the keys are numbers
  await db.getMany('users', ['1'])
  // @ts-expect-error the keys are numbers
  await db.count('users', { gt: 'a' })
  // @ts-expect-error gt or gte, not both
  await db.count('users', { gt: 1, gte: 1 })
  // @ts-expect-error lt or lte, not both
  await db.count('users', { gt: 1, lt: 3, lte: 3 })
  // @ts-expect-error a range has a bound
  await db.count('users', {})
  // @ts-expect-error a range has a bound
  await db.delete('notes', {})
  // @ts-expect-error a range has a bound
  await db.getAllByIndex('users', 'place', {})
  // @ts-expect-error a prefix stands alone
  await db.count('notes', { prefix: 'a', lt: 'b' })
  // @ts-expect-error the document lacks its fields
  await db.putMany('users', [{ id: 1 }])
  // @ts-expect-error a name is a string
  await db.patch('users', 1, { name: 3 })
  // @ts-expect-error the new document lacks its fields
  await db.modify('users', 1, () => ({ id: 1 }))
  // @ts-expect-error there is no such direction
  db.cursor('users', { direction: 'up' })
  // @ts-expect-error there is no such index
  db.cursor('users', { index: 'name' })
}

async function queries (db: FlowDB<Shop>) {
  const users = db.query('users')
  exactly<Query<User, number>>()(users)
  const some = users.where({ name: 'Ada', id: { gte: 1, in: [1, 2] }, 'address.zip': { prefix: '30' } })
  exactly<User[]>()(await some.orderBy('name', 'desc').orderBy({ id: 'asc' }).limit(3).offset(1).toArray())
  exactly<User | undefined>()(await some.first())
  exactly<number>()(await some.count())
  exactly<number[]>()(await some.keys())
  exactly<number>()(await some.delete())
  exactly<QueryExplanation>()(await some.explain())
  exactly<Pick<User, 'id' | 'name'>[]>()(await some.select('id', 'name').toArray())
  exactly<string | undefined>()((await some.select('name', 'address.zip').first())?.name)
  exactly<string | undefined>()((await some.select(['name']).first())?.name)
  for await (const user of some) exactly<User>()(user)
  for await (const any of (db as unknown as FlowDB).query('any').where({ tags: { contains: 'x' }, a: 1 })) exactly<any>()(any)

  // @ts-expect-error there is no such store
  db.query('user')
  // @ts-expect-error users have no such property
  users.where({ nmae: 'Ada' })
  // @ts-expect-error names are strings
  users.where({ name: 7 })
  // @ts-expect-error there is no such operator
  users.where({ id: { above: 7 } })
  // @ts-expect-error there is no such direction
  users.orderBy('name', 'down')
}

async function watching (db: FlowDB<Shop>) {
  for await (const change of db.watch({ store: 'users', range: KeyRange.lowerBound(3), values: true, buffer: 5 })) {
    if (change.type === 'put') exactly<User | undefined>()(change.value)
    if (change.type === 'delete') exactly<number>()(change.key)
    if (change.type === 'lost') exactly<number>()(change.changes)
    if (change.type === 'drop') exactly<'users'>()(change.store)
  }
  const all = db.watch({ overflow: 'coalesce', signal: AbortSignal.timeout(1000) })
  exactly<void>()(await all.ready)
  for await (const change of all) if (change.type === 'put' && change.store === 'notes') exactly<string>()(change.key)
  for await (const users of db.liveQuery({ store: 'users', limit: 3 })) exactly<User[]>()(users)
  for await (const users of db.liveQuery({ store: 'users', where: { name: 'Ada' }, orderBy: 'name' })) exactly<User[]>()(users)
  for await (const ids of db.liveQuery({ toArray: async () => [1, 2] })) exactly<number[]>()(ids)

  // @ts-expect-error there is no such policy
  db.watch({ overflow: 'drop' })
  // @ts-expect-error there is no such store
  db.watch({ store: 'user' })
  // @ts-expect-error the keys are numbers
  db.watch({ store: 'users', range: 'a' })
}

async function upkeep (db: FlowDB<Shop>) {
  exactly<void>()(await db.checkpoint('copy'))
  exactly<void>()(await db.verify())
  const stats = await db.stats()
  exactly<Stats>()(stats)
  exactly<number>()(stats.compactionsByKind.quiet)
  exactly<string>()(await db.metrics())
  exactly<void>()(await db.compact('users', KeyRange.lowerBound(3)))
  exactly<number>()(await db.approximateSize('users'))
  exactly<RepairReport>()(await FlowDB.repair({ dataDir: 'shop' }))
  exactly<void>()(await FlowDB.destroy({ dataDir: 'shop', salvage: true }))
  exactly<void>()(await db.deleteSeries('heat'))

  // @ts-expect-error there is no such store
  await db.compact('user')
  // @ts-expect-error the keys are numbers
  await db.approximateSize('users', '1')
  // @ts-expect-error a copy needs a directory
  await db.checkpoint()
}

async function transactions (db: FlowDB<Shop>) {
  const transaction = db.transaction(['users'], 'readwrite')
  exactly<User | undefined>()(await transaction.get('users', 1))
  exactly<void>()(await transaction.commit())
  // @ts-expect-error the transaction was not begun for this store
  await transaction.get('notes', 'x')
  // @ts-expect-error there is no such mode
  db.transaction('users', 'write')

  await using scoped: Transaction<Pick<Shop, 'users' | 'notes'>> = db.transaction(['users', 'notes'])
  await scoped.get('notes', 'x')
}

async function schema () {
  await using db = FlowDB.open<Shop>({ dataDir: 'x', durability: 'relaxed', syncIntervalMs: 50 })
  await db.ready
  await db.createObjectStore('users', 'id')
  await db.createObjectStore('notes')
  await db.createObjectStore('notes', { keyPath: ['a', 'b'], autoIncrement: false })
  await db.createIndex('users', 'email', 'email', true)
  await db.createIndex('users', 'place', ['city', 'id'], { unique: false, multiEntry: false })
  exactly<('users' | 'notes')[]>()(await db.storeNames())
  exactly<StoreDescription>()(await db.describe('users'))
  // @ts-expect-error there is no such durability
  FlowDB.open({ dataDir: 'x', durability: 'safe' })
  // @ts-expect-error there is no such option
  FlowDB.open({ dataDir: 'x', directory: 'y' })
}

async function series (db: FlowDB<Shop>) {
  const heat = db.series<{ celsius: number }, string>('heat', { retention: 86_400 })
  exactly<number>()(await heat.append('kitchen', { celsius: 21 }, { ts: new Date(), ttl: 60 }))
  exactly<number[]>()(await heat.appendMany([{ key: 'hall', value: { celsius: 19 }, ts: 5n, expiresAt: new Date() }]))
  exactly<SeriesRecord<{ celsius: number }, string> | undefined>()(await heat.latest('hall'))
  exactly<SeriesRecord<{ celsius: number }, string>[]>()(await heat.getAll({ key: 'hall', from: 0, to: new Date() }))
  for await (const record of heat.range({ prefix: 'k', reverse: true, limit: 3 })) exactly<number>()(record.ts)
  for await (const window of heat.downsample({ window: 60, aggregate: 'avg', path: 'celsius' })) {
    exactly<SeriesWindow<string>>()(window)
  }
  exactly<boolean>()(await heat.patch('hall', 5n, { celsius: 20 }))
  exactly<void>()(await heat.deleteRange({ to: 0 }))
  exactly<string[]>()(await db.seriesNames())
  // @ts-expect-error the keys are strings
  await heat.latest(1)
  // @ts-expect-error the value lacks its field
  await heat.append('hall', {})
  // @ts-expect-error there is no such aggregate
  heat.downsample({ window: 60, aggregate: 'median' })
}

async function upgrades () {
  const db = FlowDB.open<{ users: { key: number, value: { id: number }, indexes: { by_id: number } } }>({
    dataDir: 'x',
    version: 2,
    async upgrade (db, oldVersion, newVersion, tx) {
      exactly<number>()(oldVersion)
      exactly<number>()(newVersion)
      exactly<number>()(db.version)
      await db.createObjectStore('users', { keyPath: 'id' })
      await db.createIndex('users', 'by_id', 'id', { unique: true })
      exactly<{ id: number } | undefined>()(await tx.get('users', 1))
      exactly<StoreDescription>()(await db.describe('users'))
      // @ts-expect-error there is no such store
      await db.createObjectStore('none')
    }
  })
  exactly<number | undefined>()(db.version)
  // @ts-expect-error a version is a number
  FlowDB.open({ dataDir: 'x', version: '2' })
  // @ts-expect-error only what is opened is upgraded
  await FlowDB.repair({ dataDir: 'x', version: 2 })
}

async function moving (db: FlowDB<{ users: { key: number, value: { id: number } } }>, signal: AbortSignal) {
  exactly<ExportResult>()(await db.export('file', { stores: ['users'], signal, onProgress: ({ bytes, store }) => [bytes, store] }))
  exactly<ExportResult>()(await db.export(process.stdout))
  exactly<ImportResult>()(await db.import(process.stdin, { resume: 7, signal, onProgress: ({ lines }) => lines }))
  exactly<ImportResult>()(await db.import('file'))
  exactly<void>()(await db.backup('directory'))
  exactly<StoreStats[]>()((await db.stats()).stores)
  try {
    await db.import('file')
  } catch (error) {
    const { line, resume } = error as ImportError
    exactly<number | undefined>()(line)
    exactly<number>()(resume)
  }
  // @ts-expect-error there is no such store
  await db.export('file', { stores: ['none'] })
}

async function untyped () {
  const db: FlowDB<AnySchema> = FlowDB.open({ inMemory: true })
  await db.put('anything', { any: 'document' })
  const document = await db.get('anything', [1, 'a', new Date(), new Uint8Array(1), null, 1n, true])
  document.any.property.goes
  await db.getByIndex('anything', 'any index', 3)
}

async function maps (store: FlashStore<string, Map<string, Date>>) {
  exactly<FlashStore<string, Map<string, Date>>>()(await store.set('a', new Map()))
  exactly<Map<string, Date> | undefined>()(await store.get('a'))
  exactly<boolean>()(await store.has('a'))
  exactly<number>()(await store.size)
  for await (const [key, value] of store) {
    exactly<string>()(key)
    exactly<Map<string, Date>>()(value)
  }
  for await (const key of store.keys({ range: KeyRange.bound('a', 'b'), reverse: true })) exactly<string>()(key)
  for await (const key of store.keys({ range: { prefix: 'a' } })) exactly<string>()(key)
  await store.forEach((value, key) => { value.get(key) })
  // @ts-expect-error the keys are strings
  await store.get(1)
  // @ts-expect-error the values are maps
  await store.set('a', 1)
}

function syncCalls (store: FlashStore<string, Map<string, Date>>) {
  exactly<Map<string, Date> | undefined>()(store.getSync('a'))
  exactly<FlashStore<string, Map<string, Date>>>()(store.setSync('a', new Map(), { ttl: 60, ifAbsent: true }))
  exactly<boolean>()(store.hasSync('a'))
  exactly<boolean>()(store.deleteSync('a'))
  // @ts-expect-error the values are maps
  store.setSync('a', 1)
}

async function syncMaps (store: FlashStoreSync<string, Date[]>) {
  const map: Map<string, Date[]> = store
  exactly<Date[] | undefined>()(map.get('a'))
  exactly<FlashStoreSync<string, Date[]>>()(store.set('a', []))
  exactly<number>()(store.size)
  for (const [key, value] of store) {
    exactly<string>()(key)
    exactly<Date[]>()(value)
  }
  store.forEach((value, key) => { value.at(0)?.getTime() ?? key.length })
  exactly<'loading' | 'open' | 'closed' | 'failed'>()(store.state)
  store.onerror = (error) => { exactly<FlowDBError>()(error) }
  exactly<void>()(await store.flush())
  exactly<FlashStoreSync<number, string>>()(await FlashStoreSync.open<number, string>('folder'))
  using other = FlashStoreSync.openSync({ dataDir: 'folder', durability: 'relaxed' })
  other.set(undefined, 1).set(1n, 2)
  // @ts-expect-error an object is no key
  other.set({}, 1)
  // @ts-expect-error the keys are strings
  store.get(1)
}

async function flash (store: FlashStore<string, { n: number }>) {
  exactly<FlashStore<number, Date>>()(await FlashStore.open<number, Date>({ dataDir: 'dir', defaultTtl: 5 }))
  new FlashStore({ inMemory: true, valueEncoding: 'utf8', defaultTtl: null })
  // @ts-expect-error there is no such encoding
  new FlashStore({ inMemory: true, valueEncoding: 'msgpack' })
  exactly<FlashStore<string, { n: number }>>()(await store.setMany(new Map([['a', { n: 1 }]]), { ttl: 1 }))
  await store.set('a', { n: 1 }, { expiresAt: new Date(), ifAbsent: true })
  exactly<({ n: number } | undefined)[]>()(await store.getMany(new Set(['a'])))
  exactly<number>()(await store.deleteMany(['a']))
  exactly<number>()(await store.count({ prefix: 'a' }))
  for (const entry of [await store.first(), await store.last({ gt: 'a' }), await store.popFirst(), await store.popLast('a')]) {
    exactly<[string, { n: number }] | undefined>()(entry)
  }
  for await (const key of store.keys({ gt: 'a', lte: 'b', reverse: true, limit: 1, offset: 2 })) exactly<string>()(key)
  for await (const value of store.values({ prefix: 'a' })) exactly<{ n: number }>()(value)
  // @ts-expect-error a range, or the names of its bounds
  store.entries({ range: KeyRange.only('a'), gt: 'b' })
  await store.batch([{ type: 'set', key: 'a', value: { n: 1 }, ttl: 1 }, { type: 'del', key: 'b' }])
  // @ts-expect-error the value is missing
  await store.batch([{ type: 'put', key: 'a' }])
  // @ts-expect-error a delete has no value
  await store.batch([{ type: 'delete', key: 'a', value: { n: 1 } }])
  const users = store.namespace<number, string>('users', { defaultTtl: 1, valueEncoding: 'json' })
  exactly<string>()(users.name)
  exactly<string | undefined>()(await users.get(1))
  exactly<string | undefined>()(users.getSync(1))
  exactly<FlashNamespace<number, string>>()(await users.set(1, 'a'))
  exactly<FlashNamespace<number, string>>()(store.table<number, string>('users'))
  exactly<string[]>()(await users.namespaces())
  exactly<boolean>()(await users.drop())
  exactly<number>()(await store.cleanupExpired('users') + await store.cleanupAllExpired() + await store.tableSize('a'))
}

async function entries (store: FlashStore<string, User>, counts: FlashStore<Key, number>, any: FlashStore) {
  const user: User = { id: 1, name: 'Ada', email: 'a@b.c' }
  exactly<FlashStore<string, User>>()(await store.set('a', user, { ttl: 60, ifVersion: 3 }))
  exactly<number | undefined>()(await store.ttl('a'))
  exactly<boolean>()(await store.expire('a', 60))
  exactly<boolean>()(await store.expire('a', { expiresAt: new Date() }))
  exactly<boolean>()(await store.persist('a'))
  exactly<number>()(await store.purgeExpired())
  exactly<User[]>()(await store.getAll({ prefix: 'a', limit: 2 }))
  exactly<string[]>()(await store.getAllKeys())
  exactly<[string, User][]>()(await store.getAllEntries({ gte: 'a', reverse: true }))
  exactly<DocumentEntry<User, string> | undefined>()(await store.getEntry('a'))

  const entry = await store.getEntry('a')
  if (entry === undefined) return
  const result = await store.atomic().check(entry, { key: 'b', version: null }).set('a', user, { ttl: 5 }).delete('b')
    .in(counts).sum('n', 1).min('n', 2).max('n', 3).commit()
  if (result.ok) exactly<number[]>()(result.versions)
  else exactly<number>()(result.unmet)

  exactly<User | undefined>()(await store.update('a', (old) => old && { ...old, name: 'Ada L.' }))
  exactly<User | undefined>()(await store.update('a', async () => FlashStore.DELETE))
  exactly<number>()(await counts.incr('n'))
  exactly<number>()(await counts.incr('n', 2))
  exactly<bigint>()(await any.incr('n', 2n))
  exactly<User>()(await store.getOrSet('a', async () => user, { ttl: 60 }))
  exactly<User | undefined>()(await store.getOrSet('a', () => undefined as User | undefined))
  const load = store.wrap(async (id: number) => ({ ...user, id }), { key: (id) => `u${id}`, ttl: 60 })
  exactly<User>()(await load(7))

  // @ts-expect-error the keys are strings
  await store.ttl(1)
  // @ts-expect-error a user is no number
  await store.incr('a', 1)
  // @ts-expect-error a user is no number
  store.atomic().sum('a', 1)
  // @ts-expect-error the values are users
  await store.update('a', () => 5)
  // @ts-expect-error an entry is checked for a version
  store.atomic().check({ key: 'a' })
  // @ts-expect-error the argument is a number
  await load('7')
}

async function entriesTogether (store: FlashStore<string, User>, counts: FlashStore<Key, number>) {
  exactly<number>()(await store.transaction(async (tx) => {
    exactly<User | undefined>()(await tx.get('a'))
    // @ts-expect-error a transaction is not watched
    tx.watch()
    return 7
  }, { retries: 3 }))
  exactly<boolean>()(await store.transaction([store, counts], async (users, numbers) => {
    exactly<User | undefined>()(await users.get('a'))
    exactly<number>()(await numbers.incr('n', 5))
    return true
  }))

  for await (const change of store.watch({ prefix: 'u', oldValues: true, signal: AbortSignal.timeout(1000) })) {
    if (change.type === 'set') {
      exactly<string>()(change.key)
      exactly<number>()(change.version)
      exactly<User | undefined>()(change.value)
    }
    if (change.type === 'lost') exactly<number>()(change.changes)
    // @ts-expect-error there is no such change
    if (change.type === 'put') return
  }
  exactly<Promise<void>>()(store.watch({ key: 'a' }).ready)
  // @ts-expect-error a watch is of one store
  store.watch({ store: 'a' })
}

function ranges (range: KeyRange<number>, key: Key) {
  exactly<number | undefined>()(range.lower)
  exactly<boolean>()(range.includes(key))
  // @ts-expect-error an object is no key
  KeyRange.only({})
}

function errors (error: unknown) {
  if (!(error instanceof FlowDBError)) return
  if (error.code === 'FLOWDB_CONFLICT') return
  // @ts-expect-error there is no such code
  if (error.code === 'FLOWDB_OOPS') return
}

/** FlashStore is what async-map-like calls an asynchronous Map; only its `forEach` would hand over a synchronous Map. */
function asAsyncMapLike (store: FlashStore<string, number>): Omit<AsyncMapLike<string, number>, 'forEach' | 'set'> {
  return store
}

async function level () {
  const db = new FlowLevel<string, { n: number }>('dir', { valueEncoding: 'json', durability: 'strict', cacheSize: 1 << 20 })
  exactly<{ n: number } | undefined>()(await db.get('k'))
  exactly<{ n: number } | undefined>()(db.getSync('k'))
  exactly<boolean>()(db.hasSync('k'))
  exactly<({ n: number } | undefined)[]>()(await db.getMany(['k'], { fillCache: false }))
  exactly<boolean[]>()(await db.hasMany(['k'], { fillCache: false }))
  exactly<string[]>()(await db.keys({ fillCache: false, highWaterMarkBytes: 1024 }).all())
  exactly<{ n: number }[]>()(await db.values({ highWaterMarkBytes: 1024 }).all())
  exactly<number>()(await db.approximateSize('a', 'b'))
  exactly<string>()(db.getProperty('leveldb.stats'))
  await db.put('k', { n: 1 }, { sync: true })
  await db.batch().put('k', { n: 1 }).write({ sync: true })
  await db.clear({ gte: 'a', sync: true })
  for await (const [key, value] of db.iterator({ highWaterMarkBytes: 1024 })) {
    exactly<string>()(key)
    exactly<{ n: number }>()(value)
  }
  await db.get('k', { fillCache: false })
  db.getSync('k', { fillCache: false })
  await db.has('k', { fillCache: false })
  await db.open({ createIfMissing: false })
  await db.close()
  await FlowLevel.destroy('dir')
  exactly<string>()(new FlowLevel(undefined, { inMemory: true }).location)
  await new FlowLevel<string, { n: number }>(undefined, { inMemory: true, valueEncoding: 'json' }).put('k', { n: 1 })
  // @ts-expect-error on disk it has a location
  const nowhere = new FlowLevel(undefined, { valueEncoding: 'json' })
  await nowhere.close()
  // @ts-expect-error there is no such durability
  await db.open({ durability: 'much' })
  // @ts-expect-error blocks have restart points where they pay
  await db.open({ blockRestartInterval: 16 })
  // @ts-expect-error the value is no such object
  await db.put('k', 'v')
}

export {
  asAsyncMapLike, attempts, documents, entries, entriesTogether, errors, flash, level, maps, moving, operations, queries, ranges,
  schema, series, syncCalls, syncMaps, transactions, untyped, upgrades, upkeep, versions, watching
}
