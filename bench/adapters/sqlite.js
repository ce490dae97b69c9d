'use strict'

/*
 * SQLite through packages with the interface of better-sqlite3. Everything is done in the call, so a promise here is
 * one that is resolved already; puts side by side are transactions one after the other.
 */

/** So long a writer waits for another one. */
const BUSY_MS = 10000

/** Many small queries are how SQLite is meant to be used: a list of keys is asked for one by one. */
const TABLE = {
  values: 'CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID',
  // Large rows are better off in a table with row ids.
  documents: 'CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT NOT NULL)'
}

/**
 * @param {any} Database
 * @param {import('./index.js').OpenOptions} options
 */
function openDatabase (Database, { dir, durability, cacheBytes }) {
  const db = new Database(`${dir}/data.db`, { timeout: BUSY_MS })
  db.pragma('journal_mode = WAL')
  db.pragma(`synchronous = ${durability === 'strict' ? 'FULL' : 'NORMAL'}`)
  db.pragma(`cache_size = -${Math.ceil(cacheBytes / 1024)}`)
  return db
}

/**
 * @param {any} Database
 * @param {import('./index.js').OpenOptions} options
 * @returns {import('./index.js').Store}
 */
function openStore (Database, options) {
  const db = openDatabase(Database, options)
  db.exec(options.documents ? TABLE.documents : TABLE.values)
  const put = db.prepare('INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
  const get = db.prepare('SELECT value FROM entries WHERE key = ?')
  const has = db.prepare('SELECT 1 FROM entries WHERE key = ?')
  const remove = db.prepare('DELETE FROM entries WHERE key = ?')
  const all = db.prepare('SELECT key, value FROM entries ORDER BY key')
  const from = db.prepare('SELECT key, value FROM entries WHERE key >= ? ORDER BY key LIMIT ?')
  const after = db.prepare('SELECT key, value FROM entries WHERE key > ? ORDER BY key LIMIT ?')
  const write = options.documents ? JSON.stringify : (/** @type {any} */ value) => value
  const read = options.documents ? JSON.parse : (/** @type {any} */ value) => value
  const putAll = db.transaction((/** @type {[string, any][]} */ entries) => {
    for (const [key, value] of entries) put.run(key, write(value))
  })
  const getSync = (/** @type {string} */ key) => {
    const row = get.get(key)
    return row === undefined ? undefined : read(row.value)
  }
  /**
   * @param {any} row
   * @returns {[string, any]}
   */
  const entryOf = ({ key, value }) => [key, read(value)]
  return {
    put: async (key, value) => put.run(key, write(value)),
    putMany: async (entries) => putAll(entries),
    get: async (key) => getSync(key),
    getMany: async (keys) => keys.map(getSync),
    getSync,
    has: async (key) => has.get(key) !== undefined,
    delete: async (key) => remove.run(key),
    iterate: function * () {
      for (const row of all.iterate()) yield entryOf(row)
    },
    pages: async function * (size) {
      for (let page = from.all('', size); page.length > 0; page = after.all(page[page.length - 1].key, size)) {
        yield page.map(entryOf)
      }
    },
    range: async (key, limit) => from.all(key, limit).map(entryOf),
    close: async () => db.close()
  }
}

/**
 * @param {any} Database
 * @param {import('./index.js').OpenOptions} options
 * @returns {import('./index.js').People}
 */
function openPeople (Database, options) {
  const db = openDatabase(Database, options)
  const [email, score, active] = ['email', 'score', 'active'].map((name) => `json_extract(document, '$.${name}')`)
  db.exec('CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, document TEXT NOT NULL)')
  db.exec(`CREATE UNIQUE INDEX IF NOT EXISTS by_email ON people (${email})`)
  db.exec(`CREATE INDEX IF NOT EXISTS by_score ON people (${score})`)
  const put = db.prepare('INSERT INTO people VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document')
  const byEmail = db.prepare(`SELECT document FROM people WHERE ${email} = ?`)
  const byScore = db.prepare(`SELECT document FROM people WHERE ${score} BETWEEN ? AND ? ORDER BY ${score}`)
  const activeByScore = db.prepare(
    `SELECT document FROM people WHERE ${score} >= ? AND ${active} ORDER BY ${score} LIMIT ?`)
  const putAll = db.transaction((/** @type {any[]} */ people) => {
    for (const person of people) put.run(person.id, JSON.stringify(person))
  })
  const documentOf = (/** @type {any} */ row) => JSON.parse(row.document)
  return {
    put: async (person) => put.run(person.id, JSON.stringify(person)),
    putMany: async (people) => putAll(people),
    byEmail: async (address) => documentOf(byEmail.get(address)),
    byScore: async (least, most) => byScore.all(least, most).map(documentOf),
    activeByScore: async (least, limit) => activeByScore.all(least, limit).map(documentOf),
    close: async () => db.close()
  }
}

/**
 * @param {string} name of the adapter and of the package
 * @returns {import('./index.js').Adapter}
 */
function sqliteAdapter (name) {
  const load = () => require(name)
  return {
    name,
    package: name,
    durability: {
      strict: 'a write-ahead log, `synchronous = FULL`',
      relaxed: 'a write-ahead log, `synchronous = NORMAL`, which syncs at checkpoints'
    },
    load,
    open: async (options) => openStore(load(), options),
    openPeople: async (options) => openPeople(load(), options),
    opensTwice: true
  }
}

exports.sqliteAdapter = sqliteAdapter
