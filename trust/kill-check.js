'use strict'

/*
 * What has to be found in a folder that was under the load of `kill-load.js`, from one kill to the next.
 *
 * Strict and relaxed writes that were acknowledged are there; none may have lost its last moments. In each of the three
 * what is there is the state after one of the operations, so that nothing is torn and nothing later stands without what
 * came before it.
 */

const assert = require('node:assert/strict')
const { readdirSync } = require('node:fs')
const { join } = require('node:path')
const load = require('./kill-load')

/** What a process printed before it was killed; a line that was cut was not acknowledged. */
function acknowledgedIn (output) {
  const acknowledged = { isOpen: false, documents: 0, entries: 0, transfers: [] }
  for (const line of output.split('\n').slice(0, -1)) {
    const [what, which] = line.split(' ')
    if (what === 'open') acknowledged.isOpen = true
    else if (what === 'transfer') acknowledged.transfers.push(which)
    else acknowledged[what] = Number(which)
  }
  return acknowledged
}

/** A compaction of the load takes out so many files at most. */
const FILES_OF_AN_EDIT_MAX = 12

const inOrder = (state) => [...state].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)

const tagOf = (value) => value instanceof Map ? value.get('tag') : value.tag
/** What tells a state: every write has a tag of its own. */
const markOf = (entries) => entries.map(([key, value]) => `${key}=${tagOf(value)}`).join()

/**
 * Lets `state` go on through a sequence until it is what was `found`, from the last acknowledged operation on, or
 * from the first where these may be lost; and through all that can have been issued.
 */
function catchUp (state, sequence, acknowledged, isDurable, found, where) {
  const mark = markOf(found)
  const isFound = () => markOf(inOrder(state)) === mark
  let made = 0
  if ((acknowledged === 0 || !isDurable) && isFound()) return
  for (let isLast = false; !isLast;) {
    isLast = made >= acknowledged
    for (const operation of sequence.group()) {
      load.apply(state, operation)
      made++
      if ((made >= acknowledged || !isDurable) && isFound()) return
    }
  }
  assert.fail(`${where}: ${acknowledged} operations were acknowledged, and what is there is the state after none of the possible ones`)
}

/** The folder of a series of ends, and what is known to be in it. */
class Expected {
  /** @param {string} durability @param {boolean} isDurable whether what was acknowledged has to be there */
  constructor (durability, isDurable = durability !== 'none') {
    this.durability = durability
    this.isDurable = isDurable
    this.documents = new Map()
    this.entries = new Map()
    this.transfers = new Set()
  }

  /** Opens a folder behind an end, or a copy of it, and holds all that is in it to what may be there. */
  async check (folder, seed, acknowledged, where) {
    const { db, store } = load.open(folder, { autoBackground: false, durability: this.durability })
    try {
      await db.ready
      await checkFiles(db, join(folder, 'db'), where)
      await this.#checkDocuments(db, seed, acknowledged.documents, where)
      await this.#checkAccounts(db, acknowledged, where)
      await this.#checkEntries(store, seed, acknowledged.entries, where)
      await db.verify()
    } finally {
      await Promise.all([db.close(), store.close()])
    }
  }

  async #checkDocuments (db, seed, acknowledged, where) {
    const isThere = (await db.storeNames()).includes('accounts')
    const found = isThere ? await db.getAll('rows') : []
    const sequence = load.documentsFrom(seed)
    catchUp(this.documents, sequence, acknowledged, this.isDurable, found.map((row) => [row.id, row]), `${where}, documents`)
    const documents = inOrder(this.documents).map(([, document]) => document)
    assert.deepStrictEqual(found, documents, where)
    if (isThere) await checkIndexes(db, documents, where)
  }

  async #checkEntries (store, seed, acknowledged, where) {
    const found = await store.getAllEntries()
    catchUp(this.entries, load.entriesFrom(seed), acknowledged, this.isDurable, found, `${where}, entries`)
    assert.deepStrictEqual(found, inOrder(this.entries), where)
    assert.equal(await store.size, found.length, where)
  }

  /** Accounts are what the ledger says, and the ledger has what was acknowledged now and what was found before. */
  async #checkAccounts (db, acknowledged, where) {
    const isOpen = this.isDurable && acknowledged.isOpen
    if (!(await db.storeNames()).includes('accounts')) return assert.ok(!isOpen && this.transfers.size === 0, where)
    const [accounts, ledger] = [await db.getAll('accounts'), await db.getAll('ledger')]
    assert.ok(accounts.length === load.ACCOUNTS || (accounts.length === 0 && !isOpen), `${where}: ${accounts.length} accounts`)
    const amounts = accounts.map(() => load.FIRST_AMOUNT)
    for (const { from, to, amount } of ledger) {
      amounts[from] -= amount
      amounts[to] += amount
    }
    assert.deepEqual(accounts.map(({ amount }) => amount), amounts, `${where}: a torn transfer`)
    const found = new Set(ledger.map(({ id }) => id))
    for (const id of this.isDurable ? [...this.transfers, ...acknowledged.transfers] : this.transfers) {
      assert.ok(found.has(id), `${where}: transfer ${id} is lost`)
    }
    this.transfers = found
  }
}

/** Every index has the rows of the documents that there are, in its order, and no others. */
async function checkIndexes (db, documents, where) {
  const by = (...paths) => [...documents].sort((a, b) => {
    for (const path of paths) if (a[path] !== b[path]) return a[path] < b[path] ? -1 : 1
    return 0
  })
  assert.equal(await db.count('rows'), documents.length, `${where}: the count`)
  assert.deepEqual(await db.getAllByIndex('rows', 'tag'), by('tag'), `${where}: the unique index`)
  assert.deepEqual(await db.getAllByIndex('rows', 'group'), by('group', 'id'), `${where}: the compound index`)
  for (const word of load.WORDS) {
    const having = documents.filter(({ words }) => words.includes(word))
    assert.deepEqual(await db.getByIndex('rows', 'words', word), having, `${where}: the multi-entry index, ${word}`)
  }
  const words = documents.flatMap((document) => document.words).length
  assert.equal(await db.countByIndex('rows', 'words'), words, `${where}: the entries of the multi-entry index`)
}

/**
 * There are the files of the database and no orphans of the process that was killed. An opening keeps what the last
 * edit of the manifest has taken out, until another one has been written: a power loss may still take that one away.
 */
async function checkFiles (db, folder, where) {
  const { levelTables, valueFiles } = await db.stats()
  const names = readdirSync(folder)
  const having = (ending) => names.filter((name) => name.endsWith(ending)).length
  const tables = levelTables.reduce((sum, count) => sum + count, 0)
  for (const [ending, known] of [['.tbl', tables], ['.val', valueFiles]]) {
    const more = having(ending) - known
    assert.ok(more >= 0 && more <= FILES_OF_AN_EDIT_MAX, `${where}: ${known} ${ending} are known, and there are ${names}`)
  }
  assert.equal(having('.tmp'), 0, `${where}: ${names}`)
}

module.exports = { Expected, acknowledgedIn, catchUp }
