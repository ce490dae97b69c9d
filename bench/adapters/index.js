'use strict'

/*
 * The engines, by name, in the order of the tables. Each has a file here, with the same interface.
 *
 * An adapter does the work in the way that its package documents as best for it, and says how it writes durably. What a
 * package does not have, its adapter leaves out, with the reason in `cannot`; nothing is imitated that a program would
 * not do by itself.
 */

/**
 * A store of strings, or of documents, under strings. Calls that are left out are not there in the package.
 *
 * @typedef {object} Store
 * @property {(key: string, value: any) => Promise<unknown>} put resolves when it is durable as was asked for
 * @property {(entries: [string, any][]) => Promise<unknown>} [putMany] all or nothing
 * @property {(key: string) => Promise<any>} get
 * @property {(keys: string[]) => Promise<any[]>} [getMany]
 * @property {(key: string) => any} [getSync]
 * @property {(key: string) => Promise<boolean>} [has]
 * @property {(key: string) => Promise<unknown>} [delete]
 * @property {() => AsyncIterable<[string, any]> | Iterable<[string, any]>} [iterate] for `for await`
 * @property {(size: number) => AsyncIterable<[string, any][]>} [pages]
 * @property {(from: string, limit: number) => Promise<[string, any][]>} [range] from a key on
 * @property {() => Promise<unknown>} close
 */

/**
 * A store of documents with a unique index on `email` and one on `score`.
 *
 * @typedef {object} People
 * @property {(person: any) => Promise<unknown>} put
 * @property {(people: any[]) => Promise<unknown>} putMany all or nothing
 * @property {(email: string) => Promise<any>} byEmail
 * @property {(least: number, most: number) => Promise<any[]>} byScore all from one score to another, in order
 * @property {(least: number, limit: number) => Promise<any[]>} activeByScore the first active ones from a score on
 * @property {() => Promise<unknown>} close
 */

/**
 * Work in the style of IndexedDB on documents with a key `id` and an index on `score`.
 *
 * @typedef {object} Requests
 * @property {(people: any[]) => Promise<unknown>} putAll one transaction of single puts
 * @property {(id: number) => Promise<any>} get
 * @property {() => Promise<any[]>} cursor every document, by a cursor on the index
 * @property {() => Promise<unknown>} close
 */

/**
 * A store that is opened again with entries in it.
 *
 * @typedef {object} Reopening
 * @property {(dir: string, entries: Iterable<[string, any]>) => Promise<void>} fill
 * @property {(dir: string, key: string) => Promise<[unknown, () => Promise<unknown>]>} open gives what is under the
 *   key, once everything can be read, and how to close
 */

/**
 * @typedef {'strict' | 'relaxed'} Durability
 * What a store is opened for: `documents` instead of strings, `isShared` by several threads.
 *
 * @typedef {object} OpenOptions
 * @property {string} dir
 * @property {Durability} durability
 * @property {number} cacheBytes
 * @property {boolean} [documents]
 * @property {boolean} [isShared]
 */

/**
 * @typedef {object} Adapter
 * @property {string} name
 * @property {string} [package] whose version is told
 * @property {Partial<Record<Durability, string>>} durability how each is set; what is left out can't be had
 * @property {Record<string, string>} [cannot] why calls are not there
 * @property {boolean} [isUnordered] whether entries come in any order
 * @property {boolean} [isBaseline] whether it is no database, and only shows what the callbacks cost by themselves
 * @property {() => unknown} load throws where the package is not installed
 * @property {(options: OpenOptions) => Promise<Store>} [open]
 * @property {(options: OpenOptions) => Promise<People>} [openPeople]
 * @property {(dir: string) => Promise<Requests>} [openRequests]
 * @property {Record<string, Reopening>} [reopenings] by the name of the class
 * @property {boolean} [opensTwice] whether two threads may have a directory open
 */

const NAMES = [
  'flowdb', 'lmdb', 'classic-level', 'rocksdb', 'better-sqlite3', 'libsql', 'deno-kv', 'flash-store', 'keyv-sqlite',
  'fake-indexeddb', 'idle'
]

/**
 * @param {string} name
 * @returns {Adapter}
 */
function adapterOf (name) {
  if (!NAMES.includes(name)) throw new Error(`there is no engine ${name}; there are ${NAMES.join(', ')}`)
  return require(`./${name}.js`)
}

exports.NAMES = NAMES
exports.adapterOf = adapterOf
