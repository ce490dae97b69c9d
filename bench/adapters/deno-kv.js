'use strict'

/* @deno/kv: Deno's store for Node.js, on SQLite. Keys are arrays, values whatever structured clone knows. */

const load = () => require('@deno/kv')

/** More in one call is refused. */
const GET_MANY_MAX = 10

/**
 * @param {import('./index.js').OpenOptions} options
 * @returns {Promise<import('./index.js').Store>}
 */
async function open ({ dir }) {
  const kv = await load().openKv(`${dir}/data.db`)
  const values = async (/** @type {string[]} */ keys) => {
    const entries = await kv.getMany(keys.map((key) => [key]))
    return entries.map((/** @type {any} */ { value }) => value)
  }
  return {
    put: (key, value) => kv.set([key], value),
    putMany: async (entries) => {
      const atomic = kv.atomic()
      for (const [key, value] of entries) atomic.set([key], value)
      const { ok } = await atomic.commit()
      if (!ok) throw new Error('the batch was not committed')
    },
    get: async (key) => (await kv.get([key])).value,
    getMany: async (keys) => {
      const parts = []
      for (let at = 0; at < keys.length; at += GET_MANY_MAX) parts.push(values(keys.slice(at, at + GET_MANY_MAX)))
      return (await Promise.all(parts)).flat()
    },
    delete: (key) => kv.delete([key]),
    iterate: () => entriesOf(kv.list({ prefix: [] })),
    pages: (size) => pagesOf(kv, size),
    range: (from, limit) => collect(kv.list({ start: [from], end: ['~'] }, { limit, batchSize: limit })),
    close: async () => kv.close()
  }
}

/**
 * @param {AsyncIterable<any>} list
 * @returns {AsyncIterable<[string, any]>}
 */
async function * entriesOf (list) {
  for await (const { key, value } of list) yield [key[0], value]
}

/**
 * @param {AsyncIterable<any>} list
 * @returns {Promise<[string, any][]>}
 */
async function collect (list) {
  /** @type {[string, any][]} */
  const entries = []
  for await (const { key, value } of list) entries.push([key[0], value])
  return entries
}

/**
 * @param {any} kv
 * @param {number} size
 */
async function * pagesOf (kv, size) {
  let cursor
  do {
    const list = kv.list({ prefix: [] }, { limit: size, batchSize: size, cursor })
    const page = await collect(list)
    if (page.length > 0) yield page
    cursor = page.length < size ? '' : list.cursor
  } while (cursor !== '')
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'deno-kv',
  package: '@deno/kv',
  durability: { strict: 'as it is: it syncs each write' },
  cannot: {
    relaxed: 'it syncs each write, and has no setting for that',
    getSync: 'everything is a promise',
    has: 'it has none',
    openPeople: 'it has no secondary indexes'
  },
  load,
  open,
  opensTwice: true
}
