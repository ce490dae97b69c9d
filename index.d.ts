/// <reference lib="esnext.disposable" />
/// <reference types="node" />

/**
 * What can be a key of a document or of an index: in this order, numbers and bigints together by value, strings by
 * UTF-16 code unit. `-0` is the same key as `0`; NaN and invalid dates are no keys.
 */
export type Key = null | boolean | number | bigint | Date | string | ArrayBuffer | ArrayBufferView | readonly Key[]

/** The types of one object store: its primary keys, its documents, and the keys of its indexes. */
export interface StoreTypes {
  key: Key
  value: unknown
  indexes?: Record<string, Key>
}

/**
 * The types of a database's object stores, by name:
 *
 * ```ts
 * interface Shop {
 *   users: { key: number, value: User, indexes: { email: string, city: [string, string] } }
 * }
 * const db = FlowDB.open<Shop>({ dataDir: 'shop' })
 * ```
 */
export type Schema<S> = { [Name in keyof S]: StoreTypes }

/** The schema of a database about which nothing has been said. */
export interface AnySchema {
  [store: string]: { key: any, value: any, indexes: { [index: string]: any } }
}

/** The names of the stores in a schema. */
export type StoreName<S> = keyof S & string

/** The documents of a store. */
export type DocumentOf<S extends Schema<S>, Name extends StoreName<S>> = S[Name]['value']

/** The primary keys of a store. */
export type KeyOf<S extends Schema<S>, Name extends StoreName<S>> = S[Name]['key']

/** The names of a store's indexes. */
export type IndexName<S extends Schema<S>, Name extends StoreName<S>> = keyof NonNullable<S[Name]['indexes']> & string

/** The keys of an index. */
export type IndexKeyOf<S extends Schema<S>, Name extends StoreName<S>, Index extends IndexName<S, Name>> =
  NonNullable<S[Name]['indexes']>[Index]

/** Where a compound index key may begin or end: at any number of its first parts. */
export type IndexBound<K> = K extends readonly [infer First, ...infer Rest] ? K | [] | [First] | FirstOf<[First], Rest> : K

type FirstOf<Taken extends readonly unknown[], Rest extends readonly unknown[]> =
  Rest extends readonly [infer Next, ...infer Others] ? [...Taken, Next] | FirstOf<[...Taken, Next], Others> : never

/** The keys between two bounds. */
export class KeyRange<K = any> {
  private constructor ()
  /** Where the range starts; `undefined` when every key up to `upper` is in it. */
  readonly lower: K | undefined
  /** Where the range ends; `undefined` when every key from `lower` is in it. */
  readonly upper: K | undefined
  /** Whether `lower` itself is left out. */
  readonly lowerOpen: boolean
  /** Whether `upper` itself is left out. */
  readonly upperOpen: boolean
  /** The key alone. */
  static only<K extends Key> (key: K): KeyRange<K>
  /** From `key` on; `open` leaves out the key itself. */
  static lowerBound<K extends Key> (key: K, open?: boolean): KeyRange<K>
  /** Up to `key`; `open` leaves out the key itself. */
  static upperBound<K extends Key> (key: K, open?: boolean): KeyRange<K>
  /**
   * From `lower` to `upper`; the flags leave out the bounds themselves. Throws `FLOWDB_INVALID_ARGUMENT` when no key
   * could be in the range.
   */
  static bound<K extends Key> (lower: K, upper: K, lowerOpen?: boolean, upperOpen?: boolean): KeyRange<K>
  /** Whether a key is in the range. */
  includes (key: Key): boolean
}

/**
 * The keys between bounds, as a plain object: `gt` and `lt` leave out the bound itself, `gte` and `lte` don't. `prefix` is
 * for strings, binary keys and arrays that begin with it, and stands alone. At least one bound is needed; a range that
 * could hold no key is `FLOWDB_INVALID_ARGUMENT`.
 */
export type KeyBounds<K = any> =
  | LowerBound<K> & (UpperBound<K> | { lt?: undefined, lte?: undefined }) & { prefix?: undefined }
  | UpperBound<K> & { gt?: undefined, gte?: undefined, prefix?: undefined }
  | { prefix: string | ArrayBuffer | ArrayBufferView | readonly Key[], gt?: undefined, gte?: undefined, lt?: undefined, lte?: undefined }
type LowerBound<K> = { gt: K, gte?: undefined } | { gt?: undefined, gte: K }
type UpperBound<K> = { lt: K, lte?: undefined } | { lt?: undefined, lte: K }

/** A range of keys. */
export type KeyBetween<K = any> = KeyRange | KeyBounds<K>

/** A range of keys, or a key alone. */
export type KeyQuery<K = any> = KeyBetween<K> | K

/** The codes of errors; docs/errors.md says what each means and what to do. */
export type FlowDBErrorCode =
  | 'FLOWDB_IO' | 'FLOWDB_CORRUPTION' | 'FLOWDB_POISONED' | 'FLOWDB_LOCKED' | 'FLOWDB_CLOSED' | 'FLOWDB_CONFLICT'
  | 'FLOWDB_CONSTRAINT' | 'FLOWDB_NOT_FOUND' | 'FLOWDB_EXISTS' | 'FLOWDB_READ_ONLY' | 'FLOWDB_TRANSACTION_INACTIVE'
  | 'FLOWDB_VERSION' | 'FLOWDB_INVALID_KEY' | 'FLOWDB_INVALID_VALUE' | 'FLOWDB_INVALID_ARGUMENT' | 'FLOWDB_WRONG_TYPE'
  | 'FLOWDB_NOT_CLONEABLE' | 'FLOWDB_ABORTED' | 'FLOWDB_BUSY' | 'FLOWDB_OVERFLOW' | 'FLOWDB_UNSUPPORTED'
  | 'FLOWDB_INTERNAL'

/** The error of everything that can fail. The code may be matched on; the message is for people. */
export class FlowDBError extends Error {
  constructor (code: FlowDBErrorCode, message: string, options?: { cause?: unknown })
  name: 'FlowDBError'
  code: FlowDBErrorCode
}

/** How a database is opened. */
export interface OpenOptions {
  /** The directory that holds the database. Needed unless `inMemory` is set. */
  dataDir?: string
  /** Keep everything in memory, in no files at all. Default false. */
  inMemory?: boolean
  /**
   * Only read the database, which must be there: every write rejects with `FLOWDB_READ_ONLY`, and nothing in the
   * directory is changed. Nobody else may have it open for writing. Default false.
   */
  readOnly?: boolean
  /**
   * Open a database whose log or manifest is damaged, with what was written before the damage and without what came
   * behind it. Damaged tables are `FLOWDB_CORRUPTION` all the same. Default false.
   */
  salvage?: boolean
  /** Create the directory and the database where there is none, unless it is `readOnly`. Default true. */
  createIfMissing?: boolean
  /**
   * What a resolved write means: `'strict'` (default), it is on the disk and survives power loss; `'relaxed'`, it is
   * with the operating system, and on the disk within `syncIntervalMs`; `'none'`, it is in memory.
   */
  durability?: 'strict' | 'relaxed' | 'none'
  /** The same as `durability`, by the engine's names. */
  walSyncMode?: 'always' | 'interval' | 'never'
  /** How often the log is synced with `durability: 'relaxed'`. Default 100; 1 to 60,000. */
  syncIntervalMs?: number
  /** The newest writes gather in memory up to this size. Default 64; 1/256 to 4096. */
  memtableSizeMb?: number
  /** The log goes on in a new file at this size. Default 64; 1/256 to 4096. */
  walSegmentSizeMb?: number
  /** So many full memtables may wait to be written out before writers wait too. Default 2; 1 to 64. */
  maxFrozenMemtables?: number
  /**
   * After so long, deletions that are still in memory are written out if they let much space come back. Default 10,000;
   * 0 never; at most an hour.
   */
  flushIntervalMs?: number
  /** The size of data blocks in bytes, before compression. Default 4096; 128 to 1 MiB. */
  blockSize?: number
  /** The size of tables. Default 32; 1/256 to 1024. */
  tableSizeMb?: number
  /** How much of the files may be kept in memory. Default 64; 0 to 1,048,576. */
  blockCacheCapacityMb?: number
  /** What open tables may hold of their indexes and filters by themselves. Default 256; 0 to 1,048,576. */
  indexMemoryBudgetMb?: number
  /** Values of so many bytes are kept in files of their own. Default 4,096; 0 never; at most 1 GiB. */
  valueThresholdBytes?: number
  /** The size of such a file. Default 64; 1/256 to 1,048,576. */
  valueFileSizeMb?: number
  /** So many files may be open for reading at once. Default 1,000; 8 to 1,000,000. */
  maxOpenFiles?: number
  /** Bits of filter for each key; 0 writes no filters. Default 10; 0 to 32. */
  bloomBitsPerKey?: number
  /** How data blocks are compressed. Default `'lz4'`. */
  compression?: 'lz4' | 'none'
  /** So many new tables are merged down, or up to twice as many where the next level is large. Default 4; 2 to 64. */
  compactionThreshold?: number
  /** The size of the first level of tables; each further one holds ten times more. Default 64; 1/64 to 1,048,576. */
  levelSizeMb?: number
  /** What background work writes in a second at most, over time. Default 0, no limit; at most 1,048,576. */
  writeLimitMbPerSec?: number
  /** How often space of what has expired is looked for. Default 2; 1 to 86,400. */
  gcIntervalSecs?: number
  /** How long records in time live that have no expiry of their own. Default 0, for ever; at most a hundred years. */
  defaultTtlSecs?: number
  /** The width of the windows that records in time are gathered in by default. Default 3,600; 1 to a year. */
  timeBucketSecs?: number
  /** Write out and merge in the background. Where it is off, only `compact` merges. Default true. */
  autoBackground?: boolean
}

/** The state of a database, and counters that begin at 0 with each opening. */
export interface Stats {
  /** The number of the last visible write; kept across openings. */
  visibleSeqno: number
  /** Snapshots that are open. */
  snapshots: number
  /** Bytes in the memtable that takes writes. */
  memtableBytes: number
  /** Full memtables that wait to be written out. */
  frozenMemtables: number
  /** Tables of each level. */
  levelTables: number[]
  /** Bytes of each level. */
  levelBytes: number[]
  /** Bytes of all tables. */
  tableBytes: number
  /** Bytes written to the log. */
  walBytes: number
  /** Syncs of the log. */
  syncs: number
  /** Memtables written out. */
  flushes: number
  /** Bytes of the tables that this made. */
  flushedBytes: number
  /** Compactions done. */
  compactions: number
  /** How many of them were done for which reason. */
  compactionsByKind: Record<
    'level0' | 'level' | 'move' | 'quiet' | 'withinLevel0' | 'deletions' | 'deletionsInPlace' | 'superseded' | 'expired' | 'discard' |
    'values' | 'asked',
    number
  >
  /** Bytes of the tables that this made. */
  compactedBytes: number
  /** Bytes written to log and tables for each byte that was committed. */
  writeAmplification: number
  /** How often a writer had to wait for background work. */
  stalls: number
  /** Reads that found their block in the cache. */
  cacheHits: number
  /** Reads that had to load their block. */
  cacheMisses: number
  /** Bytes in the cache. */
  cacheBytes: number
  /** Bytes of indexes, filters and range tombstones that open tables hold by themselves. */
  pinnedBytes: number
  /** Files that are open for reading. */
  openFiles: number
  /** Value files, which hold the values that are too large for tables. */
  valueFiles: number
  /** Bytes of the value files. */
  valueFileBytes: number
  /** How many of them hold values that are needed; the rest is garbage, overheads aside. */
  valueFileLiveBytes: number
  /** Bytes written to value files. */
  valueBytesWritten: number
  /** How many of them were moved from other value files. */
  valueBytesRelocated: number
  /** The object stores, by name. */
  stores: StoreStats[]
}

/** The size of an object store. */
export interface StoreStats {
  name: string
  /** How many documents it holds: exact. */
  documents: number
  /** About how many bytes its documents and indexes take in the files; what is in memory only is not counted. */
  bytes: number
  /** How many indexes it has. */
  indexes: number
}

/** What a repair has saved and lost. */
export interface RepairReport {
  /** Whether nothing that was in the files is missing now. */
  isLossless: boolean
  /** What was left of the list of the database's files. */
  manifest: 'whole' | 'part' | 'lost'
  /** Tables of which every byte was right. */
  tablesWhole: number
  /** Damaged tables of which something was saved. */
  tablesSalvaged: number
  /** Tables that were missing, or of which nothing was left. */
  tablesLost: number
  /** Rows that were saved from damaged tables. */
  entriesSalvaged: number
  /** Rows that are known to be lost. */
  entriesLost: number
  /** Bytes of tables that could not be read as anything. */
  tableBytesLost: number
  /** Value files of which every byte was right. */
  valueFilesWhole: number
  /** Value files that were damaged or missing. */
  valueFilesLost: number
  /** Rows that were lost because their value, which lay in such a file, was. */
  valuesLost: number
  /** Logs that were read. */
  logs: number
  /** Logs that are known to be missing. */
  logsLost: number
  /** Commits that were saved from logs. */
  logRecordsSaved: number
  /** Bytes of logs that could not be read as anything. */
  logBytesLost: number
  /** The files that were moved to the directory `lost`. */
  filesMoved: string[]
  /** Object stores that can be read now. */
  stores: number
  /** Documents in them. */
  documents: number
  /** Rows of indexes that were missing. */
  indexRowsAdded: number
  /** Rows of indexes that stood for no document. */
  indexRowsRemoved: number
  /** Documents that have the key of another one in a unique index, which has the other one. */
  uniqueConflicts: number
  /** Keyspaces with a name, in which adapters keep their entries. */
  keyspaces: number
  /** Keyspaces whose name was lost. Their entries stay, and nobody sees them. */
  keyspacesLost: number
  /** Series that are defined. */
  series: number
  /** Series that have records, but whose definition was lost. Their records stay, and nobody sees them. */
  seriesLost: number
}

/** How an object store is defined. */
export interface ObjectStoreOptions {
  /** Where a document holds its key: a path with dots, or several for a compound key; none for keys given apart. */
  keyPath?: string | readonly string[] | null
  /** Give 1, 2, 3 … to documents without a key. */
  autoIncrement?: boolean
  /**
   * Documents that are put without an expiry of their own expire so many seconds after that: a number above 0 and at most
   * 10^11, taken up to whole milliseconds. Left out or `null`: never. `setDefaultTtl` changes it.
   */
  defaultTtl?: number | null
}

/** How an index is defined, beside its key path. */
export interface IndexOptions {
  /** Refuse a document whose key another document has. */
  unique?: boolean
  /** Take each element of an array as a key of its own. */
  multiEntry?: boolean
}

/** An object store as `describe` tells of it. */
export interface StoreDescription {
  name: string
  keyPath: string | string[] | null
  autoIncrement: boolean
  /** After so many seconds documents expire that are put without an expiry of their own; left out where they don't. */
  defaultTtl?: number
  indexes: { name: string, keyPath: string | string[], unique: boolean, multiEntry: boolean }[]
}

/** After how long a document expires. From that millisecond on it is in no read, index or count. */
export interface ExpiryBySpan {
  /** So many seconds after it is written: above 0 and at most 10^11, taken up to whole milliseconds. */
  ttl: number
  expiresAt?: undefined
}

/** When a document expires. From that millisecond on it is in no read, index or count. */
export interface ExpiryByMoment {
  /**
   * A Date, or whole milliseconds since 1970, as `Date.now()` gives them. One that has come already deletes the document.
   * `null` is never, whatever its store says.
   */
  expiresAt: Date | number | null
  ttl?: undefined
}

/** When a document expires, by a span or a moment; without either, as its store says. */
export type DocumentExpiry = Partial<ExpiryBySpan> | Partial<ExpiryByMoment>

/** On which condition a document is put: at most one. */
export type PutCondition =
  | {
    /** Only where the document under the key has this version; 0 is where there is none. */
    ifVersion?: number
    ifAbsent?: false
  }
  | {
    /** Only where there is no document under the key. */
    ifAbsent?: boolean
    ifVersion?: undefined
  }

/** How a document is put: without any of these, it replaces what is there and expires as its store says. */
export type PutOptions = DocumentExpiry & PutCondition

/** As durable as one write is to be, whatever the database is; not in a transaction, nor for several writes at once. */
export interface WriteDurability {
  durability?: 'strict' | 'relaxed' | 'none'
}

/** A document with what is known of it. Times are milliseconds since 1970. */
export interface DocumentEntry<V = any, K = Key> {
  key: K
  value: V
  /** 1 for the first document under its key, and one more for each write that replaced it. */
  version: number
  /** When it was written. */
  updatedAt: number
  /** Left out when it never expires. */
  expiresAt?: number
}

/** In which order, and how many. */
export interface ScanOptions {
  /** The last keys first. */
  reverse?: boolean
  /** At most so many. */
  limit?: number
}

/** The type of `FlowDB.DELETE`, of which there is one value. */
export type Deletion = symbol & { readonly deletesDocument: true }

/** What the function of `modify` returns. */
export type Modified<Document> = Document | undefined | Deletion

/** A change of a document: of objects the members that change, `null` for those that go; of all else the whole. */
export type MergePatch<T> =
  T extends readonly unknown[] ? T : T extends object ? { [Name in keyof T]?: MergePatch<T[Name]> | null } : T

/** The order of a cursor, as in IndexedDB: the unique ones come to each key of an index once. */
export type CursorDirection = 'next' | 'nextunique' | 'prev' | 'prevunique'

/** What a cursor goes over. */
export interface CursorOptions<S extends Schema<S>, Name extends StoreName<S>, Index extends IndexName<S, Name> | undefined = undefined> {
  /** An index, in whose order it goes; the primary keys where it is left out. */
  index?: Index
  /** A range of the keys that it goes over, or one of them. */
  range?: KeyQuery<CursorKey<S, Name, Index>> | null
  /**
   * Default `'next'`. Of several documents with one key, `'nextunique'` and `'prevunique'` come to the one with the
   * lowest primary key.
   */
  direction?: CursorDirection
  /** At most so many. */
  limit?: number
}

/** The keys that a cursor goes over. */
export type CursorKey<S extends Schema<S>, Name extends StoreName<S>, Index> =
  Index extends IndexName<S, Name> ? IndexBound<IndexKeyOf<S, Name, Index>> : KeyOf<S, Name>

/** A place of a cursor. It stays as it is when the cursor goes on, and may be kept. */
export interface DocumentCursor<Document = any, PrimaryKey = any, CursorKey = PrimaryKey> {
  /** The key in the index, or the primary key. */
  readonly key: CursorKey
  readonly primaryKey: PrimaryKey
  /** The document. */
  readonly value: Document
  /**
   * Puts a document with the same primary key in the place of this one, and resolves to that key. Rejects with
   * `FLOWDB_CONFLICT` when it was changed or deleted since the cursor read it, `FLOWDB_INVALID_KEY` for another key.
   */
  update (document: Document): Promise<PrimaryKey>
  /**
   * Deletes the document, and resolves to whether it was still there. Rejects with `FLOWDB_CONFLICT` when it was changed
   * since the cursor read it.
   */
  delete (): Promise<boolean>
}

/** Of a value, what can be a key. */
export type KeyIn<V> = V extends Key ? V : never

/** What can be asked of the value at a path. All that is given has to be met. */
export interface QueryOperators<V = any> {
  /** It is this key. The same as the key itself in the place of the operators. */
  equals?: KeyIn<V> | null
  /** It comes after this key and has its type. */
  gt?: KeyIn<V> | null
  /** It comes after this key, or is it, and has its type. */
  gte?: KeyIn<V> | null
  /** It comes before this key and has its type. */
  lt?: KeyIn<V> | null
  /** It comes before this key, or is it, and has its type. */
  lte?: KeyIn<V> | null
  /** It is one of these keys, 10,000 at most; with none of them nothing is found. */
  in?: readonly (KeyIn<V> | null)[]
  /** It is a string or an array that begins with this one. */
  prefix?: string | ArrayBuffer | ArrayBufferView | readonly Key[]
  /** It is an array, and this key is one of its elements. */
  contains?: (V extends readonly (infer E)[] ? KeyIn<E> : V extends string | number | boolean ? never : Key) | null
}

/** What the value at a path has to be. It never holds where there is no value, or one that can't be a key. */
export type QueryCondition<V = any> = KeyIn<V> | null | QueryOperators<V>

/** Conditions by path; a path with dots leads into objects, and by a number into an array. */
export type QueryConditions<T = any> =
  { readonly [Path in keyof T & string]?: QueryCondition<T[Path]> } &
  { readonly [path: `${string}.${string}`]: QueryCondition }

/** A document of which only parts are there. */
export type DeepPartial<T> = T extends readonly (infer E)[] ? DeepPartial<E>[]
  : T extends object ? { [Name in keyof T]?: DeepPartial<T[Name]> } : T

/** How a query was answered, and what was read for it. */
export interface QueryExplanation {
  /**
   * `'nothing'`: the conditions contradict each other; `'scan'`: all documents were read; `'key'`: some were, by their
   * primary keys; `'index'`: by the rows of an index; `'intersection'`: by the keys that two indexes have in common.
   */
  plan: 'nothing' | 'scan' | 'key' | 'index' | 'intersection'
  /** The index that was used, of two the more selective one; `null` for none. */
  index: string | null
  /** All indexes that were used. */
  indexes: string[]
  /** Whether index or store were walked forwards or backwards, or what was found was sorted in memory. */
  order: 'forwards' | 'backwards' | 'sorted'
  /** Everything that was read: the sum of the three below. */
  rowsRead: number
  /** How many documents the query gave. */
  rowsReturned: number
  /** Rows of indexes that were read. */
  indexRowsRead: number
  /** Documents that were read. */
  documentsRead: number
  /** Rows that were looked at to choose between indexes. */
  rowsSampled: number
}

/**
 * A question for documents of a store. It never changes: each call gives a new query, which can be run any number of
 * times. What can't be asked throws where it is called: `FLOWDB_INVALID_KEY` for what is no key, else
 * `FLOWDB_INVALID_ARGUMENT`.
 *
 * Without an order, documents come as they are found. With one, those that have no key at its path come last in both
 * directions, and ties come by their primary keys, ascending. What no index has in order is sorted in memory, by up to
 * 64 MiB of keys: beyond that, running the query rejects with `FLOWDB_INVALID_ARGUMENT`. Rejects with
 * `FLOWDB_NOT_FOUND` when there is no such store, or it is not among those of the transaction.
 */
export interface Query<T = any, K = any> extends AsyncIterable<T> {
  /** The store that it asks for documents of. */
  readonly store: string
  /** Leaves only documents that meet all of these conditions, and those of calls before: 64 at most. */
  where (conditions: QueryConditions<T>): Query<T, K>
  /** Orders by a path or by several, behind those of calls before: 16 at most. The default direction is `'asc'`. */
  orderBy (path: string | readonly string[], direction?: 'asc' | 'desc'): Query<T, K>
  /** Orders by several paths, each in a direction of its own. */
  orderBy (paths: { readonly [path: string]: 'asc' | 'desc' }): Query<T, K>
  /**
   * Keeps of each document only what stands at these paths, 256 at most, within what it is nested in. Of an array that a
   * path leads into, only the elements that are named are kept. A later call takes the place of one before.
   */
  select<Name extends keyof T & string> (...names: [Name, ...Name[]]): Query<Pick<T, Name>, K>
  select (...paths: string[]): Query<DeepPartial<T>, K>
  select (paths: readonly string[]): Query<DeepPartial<T>, K>
  /** Gives at most so many documents. */
  limit (limit: number): Query<T, K>
  /** Passes over so many of the first documents. */
  offset (offset: number): Query<T, K>
  /** All documents. */
  toArray (): Promise<T[]>
  /** The first document, or `undefined`. */
  first (): Promise<T | undefined>
  /** How many documents there are, within limit and offset. */
  count (): Promise<number>
  /** The primary keys of the documents, in their order. */
  keys (): Promise<K[]>
  /**
   * Deletes the documents, all or none, and resolves to how many they were. Rejects with `FLOWDB_INVALID_ARGUMENT` when
   * that is more than a transaction may write.
   */
  delete (): Promise<number>
  /** Runs the query and tells how, and what was read for it. */
  explain (): Promise<QueryExplanation>
  /** Iterates over the documents as they are when it is called, page by page with bounded memory. */
  [Symbol.asyncIterator] (): AsyncIterableIterator<T>
}

/** The calls on documents, which a database and its transactions have in common. */
export interface Documents<S extends Schema<S>> {
  /**
   * Stores a document, in place of the one that has its key, and resolves to the key. `key` is for stores without a
   * key path; options may stand in its place or behind it. Rejects with `FLOWDB_CONSTRAINT` when a unique index has the
   * document's key for another one, or when a condition of the options is not met: then the message has the key, and the
   * version that was expected and the one that was found. A put without an expiry takes that of the document before away.
   */
  put<Name extends StoreName<S>> (store: Name, document: DocumentOf<S, Name>, key?: KeyOf<S, Name>, options?: PutOptions & WriteDurability): Promise<KeyOf<S, Name>>
  put<Name extends StoreName<S>> (store: Name, document: DocumentOf<S, Name>, options: PutOptions & WriteDurability): Promise<KeyOf<S, Name>>
  /** As `put`, but rejects with `FLOWDB_CONSTRAINT` when a document has the key already. */
  add<Name extends StoreName<S>> (store: Name, document: DocumentOf<S, Name>, key?: KeyOf<S, Name>, options?: DocumentExpiry): Promise<KeyOf<S, Name>>
  add<Name extends StoreName<S>> (store: Name, document: DocumentOf<S, Name>, options: DocumentExpiry): Promise<KeyOf<S, Name>>
  /** The document with this key, its version, when it was written and when it expires; or `undefined`. */
  getEntry<Name extends StoreName<S>> (store: Name, key: KeyOf<S, Name>): Promise<DocumentEntry<DocumentOf<S, Name>, KeyOf<S, Name>> | undefined>
  /**
   * Changes when a document expires, and resolves to whether it is there. Its version and its time of writing stay. One of
   * `ttl` and `expiresAt` has to be given.
   */
  touch<Name extends StoreName<S>> (store: Name, key: KeyOf<S, Name>, options: ExpiryBySpan | ExpiryByMoment): Promise<boolean>
  /** The document with this key, or `undefined`. */
  get<Name extends StoreName<S>> (store: Name, key: KeyOf<S, Name>): Promise<DocumentOf<S, Name> | undefined>
  /** The documents with these keys, in their order: `undefined` for each that is not there. They take at most 1 GiB. */
  getMany<Name extends StoreName<S>> (store: Name, keys: Iterable<KeyOf<S, Name>>): Promise<(DocumentOf<S, Name> | undefined)[]>
  /** The first primary key in a range, or `undefined`. */
  getKey<Name extends StoreName<S>> (store: Name, range: KeyQuery<KeyOf<S, Name>>): Promise<KeyOf<S, Name> | undefined>
  /** Whether there is a document with this key. */
  has<Name extends StoreName<S>> (store: Name, key: KeyOf<S, Name>): Promise<boolean>
  /**
   * Stores documents as `put` does each, all of them or none, and resolves to their keys. `keys` are as many, for stores
   * without a key path. One call takes at most 512 MiB.
   */
  putMany<Name extends StoreName<S>> (store: Name, documents: Iterable<DocumentOf<S, Name>>, keys?: Iterable<KeyOf<S, Name> | undefined>): Promise<KeyOf<S, Name>[]>
  /** As `putMany`, but rejects with `FLOWDB_CONSTRAINT`, and stores none, when a document has one of the keys already. */
  addMany<Name extends StoreName<S>> (store: Name, documents: Iterable<DocumentOf<S, Name>>, keys?: Iterable<KeyOf<S, Name> | undefined>): Promise<KeyOf<S, Name>[]>
  /**
   * Removes every document in a range, all at once, and resolves to how many there were. Memory grows with their entries
   * in indexes only, up to what a transaction takes.
   */
  delete<Name extends StoreName<S>> (store: Name, range: KeyBetween<KeyOf<S, Name>>): Promise<number>
  /** Removes a document, and resolves to whether it was there. */
  delete<Name extends StoreName<S>> (store: Name, key: KeyOf<S, Name>): Promise<boolean>
  /** Removes the documents with these keys, all at once, and resolves to how many there were. */
  deleteMany<Name extends StoreName<S>> (store: Name, keys: Iterable<KeyOf<S, Name>>): Promise<number>
  /**
   * Changes a document by a function of what it is, as if nobody else could change it meanwhile, and resolves to what
   * the function returned, or to what it got where that is nothing. The function gets the document, or `undefined`, and returns the new one (with the same key),
   * `undefined` to leave it, or `FlowDB.DELETE`; it may be asynchronous. It is called again when the document was changed
   * while it ran, up to 100 times: then the call rejects with `FLOWDB_CONFLICT`. What it throws rejects the call.
   */
  modify<Name extends StoreName<S>> (store: Name, key: KeyOf<S, Name>, change: (document: DocumentOf<S, Name> | undefined) => Modified<DocumentOf<S, Name>> | PromiseLike<Modified<DocumentOf<S, Name>>>): Promise<DocumentOf<S, Name> | undefined>
  /**
   * Merges a change into a document as JSON merge patch says (RFC 7396): members replace those of the same name, objects
   * are merged, `null` removes. Resolves to whether there was a document. The key can't be changed.
   */
  patch<Name extends StoreName<S>> (store: Name, key: KeyOf<S, Name>, change: MergePatch<DocumentOf<S, Name>>): Promise<boolean>
  /**
   * Iterates over documents, or the entries of an index, with their keys, to change them on the way. What it comes to is
   * as it was when it was called, the transaction's own writes until then included; memory is bounded.
   */
  cursor<Name extends StoreName<S>, Index extends IndexName<S, Name> | undefined = undefined> (store: Name, options?: CursorOptions<S, Name, Index>): AsyncIterableIterator<DocumentCursor<DocumentOf<S, Name>, KeyOf<S, Name>, Index extends IndexName<S, Name> ? IndexKeyOf<S, Name, Index> : KeyOf<S, Name>>>
  /** Removes every document of a store. */
  clear<Name extends StoreName<S>> (store: Name): Promise<void>
  /** How many documents there are, or how many have their key in a range. */
  count<Name extends StoreName<S>> (store: Name, range?: KeyQuery<KeyOf<S, Name>> | null): Promise<number>
  /** Iterates over documents in key order, as they are when it is called, with bounded memory. */
  scan<Name extends StoreName<S>> (store: Name, range?: KeyQuery<KeyOf<S, Name>> | null, options?: ScanOptions): AsyncIterableIterator<DocumentOf<S, Name>>
  /** Documents in key order. A number is a limit. */
  getAll<Name extends StoreName<S>> (store: Name, range?: KeyQuery<KeyOf<S, Name>> | null, options?: number | ScanOptions): Promise<DocumentOf<S, Name>[]>
  /** Primary keys in order. A number is a limit. */
  getAllKeys<Name extends StoreName<S>> (store: Name, range?: KeyQuery<KeyOf<S, Name>> | null, options?: number | ScanOptions): Promise<KeyOf<S, Name>[]>
  /** The documents that have a key in an index, by their primary keys; or, for a range, by the keys of the index. */
  getByIndex<Name extends StoreName<S>, Index extends IndexName<S, Name>> (store: Name, index: Index, key: KeyQuery<IndexBound<IndexKeyOf<S, Name, Index>>>): Promise<DocumentOf<S, Name>[]>
  /** The documents of an index in its order, or those whose key in it lies in a range. A number is a limit. */
  getAllByIndex<Name extends StoreName<S>, Index extends IndexName<S, Name>> (store: Name, index: Index, range?: KeyQuery<IndexBound<IndexKeyOf<S, Name, Index>>> | null, options?: number | ScanOptions): Promise<DocumentOf<S, Name>[]>
  /** How many entries an index has, or has in a range. */
  countByIndex<Name extends StoreName<S>, Index extends IndexName<S, Name>> (store: Name, index: Index, range?: KeyQuery<IndexBound<IndexKeyOf<S, Name, Index>>> | null): Promise<number>
  /** The primary key of the first entry of an index in a range, or `undefined`. */
  getKeyByIndex<Name extends StoreName<S>, Index extends IndexName<S, Name>> (store: Name, index: Index, range: KeyQuery<IndexBound<IndexKeyOf<S, Name, Index>>>): Promise<KeyOf<S, Name> | undefined>
  /**
   * The documents whose key in an index is from `start` to before `end`, in the order of the index. `undefined` means
   * the beginning or the end. Of a compound key the first parts are enough.
   */
  rangeByIndex<Name extends StoreName<S>, Index extends IndexName<S, Name>> (store: Name, index: Index, range: KeyBetween<IndexBound<IndexKeyOf<S, Name, Index>>>): Promise<DocumentOf<S, Name>[]>
  rangeByIndex<Name extends StoreName<S>, Index extends IndexName<S, Name>> (store: Name, index: Index, start?: IndexBound<IndexKeyOf<S, Name, Index>>, end?: IndexBound<IndexKeyOf<S, Name, Index>>): Promise<DocumentOf<S, Name>[]>
  /** Asks for documents by conditions: a query for every document of the store, to be narrowed down. */
  query<Name extends StoreName<S>> (store: Name): Query<DocumentOf<S, Name>, KeyOf<S, Name>>
}

declare const savepoint: unique symbol

/** A place in a transaction, from `savepoint()`. */
export type Savepoint = number & { readonly [savepoint]: true }

/**
 * Which of its reads a transaction that writes is checked for at its commit: all of them (`'serializable'`, the default:
 * those that commit are as if they had run one after the other), or those that its writes need (`'snapshot'`: of two that
 * write one document the first to commit wins, but two that each read what the other writes may both commit).
 */
export type Isolation = 'serializable' | 'snapshot'

/** How `update` runs its function. */
export interface UpdateOptions {
  /**
   * So many more times after the first that ended in a conflict, each after a pause of 50 ms at most. A whole number, or
   * Infinity. Default 100. What conflicts every time rejects with `FLOWDB_CONFLICT`, and the last conflict as `cause`.
   */
  retries?: number
  /** Ends it: it rejects with `FLOWDB_ABORTED` and the signal's reason as `cause`, and nothing is committed. */
  signal?: AbortSignal
  isolation?: Isolation
}

/**
 * A transaction: it sees the database as it was when it began, and its own writes. Documents expire in it, too.
 *
 * It takes 1,056 MiB of what it writes: keys, documents, index entries, 128 bytes for each of these, and what its
 * savepoints keep. The write that goes beyond that rejects with `FLOWDB_INVALID_ARGUMENT`.
 *
 * A write that failed left everything as it was, so the transaction may go on; but when nobody looked at the promise
 * of such a write, `commit` rejects with its error and nothing is committed. A transaction that is forgotten is
 * aborted.
 */
export interface Transaction<S extends Schema<S> = AnySchema> extends Documents<S> {
  /**
   * Makes everything that was written visible and durable, at once. Rejects with `FLOWDB_CONFLICT`, and changes
   * nothing, when something that the transaction had read was changed since.
   */
  commit (): Promise<void>
  /** Forgets everything that was written. */
  abort (): Promise<void>
  /**
   * Sets a savepoint, a place to which `rollbackTo` can go back. They nest; at most 1,000 at a time, above which this
   * rejects with `FLOWDB_INVALID_ARGUMENT`. What is replaced behind a savepoint counts to the size of the transaction.
   */
  savepoint (): Promise<Savepoint>
  /**
   * Takes back what was written since a savepoint, at the cost of that. The savepoint stays; those set after it are gone.
   * What was read still conflicts, and generated keys are not given again. Rejects with `FLOWDB_INVALID_ARGUMENT` for a
   * savepoint that is gone or of another transaction.
   */
  rollbackTo (savepoint: Savepoint): Promise<void>
  /** Whether it has neither been committed nor aborted. */
  readonly isActive: boolean
  /** Aborts unless the transaction has ended: `await using` rolls back what was not committed. */
  [Symbol.asyncDispose] (): Promise<void>
}

/** What `watch` gives, and what becomes of what is not taken. */
export interface WatchOptions<S extends Schema<S> = AnySchema, Name extends StoreName<S> = StoreName<S>> {
  /** The store. Default: every one. */
  store?: Name
  /** Documents whose key is in a range, or is this one. Needs a store. */
  range?: KeyQuery<KeyOf<S, Name>> | null
  /** Give the new documents. Default false. */
  values?: boolean
  /** Give the documents that were there before; each then costs the writer a read. Default false. */
  oldValues?: boolean
  /** So many changes may wait to be taken, of 64 MiB at most. Default 10,000; 1 to 1,000,000. */
  buffer?: number
  /**
   * What is done with more than that. `'error'` (default): what waits is given, then the iteration ends with
   * `FLOWDB_OVERFLOW`. `'drop-oldest'`: the oldest go, and a change of type `'lost'` stands in their place. `'coalesce'`: a
   * change takes the place of one of the same document that waits; where there are too many all the same, as `'error'`.
   */
  overflow?: 'error' | 'drop-oldest' | 'coalesce'
  /** Ends the iteration with `FLOWDB_ABORTED`, the signal's reason as `cause`. */
  signal?: AbortSignal
}

/** A document was written. One whose expiry was changed has the version that it had. Times are milliseconds since 1970. */
export interface PutChange<Name = string, K = any, V = any> {
  type: 'put'
  store: Name
  key: K
  version: number
  updatedAt: number
  /** Left out when it never expires. */
  expiresAt?: number
  /** The document, where `values` asks for it. */
  value?: V
  /** The one that it replaced, where `oldValues` asks for it and there was one. */
  oldValue?: V
}

/** A document was deleted. */
export interface DeleteChange<Name = string, K = any, V = any> {
  type: 'delete'
  store: Name
  key: K
  /** The document, where `oldValues` asks for it. */
  oldValue?: V
}

/** Every document in a range of keys was deleted at once. A range that held few is told document by document. */
export interface DeleteRangeChange<Name = string, K = any> {
  type: 'deleteRange'
  store: Name
  range: KeyRange<K> | { prefix: K }
}

/** Every document of a store was deleted (`'clear'`), or the store itself (`'drop'`). */
export interface StoreChange<Name = string> {
  type: 'clear' | 'drop'
  store: Name
}

/** So many changes were dropped here; see `overflow`. */
export interface LostChanges {
  type: 'lost'
  changes: number
}

/** A committed change, as `watch` gives it. */
export type Change<S extends Schema<S> = AnySchema, Name extends StoreName<S> = StoreName<S>> =
  | { [N in Name]:
    | PutChange<N, KeyOf<S, N>, DocumentOf<S, N>> | DeleteChange<N, KeyOf<S, N>, DocumentOf<S, N>>
    | DeleteRangeChange<N, KeyOf<S, N>> | StoreChange<N>
  }[Name]
  | LostChanges

/**
 * Iterates until its signal, `return()` or the end of the database; the latter two end it quietly. It does not keep the
 * process alive. Left to itself, it is collected and ends.
 */
export interface Watch<T> extends AsyncIterableIterator<T> {
  /**
   * Resolves when nothing is missed any more that anybody commits: what is issued on this database after the call of
   * `watch` or `liveQuery` is not missed in any case. Rejects where it can't be watched, as the first `next` does.
   */
  readonly ready: Promise<void>
  return (): Promise<IteratorResult<T, undefined>>
  [Symbol.asyncDispose] (): Promise<void>
}

/** What `liveQuery` runs: a query of the database, not of a transaction. One that says its store is run again for changes of that store only. */
export interface LiveSource<T> {
  readonly store?: string
  toArray (): PromiseLike<T[]>
}

/** What `liveQuery` runs: the documents of a store, as `getAll` gives them. */
export interface LiveRange<S extends Schema<S>, Name extends StoreName<S>> extends ScanOptions {
  store: Name
  range?: KeyQuery<KeyOf<S, Name>> | null
}

/** What `liveQuery` runs: a query, its parts as the calls of the same names take them. */
export interface LiveDescription<Name> {
  store: Name
  where?: Record<string, any>
  orderBy?: string | readonly string[] | Record<string, 'asc' | 'desc'>
  select?: readonly string[]
  limit?: number
  offset?: number
}

/** A moment: a Date, or microseconds since 1970 (not milliseconds), at most 2^53 - 1 away from it. */
export type Time = Date | number | bigint

/** When a record expires; at most one of both. */
export interface RecordExpiry {
  /** So many seconds after the record's time. */
  ttl?: number
  /** At a moment. */
  expiresAt?: Time
}

/** A record of a series, as it is read. Times are microseconds since 1970. */
export interface SeriesRecord<V = any, K = Key> {
  key: K
  ts: number
  value: V
  /** Left out when it never expires. */
  expiresAt?: number
}

/** A record that is to be written: its time is now where it has none. */
export interface NewRecord<V = any, K = Key> extends RecordExpiry {
  key: K
  value: V
  ts?: Time
}

/** Which records: of one key or a range of keys, or of the keys that begin with `prefix`; and of which time. */
export interface RecordQuery<K = Key> {
  key?: KeyQuery<K>
  prefix?: string | ArrayBuffer | ArrayBufferView | readonly Key[]
  /** The first moment. */
  from?: Time
  /** The end of the time, which is left out itself. */
  to?: Time
}

/** The numbers of one key in one window of time, as one. */
export interface SeriesWindow<K = Key> {
  key: K
  /** Where the window begins: a multiple of its width. */
  ts: number
  /** What the aggregate makes of the numbers. */
  value: number
  /** How many there are. */
  count: number
}

/** How windows are made of records. */
export interface DownsampleOptions<K = Key> extends RecordQuery<K> {
  /** The width of the windows, in seconds. */
  window: number
  aggregate: 'count' | 'sum' | 'min' | 'max' | 'avg' | 'first' | 'last'
  /** Where a value holds its number, a path with dots; the value itself where it is left out. */
  path?: string
  /** At most so many windows. */
  limit?: number
}

/** How a series is defined. */
export interface SeriesOptions {
  /** Records without an expiry of their own expire so many seconds after their time. */
  retention?: number
}

/** Records in time: values that JSON can hold, each under a key at a moment. */
export interface Series<V = any, K = Key> {
  readonly name: string
  /** Resolves when the series is there; rejects when it can't be. Calls need not wait for it. */
  readonly ready: Promise<void>
  /**
   * Writes a record, in place of the one with its key and time, and resolves to the time: now where none is given, and
   * never the same now twice.
   */
  append (key: K, value: V, options?: RecordExpiry & { ts?: Time }): Promise<number>
  /** Writes records, all of them or none, and resolves to their times. */
  appendMany (records: Iterable<NewRecord<V, K>>): Promise<number[]>
  /** The record of a key at a moment, or `undefined`. */
  get (key: K, ts: Time): Promise<SeriesRecord<V, K> | undefined>
  /** The record of a key with the greatest time, or `undefined`; found at once, however many there are. */
  latest (key: K): Promise<SeriesRecord<V, K> | undefined>
  /** Iterates over records by key and, within one key, by time, as they are when it is called, with bounded memory. */
  range (query?: RecordQuery<K> & ScanOptions): AsyncIterableIterator<SeriesRecord<V, K>>
  /** The records of `range` in an array. */
  getAll (query?: RecordQuery<K> & ScanOptions): Promise<SeriesRecord<V, K>[]>
  /** Iterates over the windows of time of each key, with bounded memory. Records without a number are passed over. */
  downsample (options: DownsampleOptions<K>): AsyncIterableIterator<SeriesWindow<K>>
  /** Deletes a record, if it is there. */
  delete (key: K, ts: Time): Promise<void>
  /** Deletes the records of a query; `{}` is every record. */
  deleteRange (query: RecordQuery<K>): Promise<void>
  /**
   * Changes a record, and resolves to whether it was there: `change` is merged into its value as a JSON merge patch (RFC
   * 7396: objects are merged, `null` removes, everything else replaces), and the expiry is set. No other write comes between.
   */
  patch (key: K, ts: Time, change: unknown, options?: RecordExpiry): Promise<boolean>
}

/** The calls that define object stores and indexes, on a database and in its upgrades. */
export interface Definitions<S extends Schema<S> = AnySchema> extends Documents<S> {
  /**
   * Creates a store, or does nothing where the same is there already; `FLOWDB_EXISTS` where it is there with another
   * definition. Without a key path, keys are given beside the documents.
   */
  createObjectStore (name: StoreName<S>, keyPath?: string | readonly string[] | null, autoIncrement?: boolean): Promise<void>
  createObjectStore (name: StoreName<S>, options: ObjectStoreOptions): Promise<void>
  /**
   * Creates an index over the documents that are there and those that will come, or does nothing where the same is
   * there already. `true` makes it unique.
   */
  createIndex<Name extends StoreName<S>> (store: Name, name: IndexName<S, Name>, keyPath: string | readonly string[], options?: boolean | IndexOptions): Promise<void>
  /** Removes a store with its documents and indexes. */
  deleteObjectStore (name: StoreName<S>): Promise<void>
  /** Removes an index. */
  deleteIndex<Name extends StoreName<S>> (store: Name, name: IndexName<S, Name>): Promise<void>
  /** The names of all stores, sorted. */
  storeNames (): Promise<StoreName<S>[]>
  /** How a store and its indexes are defined. */
  describe (store: StoreName<S>): Promise<StoreDescription>
}

/**
 * The database as its upgrade sees it: every call belongs to the upgrade, and is done in the order in which it was made,
 * awaited or not. One that fails ends the upgrade, unless somebody looks at its promise.
 */
export interface UpgradeDatabase<S extends Schema<S> = AnySchema> extends Definitions<S> {
  /** The version before the upgrade. */
  readonly version: number
}

/**
 * The transaction of an upgrade, on all stores. It is committed when the function of the upgrade has resolved: its own
 * `commit`, and `savepoint`, reject with `FLOWDB_UNSUPPORTED`. `abort` ends the upgrade, and opening rejects with
 * `FLOWDB_ABORTED`.
 */
export type UpgradeTransaction<S extends Schema<S> = AnySchema> = Transaction<S>

/** How a database is opened, with a version of its schema. */
export interface FlowDBOptions<S extends Schema<S> = AnySchema> extends OpenOptions {
  /**
   * The version that the schema is to have: a whole number from 1 to 2^53 - 1. A database with a later one is refused with
   * `FLOWDB_VERSION`, one with an earlier one is upgraded. Left out, the database is taken as it is.
   */
  version?: number
  /**
   * Runs where the database has an earlier version than `version`, with that one (0 for a new database), before anything
   * else that is asked of the database. When it has resolved, everything that it has done becomes visible and durable at
   * once, with the new version. Where it throws or rejects, nothing is changed: `ready` rejects with what was thrown, and
   * every call with that as its `cause`. `FLOWDB_CONFLICT` when somebody who had the database open already has written
   * what it has read or written.
   */
  upgrade?: (db: UpgradeDatabase<S>, oldVersion: number, newVersion: number, tx: UpgradeTransaction<S>) => unknown
}

/** What `export` takes beside its target. */
export interface ExportOptions<Name extends string = string> {
  /** Only these stores. Default: all. */
  stores?: readonly Name[]
  /** Ends it: it rejects with `FLOWDB_ABORTED` and the signal's reason as `cause`. */
  signal?: AbortSignal
  /** Called about every 64 KiB, and with `store` behind each store. What it throws ends the export. */
  onProgress?: (progress: ExportResult & { store?: Name }) => void
}

/** What was exported. */
export interface ExportResult {
  stores: number
  documents: number
  bytes: number
}

/** What `import` takes beside its source. */
export interface ImportOptions {
  /** So many lines have been imported before and are passed over; the `resume` of an `ImportError`. Default 0. */
  resume?: number
  /** Ends it between two batches, or while the source gives nothing: it rejects with `FLOWDB_ABORTED` and the signal's reason as `cause`. */
  signal?: AbortSignal
  /** Called behind each batch: 1,000 documents, or 1 MiB of lines. What it throws ends the import. */
  onProgress?: (progress: ImportResult) => void
}

/** What was imported. */
export interface ImportResult {
  /** Documents that were put. */
  documents: number
  /** Documents that were left out, because they have expired. */
  expired: number
  /** Lines that are done. */
  lines: number
  /** The version of the schema that they come from; the importing database keeps its own. */
  schemaVersion: number
}

/** With what `import` rejects. */
export interface ImportError extends FlowDBError {
  /** The number of the line that is bad, from 1; left out where it is none. */
  line?: number
  /** So many lines are in the database, and nothing behind them: what `resume` takes. */
  resume: number
}

/** Documents in object stores, with indexes and transactions. */
export interface FlowDB<S extends Schema<S> = AnySchema> extends Definitions<S> {
  /** Resolves when the database is open; rejects when it can't be. Calls need not wait for it. */
  readonly ready: Promise<void>
  /** The version of the schema when it was opened, 0 where none was ever given; `undefined` before it is open. */
  readonly version: number | undefined
  /** Begins a transaction on one or more stores. The default mode is `'readonly'`. */
  transaction<Name extends StoreName<S>> (stores: Name | readonly Name[], mode?: 'readonly' | 'readwrite', options?: { isolation?: Isolation }): Transaction<Pick<S, Name>>
  /**
   * Runs a function in a `'readwrite'` transaction, commits that, and resolves to what the function gave. Where this ends
   * in a conflict, it is done again after a short random pause; what the function does elsewhere than in the transaction
   * happens each time. What it throws aborts the transaction and rejects this.
   */
  update<Name extends StoreName<S>, T> (stores: Name | readonly Name[], change: (tx: Transaction<Pick<S, Name>>) => T | PromiseLike<T>, options?: UpdateOptions): Promise<T>
  /** Runs a function in a `'readonly'` transaction, so that all that it reads is of one moment, and resolves to what it gave. */
  view<Name extends StoreName<S>, T> (stores: Name | readonly Name[], read: (tx: Transaction<Pick<S, Name>>) => T | PromiseLike<T>): Promise<T>
  /**
   * Iterates over committed changes, in the order of their commits, each once; those of all openers of the database in
   * this process, worker threads included. The changes of one commit come together: stores and ranges that were deleted first,
   * then documents by store and key, each at most once, with what the commit did to it in all; calls that are issued together
   * may be one commit. That a document expires is no change. Rejects with `FLOWDB_NOT_FOUND` for a store that is missing.
   */
  watch<Name extends StoreName<S> = StoreName<S>> (options?: WatchOptions<S, Name>): Watch<Change<S, Name>>
  /**
   * Iterates over the results of a query: those that there are, and again whenever they have changed. It is run when they
   * are asked for and the store has changed, so that many changes are one new result; results that are the same are not
   * given again. That a document expires is noticed at the next change.
   */
  liveQuery<T> (query: LiveSource<T>, options?: { signal?: AbortSignal }): Watch<T[]>
  liveQuery<Name extends StoreName<S>> (query: LiveRange<S, Name> | LiveDescription<Name>, options?: { signal?: AbortSignal }): Watch<DocumentOf<S, Name>[]>
  /**
   * Changes after how many seconds documents expire that are put without an expiry of their own from now on; `null` is
   * never. Those that are there keep theirs. Transactions that are writing to the store conflict.
   */
  setDefaultTtl (store: StoreName<S>, seconds: number | null): Promise<void>
  /**
   * Forgets the documents that have expired, of a store or of all, and resolves to how many they were. Nobody sees them
   * any more, and this is done in the background every `gcIntervalSecs`; until then each of them makes `count` of the whole
   * store a little slower. Their space comes back by compaction.
   */
  purgeExpired (store?: StoreName<S>): Promise<number>
  /**
   * A series of records in time, which is created where it is missing. Its calls reject with `FLOWDB_EXISTS` when it is
   * there with another retention than the one asked for.
   */
  series<V = any, K = any> (name: string, options?: SeriesOptions): Series<V, K>
  /** Removes a series with its records. */
  deleteSeries (name: string): Promise<void>
  /** The names of all series, sorted. */
  seriesNames (): Promise<string[]>
  /**
   * Makes a copy of the database, as it is when this is called or a little later, in a directory that is missing or
   * empty. Reads and writes go on meanwhile. Rejects with `FLOWDB_UNSUPPORTED` for a database in memory.
   */
  checkpoint (directory: string): Promise<void>
  /** The same as `checkpoint`. */
  backup (directory: string): Promise<void>
  /**
   * Writes schema and documents, as they are at one moment, as lines of JSON, in bounded memory and no faster than they
   * are taken. A file has its name once it is whole; a stream is ended. Versions, times and expiries are kept; series are not
   * exported. Rejects with `FLOWDB_IO` for what the file or stream fails with, as `cause`.
   */
  export (target: string | NodeJS.WritableStream, options?: ExportOptions<StoreName<S>>): Promise<ExportResult>
  /**
   * Reads what `export` has written: creates the stores and indexes that are missing, and puts every document as it was,
   * in place of one with its key. In bounded memory, batch by batch, each of them whole or not at all. Rejects with an
   * `ImportError`: `FLOWDB_CORRUPTION` where lines are missing or were changed, `FLOWDB_INVALID_VALUE` for a line that is
   * none, `FLOWDB_EXISTS` where a store or index is there with another definition, or with what is wrong with a document.
   */
  import (source: string | AsyncIterable<Uint8Array | string>, options?: ImportOptions): Promise<ImportResult>
  /** Reads every table and checks all that it says. Rejects with `FLOWDB_CORRUPTION` at the first damage. */
  verify (): Promise<void>
  /** The state of the database, and what it has done since it was opened. */
  stats (): Promise<Stats>
  /** The same as text for Prometheus, to be served as `text/plain; version=0.0.4`. */
  metrics (): Promise<string>
  /**
   * Rewrites the tables without what was overwritten, deleted or has expired: of the whole database, of a store with its
   * indexes, or of the documents of a store with their keys in a range.
   */
  compact<Name extends StoreName<S>> (store?: Name, range?: KeyQuery<KeyOf<S, Name>> | null): Promise<void>
  /** About how many bytes of the files that takes; what is in memory only is not counted. */
  approximateSize<Name extends StoreName<S>> (store?: Name, range?: KeyQuery<KeyOf<S, Name>> | null): Promise<number>
  /**
   * Waits for what was asked for, closes, and refuses everything from then on. It waits for the functions of `modify`, `update`
   * and `view`, too: one that waits for `close()` itself would wait for ever, and one that asks the database for something new
   * is refused. Iterators end with `FLOWDB_CLOSED`, and transactions that nobody has committed are aborted.
   */
  close (): Promise<void>
  /** Closes. */
  [Symbol.asyncDispose] (): Promise<void>
}

export const FlowDB: {
  /**
   * Opens a database. It returns at once; what is asked of the database meanwhile waits, and rejects when it can't be
   * opened. Throws `FLOWDB_INVALID_ARGUMENT` for options that are none.
   */
  open<S extends Schema<S> = AnySchema> (options: FlowDBOptions<S>): FlowDB<S>
  /**
   * Makes a damaged database, which nobody has open, one that can be opened: everything in its files that is whole is
   * kept, and what is not is moved to the directory `lost` in it. Copy the directory first.
   */
  repair (options: OpenOptions): Promise<RepairReport>
  /** Removes the files of a database that nobody has open, and the directory where nothing else is in it. */
  destroy (options: OpenOptions): Promise<void>
  new<S extends Schema<S> = AnySchema> (options: FlowDBOptions<S>): FlowDB<S>
  /** What the function of `modify` returns to delete the document. */
  readonly DELETE: Deletion
  readonly prototype: FlowDB
}

/**
 * How values are written: `'json'` where that is exact and else `'structured'` (`'auto'`), or as one of them alone. What
 * an encoding can't give back as it was is refused. Whatever encoding wrote a value, every store reads it.
 */
export type ValueEncoding = 'auto' | 'json' | 'structured' | 'utf8' | 'binary'

/** The defaults of a FlashStore's own entries, or of those of a namespace. */
export interface EntryDefaults {
  /**
   * After how many seconds entries expire that are set without an expiry; `null` for never. It is kept with the entries,
   * and stays as it is where it is left out.
   */
  defaultTtl?: number | null
  /** Default: `'auto'`, or that of the store that a namespace is in. It is not kept. */
  valueEncoding?: ValueEncoding
}

/** The options of a FlashStore. */
export interface FlashStoreOptions extends OpenOptions, EntryDefaults {}

/** Which entries, in which order, and how many. */
export type EntryOptions<K = any> = ScanOptions & {
  /** So many entries are passed over first. Default: 0. */
  offset?: number
} & ({
  /** Those with their key in a range, or with one key. */
  range?: KeyQuery<K> | null
  gt?: undefined
  gte?: undefined
  lt?: undefined
  lte?: undefined
  prefix?: undefined
} | (KeyBounds<K> & { range?: undefined }))

/** One of the operations of `batch`. */
export type BatchOperation<K = Key, V = any> =
  | ({ type: 'set' | 'put', key: K, value: V } & PutOptions)
  | { type: 'delete' | 'del', key: K }

/** What an entry of `check` is: what `getEntry` gave, or the version that it has to have. */
export interface EntryCheck<K = Key> {
  key: K
  /** `null` or 0 where there has to be none. */
  version: number | null
  /** Where it is given, the entry has to be of this time of writing, too. */
  updatedAt?: number
  value?: unknown
  expiresAt?: number
}

/** What became of checks and changes: the versions that the entries of the changes have then, or the place of the first check that is not met. */
export type AtomicResult =
  | { ok: true, versions: number[], unmet?: undefined }
  | { ok: false, unmet: number, versions?: undefined }

/** Those of the values that are numbers. */
type Numeric<V> = Extract<V, number | bigint>

/** A number as it is after one of a type was added. */
type Counted<N> = N extends bigint ? bigint : number

/**
 * Checks and changes that happen together, in one operation: the changes are made, all of them, where all checks are met.
 * What is given is checked and taken in each call.
 */
export interface Atomic<K = Key, V = any> {
  /** Nothing is changed unless entries are as they were read. Checks come before all changes. */
  check (...entries: EntryCheck<K>[]): this
  /** Sets an entry. */
  set (key: K, value: V, options?: DocumentExpiry): this
  /** Deletes an entry. */
  delete (key: K): this
  /** Adds to a number, or sets it where there is none. A number and a bigint don't mix. */
  sum (key: K, number: Numeric<V>): this
  /** Sets a number where it is below the one that there is, or there is none. */
  min (key: K, number: Numeric<V>): this
  /** Sets a number where it is above the one that there is, or there is none. */
  max (key: K, number: Numeric<V>): this
  /** What follows is on another namespace of the same FlashStore. */
  in<K2, V2> (namespace: EntryCalls<K2, V2>): Atomic<K2, V2>
  /** Makes checks and changes. It rejects where a change can't be made, and then nothing is changed. */
  commit (): Promise<AtomicResult>
}

/** How results of a wrapped function are kept. */
export interface WrapOptions<K, Args extends any[]> {
  /** The key of a result. Default: the array of the arguments. */
  key?: (...args: Args) => K
  /** For how many seconds a result is kept. Default: as the store says. */
  ttl?: number
}

/** Calls on entries that a FlashStore, its namespaces and its transactions have. */
export interface EntryCalls<K = Key, V = any> {
  /** The seconds until an entry expires; `Infinity` where it never does, `undefined` where there is none. */
  ttl (key: K): Promise<number | undefined>
  /** Changes when an entry expires: in so many seconds, or at a moment. Resolves to whether it was there. */
  expire (key: K, when: number | DocumentExpiry): Promise<boolean>
  /** Lets an entry stay for ever. Resolves to whether it was there. */
  persist (key: K): Promise<boolean>
  /** An entry with its version, its time of writing and its expiry; `undefined` where there is none. */
  getEntry (key: K): Promise<DocumentEntry<V, K> | undefined>
  /** Begins checks and changes that are to happen together. */
  atomic (): Atomic<K, V>
  /**
   * Sets an entry to what a function makes of its value, and resolves to the value as it is then. The function returns the new
   * one, `undefined` to leave it, or `FlashStore.DELETE`; it may be asynchronous. It is called again when the entry was
   * changed while it ran, up to 100 times: then the call rejects with `FLOWDB_CONFLICT`. What it throws rejects the call.
   */
  update (key: K, change: (value: V | undefined) => Modified<V> | PromiseLike<Modified<V>>): Promise<V | undefined>
  /** Adds to a number, 1 where nothing is said, or sets it where there is none; resolves to the number as it is then. */
  incr (key: K): Promise<number>
  incr<N extends Numeric<V>> (key: K, by: N): Promise<Counted<N>>
  /**
   * The value of an entry; where there is none, what a function computes, which is set then, unless it is `undefined` or
   * somebody else has set the entry meanwhile. Calls that come together share one computation.
   */
  getOrSet<T extends V> (key: K, compute: () => T | PromiseLike<T>, options?: DocumentExpiry): Promise<V>
  getOrSet<T extends V> (key: K, compute: () => T | undefined | PromiseLike<T | undefined>, options?: DocumentExpiry): Promise<V | undefined>
  /** A function that gives what it gave before for the same arguments, from this store. */
  wrap<This, Args extends any[], T extends V> (work: (this: This, ...args: Args) => T | PromiseLike<T>, options?: WrapOptions<K, Args>): (this: This, ...args: Args) => Promise<T>
}

/** What `watch` of a FlashStore gives. One of `key`, `range`, `prefix`, and bounds. */
export interface EntryWatchOptions<K = Key> extends Omit<WatchOptions, 'store' | 'range' | 'values'> {
  /** Only this entry. */
  key?: K
  /** Those with their key in a range. */
  range?: KeyQuery<K> | null
  /** Those whose key begins with this. */
  prefix?: unknown
  gt?: K
  gte?: K
  lt?: K
  lte?: K
  /** Give the new values. Default true. */
  values?: boolean
}

/** A committed change of a FlashStore. */
export type EntryChange<K = Key, V = any> =
  | Omit<PutChange<never, K, V>, 'type' | 'store'> & { type: 'set' }
  | Omit<DeleteChange<never, K, V>, 'store'>
  | Omit<DeleteRangeChange<never, K>, 'store'>
  | { type: 'clear' }
  | LostChanges

/** A store or namespace as a transaction has it. */
export type EntryTransaction<Store> = Omit<Store,
  | 'transaction' | 'watch' | 'purgeExpired' | 'flush' | 'close' | 'destroy' | typeof Symbol.asyncDispose | 'name' | 'drop'
  | 'namespace' | 'namespaces' | 'dropNamespace' | 'table' | 'listTables' | 'deleteTable' | 'tableSize'
  | 'cleanupExpired' | 'cleanupAllExpired'>

/** Calls on entries that a FlashStore and its namespaces have. */
export interface StoreCalls<K = Key, V = any> extends EntryCalls<K, V> {
  /** Forgets the entries that have expired, and resolves to how many they were. Nobody sees them, but counting costs for them. */
  purgeExpired (): Promise<number>
  /**
   * Runs a function whose writes are committed together, all or none; it gets the store as the transaction has it, which sees
   * its own writes and else the store as it was. What it throws takes them back. It is run again after a conflict.
   */
  transaction<T> (change: (tx: EntryTransaction<this>) => T | PromiseLike<T>, options?: UpdateOptions): Promise<T>
  /** The same over several namespaces of one FlashStore: the function gets each as the transaction has it. */
  transaction<const Stores extends readonly StoreCalls<any, any>[], T> (stores: Stores, change: (...within: { -readonly [At in keyof Stores]: EntryTransaction<Stores[At]> }) => T | PromiseLike<T>, options?: UpdateOptions): Promise<T>
  /**
   * Iterates over committed changes of entries, in the order of the commits, whoever makes them in this process. That an
   * entry expires is no change.
   */
  watch (options?: EntryWatchOptions<K>): Watch<EntryChange<K, V>>
}

/** What can be done with the entries of a FlashStore, or of a namespace. */
export interface FlashEntries<K = Key, V = any> extends StoreCalls<K, V>, SyncCalls<K, V> {
  /** Stores a value under a key, and resolves to the store itself. */
  set (key: K, value: V, options?: PutOptions & WriteDurability): Promise<this>
  /** The value under a key, or `undefined`. */
  get (key: K): Promise<V | undefined>
  /** Whether there is an entry with this key. */
  has (key: K): Promise<boolean>
  /** Removes an entry, and resolves to whether it was there. */
  delete (key: K): Promise<boolean>
  /** The same as `delete`. */
  del (key: K): Promise<boolean>
  /** Removes every entry, but none of namespaces within, by one small write. */
  clear (): Promise<void>
  /** How many entries there are: exact, at a cost that does not grow with them. */
  readonly size: Promise<number>
  /** Iterates over the keys in order, as they are when it is called. */
  keys (options?: EntryOptions<K>): AsyncIterableIterator<K>
  /** Iterates over the values in the order of their keys. */
  values (options?: EntryOptions<K>): AsyncIterableIterator<V>
  /** Iterates over keys and values. */
  entries (options?: EntryOptions<K>): AsyncIterableIterator<[K, V]>
  /** The keys in order, in one array. */
  getAllKeys (options?: EntryOptions<K>): Promise<K[]>
  /** The values in the order of their keys, in one array. */
  getAll (options?: EntryOptions<K>): Promise<V[]>
  /** Keys and values, in one array. */
  getAllEntries (options?: EntryOptions<K>): Promise<[K, V][]>
  [Symbol.asyncIterator] (): AsyncIterableIterator<[K, V]>
  /** Calls a function for every entry, one after the other, and waits for what it returns. */
  forEach<T = undefined> (callback: (this: T, value: V, key: K, store: this) => unknown, thisArg?: T): Promise<void>
  /** How many keys lie in a range. */
  count (range?: KeyQuery<K> | null): Promise<number>
  /** The entry with the first key of a range, or `undefined`. */
  first (range?: KeyQuery<K> | null): Promise<[K, V] | undefined>
  /** The entry with the last key of a range, or `undefined`. */
  last (range?: KeyQuery<K> | null): Promise<[K, V] | undefined>
  /** Takes out the entry with the first key of a range, so that nobody else gets it. */
  popFirst (range?: KeyQuery<K> | null): Promise<[K, V] | undefined>
  /** Takes out the entry with the last key of a range, so that nobody else gets it. */
  popLast (range?: KeyQuery<K> | null): Promise<[K, V] | undefined>
  /** The values in the order of the keys, `undefined` for each that is not there; all of one moment. */
  getMany (keys: Iterable<K>): Promise<(V | undefined)[]>
  /** Sets entries, such as those of a Map, all or none; the options are for each of them. */
  setMany (entries: Iterable<readonly [K, V]>, options?: PutOptions): Promise<this>
  /** Deletes entries, all or none, and resolves to how many were there. */
  deleteMany (keys: Iterable<K>): Promise<number>
  /** Sets and deletes entries in the order given, all or nothing. */
  batch (operations: Iterable<BatchOperation<K, V>>): Promise<void>
  /** A store of its own within this one, under any string. It is there once something has been written into it. */
  namespace<NK = Key, NV = any> (name: string, options?: EntryDefaults): FlashNamespace<NK, NV>
  /** The names of the namespaces in this one, sorted; not of those within them. */
  namespaces (): Promise<string[]>
  /** Removes a namespace and all within it, however many entries they have. Resolves to whether there was one. */
  dropNamespace (name: string): Promise<boolean>
  /** The same as `namespace`. */
  table<NK = Key, NV = any> (name: string, options?: EntryDefaults): FlashNamespace<NK, NV>
  /** The same as `namespaces`. */
  listTables (): Promise<string[]>
  /** The same as `dropNamespace`. */
  deleteTable (name: string): Promise<boolean>
  /** How many entries a table has; 0 where there is none. */
  tableSize (name: string): Promise<number>
  /** Forgets the entries of a table that have expired, and resolves to how many they were. */
  cleanupExpired (name: string): Promise<number>
  /** Forgets what has expired in the whole database, and resolves to how many entries that was. */
  cleanupAllExpired (): Promise<number>
}

/** A store within a FlashStore. */
export interface FlashNamespace<K = Key, V = any> extends FlashEntries<K, V> {
  /** Its name in the store that it is in. */
  readonly name: string
  /** Removes it and all within it, and resolves to whether it was there. What is written later makes it anew. */
  drop (): Promise<boolean>
}

/**
 * A Map that stays.
 *
 * Keys keep their type and are in their order; values are whatever structured clone takes, and come back as they
 * went in. It is opened by its first operation.
 */
export interface FlashStore<K = Key, V = any> extends FlashEntries<K, V> {}
export class FlashStore<K = Key, V = any> {
  /** What the function of `update` returns to delete the entry. */
  static readonly DELETE: Deletion
  /** A store in a directory, or one with options. */
  constructor (options: string | FlashStoreOptions)
  /** The version of this package. */
  version (): string
  /** Opens a store, and resolves to it once it is open. */
  static open<K = Key, V = any> (options: string | FlashStoreOptions): Promise<FlashStore<K, V>>
  /** Makes everything durable that was written before it, whatever the durability of the store is. */
  flush (): Promise<void>
  /** Waits for what was asked for, and closes. */
  close (): Promise<void>
  /** Closes and removes the database's files, and the directory where nothing else is in it. */
  destroy (): Promise<void>
  /** Closes. */
  [Symbol.asyncDispose] (): Promise<void>
}

/**
 * Calls that are done when they return. Each keeps its place: it sees what was asked for before it, awaited or not. The
 * event loop stands still meanwhile, for about a microsecond where a read finds its entry in memory, and as long as the disk
 * takes where it doesn't or where something is written. They throw what the others reject with.
 */
export interface SyncCalls<K = Key, V = any> {
  /** The value under a key, or `undefined`. */
  getSync (key: K): V | undefined
  /** Whether there is an entry with this key. */
  hasSync (key: K): boolean
  /** Stores a value under a key, as durable as the store's `durability` says when it returns. */
  setSync (key: K, value: V, options?: PutOptions & WriteDurability): this
  /** Removes an entry, as durably as `setSync` sets one, and says whether it was there. */
  deleteSync (key: K): boolean
}

/** What a key of a `FlashStoreSync` can be: any primitive but a symbol. */
export type SyncKey = string | number | bigint | boolean | null | undefined

/**
 * A Map in memory that stays: every call of an ES6 Map, with its order of insertion, and with what is set written behind
 * in that order. It is loaded in the background; a call that needs what is stored before that loads the rest at once.
 *
 * What is stored is a value as it was when it was set. One `FlashStoreSync` at a time may have a store.
 */
export class FlashStoreSync<K extends SyncKey = SyncKey, V = any> implements Map<K, V> {
  /** A store in a directory, or one with options. */
  constructor (options: string | OpenOptions)
  /** The version of this package. */
  version (): string
  /** Opens a store, and resolves to it when it is loaded. */
  static open<K extends SyncKey = SyncKey, V = any> (options: string | OpenOptions): Promise<FlashStoreSync<K, V>>
  /** Opens a store and loads it in the call. */
  static openSync<K extends SyncKey = SyncKey, V = any> (options: string | OpenOptions): FlashStoreSync<K, V>
  /** Resolves when it is loaded; rejects when it can't be, or is closed before. */
  readonly ready: Promise<void>
  /** Where it is; `'failed'` when it could not be loaded. */
  readonly state: 'loading' | 'open' | 'closed' | 'failed'
  /** About how many bytes wait to be stored: 32 MiB at most, and one entry. */
  readonly pendingBytes: number
  /** Called when something that was set could not be stored. Until `flush` has stored it, every write throws. */
  onerror: ((error: FlowDBError) => void) | undefined
  /** How many entries there are. */
  readonly size: number
  get (key: K): V | undefined
  has (key: K): boolean
  /** Sets an entry. One that is there keeps its place. Where 32 MiB wait to be stored, it waits for some of them. */
  set (key: K, value: V): this
  /** Removes an entry, and says whether it was there. */
  delete (key: K): boolean
  /** Removes every entry, by one small write. */
  clear (): void
  /** The value of an entry, which is set where there is none. */
  getOrInsert (key: K, value: V): V
  /** The value of an entry, which is computed and set where there is none. */
  getOrInsertComputed (key: K, compute: (key: K) => V): V
  keys (): ReturnType<Map<K, V>['keys']>
  values (): ReturnType<Map<K, V>['values']>
  entries (): ReturnType<Map<K, V>['entries']>
  [Symbol.iterator] (): ReturnType<Map<K, V>['entries']>
  forEach (callback: (value: V, key: K, map: Map<K, V>) => void, thisArg?: any): void
  readonly [Symbol.toStringTag]: string
  /** Resolves when everything that was set is durable. What could not be stored before is tried again. */
  flush (): Promise<void>
  /** The same in the call. */
  flushSync (): void
  /** Resolves when at most half of what may wait to be stored does. */
  drain (): Promise<void>
  /** Stores what was set, and closes. It is closed whatever it rejects with. */
  close (): Promise<void>
  /** Closes and removes the database's files, and the directory where nothing else is in it. */
  destroy (): Promise<void>
  /** Makes everything that was set durable, and begins to close. */
  [Symbol.dispose] (): void
  /** Closes. */
  [Symbol.asyncDispose] (): Promise<void>
}
