/**
 * An adapter for keyv, versions 5 and 6. It needs neither: what is declared here is what both ask of an adapter.
 */

import { EventEmitter } from 'node:events'
import { OpenOptions } from './index.js'

/** The database that the adapter keeps its entries in. */
export interface KeyvFlowDBOptions extends Omit<OpenOptions, 'defaultTtlSecs'> {
  /** The namespace of a Keyv of version 6 that has none. Version 5 always sets its own, which must be the same. */
  namespace?: string
}

/** An entry of `setMany`: of version 5 with the milliseconds that it lives, of version 6 with the moment it expires. */
export interface KeyvFlowDBEntry {
  key: string
  value: any
  ttl?: number
  expires?: number
}

/** What version 6 asks an adapter about itself. */
export interface KeyvFlowDBCapabilities {
  compatible: true
  store: 'keyvStorage'
  expires: true
  methods: Record<
    'get' | 'getMany' | 'has' | 'hasMany' | 'set' | 'setMany' | 'delete' | 'deleteMany' | 'clear' | 'disconnect' | 'iterator',
    { exists: boolean, methodType: 'async' | 'sync' | 'none' }
  >
}

/**
 * An adapter for one Keyv, or for several with the same namespace.
 *
 * ```js
 * const keyv = new Keyv({ store: new KeyvFlowDB('cache'), namespace: 'users' })
 * ```
 */
export class KeyvFlowDB extends EventEmitter {
  /**
   * @param options a directory, options, or an adapter whose database this one uses as well
   */
  constructor (options: string | KeyvFlowDBOptions | KeyvFlowDB)
  /** Set by Keyv. An adapter of version 6 that is in use for one namespace refuses another with `FLOWDB_UNSUPPORTED`. */
  namespace: string | undefined
  /** Read by version 6, which the adapter knows it by. */
  readonly capabilities: KeyvFlowDBCapabilities
  /** Read by version 5. */
  readonly opts: any
  get (key: string): Promise<any>
  getMany (keys: string[]): Promise<any[]>
  has (key: string): Promise<boolean>
  hasMany (keys: string[]): Promise<boolean[]>
  /** @param expiry milliseconds to live, or for version 6 the moment, in milliseconds since 1970 */
  set (key: string, value: any, expiry?: number): Promise<boolean>
  /** Writes all of them, or none. */
  setMany (entries: KeyvFlowDBEntry[]): Promise<any>
  /** Resolves to whether it was there. */
  delete (key: string): Promise<boolean>
  /** Resolves to whether they were there: for version 6 each, for version 5 all. */
  deleteMany (keys: string[]): Promise<any>
  /**
   * Removes what is in the namespace, by one small write. Rejects with `FLOWDB_UNSUPPORTED` where several Keyv of
   * version 5 with different namespaces share the adapter.
   */
  clear (): Promise<void>
  /** The entries of the namespace in the order of their keys, as they are at the first step. */
  iterator (namespace?: string): AsyncGenerator<[string, any], void>
  /** Closes the database, unless another adapter uses it. */
  disconnect (): Promise<void>
}
