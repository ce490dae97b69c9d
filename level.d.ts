/**
 * An abstract-level database on FlowDB: what takes a `Level` or a database of that interface takes a `FlowLevel`.
 *
 * It needs the package abstract-level, version 3, which is not a dependency of FlowDB.
 */

import {
  AbstractBatchOperation,
  AbstractBatchOptions,
  AbstractChainedBatch,
  AbstractChainedBatchWriteOptions,
  AbstractClearOptions,
  AbstractDatabaseOptions,
  AbstractDelOptions,
  AbstractGetManyOptions,
  AbstractGetOptions,
  AbstractHasManyOptions,
  AbstractHasOptions,
  AbstractIterator,
  AbstractIteratorOptions,
  AbstractKeyIterator,
  AbstractKeyIteratorOptions,
  AbstractLevel,
  AbstractOpenOptions,
  AbstractPutOptions,
  AbstractSnapshot,
  AbstractValueIterator,
  AbstractValueIteratorOptions,
  Transcoder
} from 'abstract-level'
import { OpenOptions } from './index.js'

/** How durable an acknowledged write is: see the README. */
export type FlowLevelDurability = 'strict' | 'relaxed' | 'none'

/** Options of `open`, and of the constructor, which hands them on to it. */
export interface FlowLevelOpenOptions extends AbstractOpenOptions, Omit<OpenOptions, 'dataDir' | 'inMemory' | 'compression'> {
  /**
   * What is promised of writes without `sync`.
   *
   * @defaultValue `'relaxed'`
   */
  durability?: FlowLevelDurability
  /** Whether blocks are compressed, or how. @defaultValue `true` */
  compression?: boolean | 'lz4' | 'none'
  /** The bytes of the block cache: the name of classic-level's for `blockCacheCapacityMb`. */
  cacheSize?: number
  /** The bytes of the memtable: the name of classic-level's for `memtableSizeMb`. */
  writeBufferSize?: number
  /** The bytes of a table: the name of classic-level's for `tableSizeMb`. */
  maxFileSize?: number
  /** Of no consequence: threads may always share a database. */
  multithreading?: boolean
}

/** Options of the constructor. */
export interface FlowLevelOptions<K, V> extends AbstractDatabaseOptions<K, V>, Omit<FlowLevelOpenOptions, 'passive'> {
  /** No files: the data live as long as the object, also while it is closed. */
  inMemory?: boolean
}

/** An option of writes. */
export interface FlowLevelWriteOptions {
  /** Acknowledged only when it is on the disk, whatever the durability of the database. */
  sync?: boolean
}

/** An option of reads. */
export interface FlowLevelReadOptions {
  /** Of no consequence: what is scanned does not push out what is read often. */
  fillCache?: boolean
}

/** Options of iterators. */
export interface FlowLevelIteratorOptions extends FlowLevelReadOptions {
  /**
   * So many bytes are read at once: `nextv` gives no row behind those that come to so many.
   *
   * @defaultValue 131072
   */
  highWaterMarkBytes?: number
}

/** How the bounds of a range are encoded. */
export interface FlowLevelRangeOptions<K> {
  keyEncoding?: string | Transcoder.PartialEncoder<K>
}

export class FlowLevel<KDefault = string, VDefault = string>
  extends AbstractLevel<string | Buffer | Uint8Array, KDefault, VDefault> {
  /**
   * @param location the directory; with `inMemory` any text
   * @param options of the constructor, and of `open`
   */
  constructor (location: string, options?: FlowLevelOptions<KDefault, VDefault>)
  /**
   * @param location with `inMemory` there may be none
   * @param options of the constructor, and of `open`
   */
  constructor (location: undefined, options: FlowLevelOptions<KDefault, VDefault> & { inMemory: true })

  /** The location that it was made with; where there was none, the empty text. */
  get location (): string

  open (options?: FlowLevelOpenOptions): Promise<void>

  get (key: KDefault): Promise<VDefault | undefined>
  get<K = KDefault, V = VDefault> (key: K, options: AbstractGetOptions<K, V> & FlowLevelReadOptions): Promise<V | undefined>

  getSync (key: KDefault): VDefault | undefined
  getSync<K = KDefault, V = VDefault> (key: K, options: AbstractGetOptions<K, V> & FlowLevelReadOptions): V | undefined

  getMany (keys: KDefault[]): Promise<(VDefault | undefined)[]>
  getMany<K = KDefault, V = VDefault> (
    keys: K[],
    options: AbstractGetManyOptions<K, V> & FlowLevelReadOptions
  ): Promise<(V | undefined)[]>

  has (key: KDefault): Promise<boolean>
  has<K = KDefault> (key: K, options: AbstractHasOptions<K> & FlowLevelReadOptions): Promise<boolean>

  hasMany (keys: KDefault[]): Promise<boolean[]>
  hasMany<K = KDefault> (keys: K[], options: AbstractHasManyOptions<K> & FlowLevelReadOptions): Promise<boolean[]>

  put (key: KDefault, value: VDefault): Promise<void>
  put<K = KDefault, V = VDefault> (key: K, value: V, options: AbstractPutOptions<K, V> & FlowLevelWriteOptions): Promise<void>

  del (key: KDefault): Promise<void>
  del<K = KDefault> (key: K, options: AbstractDelOptions<K> & FlowLevelWriteOptions): Promise<void>

  batch (operations: Array<AbstractBatchOperation<typeof this, KDefault, VDefault>>): Promise<void>
  batch<K = KDefault, V = VDefault> (
    operations: Array<AbstractBatchOperation<typeof this, K, V>>,
    options: AbstractBatchOptions<K, V> & FlowLevelWriteOptions
  ): Promise<void>
  batch (): FlowLevelChainedBatch<typeof this, KDefault, VDefault>

  clear (): Promise<void>
  clear<K = KDefault> (options: AbstractClearOptions<K> & FlowLevelWriteOptions): Promise<void>

  iterator (): AbstractIterator<typeof this, KDefault, VDefault>
  iterator<K = KDefault, V = VDefault> (
    options: AbstractIteratorOptions<K, V> & FlowLevelIteratorOptions
  ): AbstractIterator<typeof this, K, V>

  keys (): AbstractKeyIterator<typeof this, KDefault>
  keys<K = KDefault> (
    options: AbstractKeyIteratorOptions<K> & FlowLevelIteratorOptions
  ): AbstractKeyIterator<typeof this, K>

  values (): AbstractValueIterator<typeof this, KDefault, VDefault>
  values<K = KDefault, V = VDefault> (
    options: AbstractValueIteratorOptions<K, V> & FlowLevelIteratorOptions
  ): AbstractValueIterator<typeof this, K, V>

  snapshot (options?: any): AbstractSnapshot

  /** As `has`, in the call. */
  hasSync (key: KDefault): boolean
  hasSync<K = KDefault> (key: K, options: AbstractHasOptions<K> & FlowLevelReadOptions): boolean

  /** About how many bytes the keys from `start` to `end`, which is not among them, take on disk. */
  approximateSize (start: KDefault, end: KDefault): Promise<number>
  approximateSize<K = KDefault> (start: K, end: K, options: FlowLevelRangeOptions<K>): Promise<number>

  /** Gives back what disk space the keys from `start` to `end` take beyond what they hold. */
  compactRange (start: KDefault, end: KDefault): Promise<void>
  compactRange<K = KDefault> (start: K, end: K, options: FlowLevelRangeOptions<K>): Promise<void>

  /**
   * What the database says of itself: `leveldb.stats`, `leveldb.sstables`, `leveldb.approximate-memory-usage`,
   * `leveldb.num-files-at-level0` and so on, and `flowdb.stats`, which is JSON. The empty string for anything else.
   */
  getProperty (property: string): string

  /** Removes the files of a database that nobody has open, and the directory where nothing else is in it. */
  static destroy (location: string): Promise<void>

  /** Makes a damaged database, which nobody has open, one that can be opened. */
  static repair (location: string): Promise<void>
}

export interface FlowLevelChainedBatch<TDatabase, KDefault, VDefault>
  extends AbstractChainedBatch<TDatabase, KDefault, VDefault> {
  write (options?: AbstractChainedBatchWriteOptions & FlowLevelWriteOptions): Promise<void>
}
