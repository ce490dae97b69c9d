/**
 * A driver for unstorage. It needs nothing of that package: what is declared here is what it asks of a driver.
 */

import { OpenOptions } from './index.js'

/**
 * Makes a driver.
 *
 * ```js
 * const storage = createStorage({ driver: flowdbDriver({ dataDir: 'data', base: 'cache' }) })
 * ```
 */
declare function flowdbDriver (options: string | flowdbDriver.FlowDBDriverOptions): flowdbDriver.FlowDBDriver

declare namespace flowdbDriver {
  /** The database that the items are in. */
  interface FlowDBDriverOptions extends OpenOptions {
    /** Before all keys of the driver, with a colon: drivers with other bases share the database and keep apart. */
    base?: string
    /** After how many seconds items expire that are set without a `ttl`. */
    ttl?: number
    /** The name that Nitro knows the driver by; of no effect. */
    driver?: string
  }

  /** What an item is set with. */
  interface FlowDBItemOptions {
    /** After how many seconds it expires; 0 for never. */
    ttl?: number
    [option: string]: any
  }

  /** What is known of an item. */
  interface FlowDBItemMeta {
    /** When it was set. */
    mtime: Date
    /** The bytes of the value. */
    size: number
    /** The seconds until it expires. */
    ttl?: number
    [name: string]: Date | number | undefined
  }

  interface FlowDBDriver {
    name: 'flowdb'
    options: string | FlowDBDriverOptions
    flags: { maxDepth: true, ttl: true }
    hasItem (key: string): Promise<boolean>
    getItem (key: string): Promise<any>
    getItems (items: { key: string }[]): Promise<{ key: string, value: any }[]>
    getItemRaw (key: string): Promise<any>
    setItem (key: string, value: string, options?: FlowDBItemOptions): Promise<void>
    setItemRaw (key: string, value: any, options?: FlowDBItemOptions): Promise<void>
    /** Sets all of them, or none. */
    setItems (items: { key: string, value: string, options?: FlowDBItemOptions }[], common?: FlowDBItemOptions): Promise<void>
    removeItem (key: string): Promise<void>
    getMeta (key: string): Promise<FlowDBItemMeta | null>
    /** Skips what lies deeper than `maxDepth`, however much that is. */
    getKeys (base?: string, options?: { maxDepth?: number }): Promise<string[]>
    /** Removes what lies below a base, by one small write. */
    clear (base?: string): Promise<void>
    /** Closes the database. */
    dispose (): Promise<void>
    getInstance (): unknown
  }
}

export = flowdbDriver
