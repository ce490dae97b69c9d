'use strict'

/*
 * The load under which a process is killed: operations that are drawn from a seed, so that whoever looks at what is
 * left draws the same ones and knows what has to be there.
 *
 * Two sequences go on side by side, one on documents and one on entries of a FlashStore. Within each, what is issued
 * first is committed first; so what is found has to be the state after one of its operations. Transfers between
 * accounts go on beside them, in transactions that conflict; what they have to leave is a sum.
 */

const { join } = require('node:path')
const { FlashStore, FlowDB } = require('..')
const { randomSource } = require('../__test__/support')

/** So small that a load of a moment flushes, compacts, ends logs and empties value files. */
const SETTINGS = {
  memtableSizeMb: 1 / 8, walSegmentSizeMb: 1 / 8, tableSizeMb: 1 / 16, levelSizeMb: 1 / 4, compactionThreshold: 2,
  blockCacheCapacityMb: 1, valueThresholdBytes: 1000, valueFileSizeMb: 1 / 4
}

const ACCOUNTS = 6
const FIRST_AMOUNT = 1000
const KEYS = 60
const OPERATIONS_OF_A_GROUP_MAX = 6
const WRITES_MAX = 8
const GROUPS = 7
const WORDS = ['ash', 'birch', 'cedar', 'elm', 'fir']

/** Database and FlashStore in a folder. */
function open (folder, options) {
  return {
    db: FlowDB.open({ ...SETTINGS, ...options, dataDir: join(folder, 'db') }),
    store: new FlashStore({ ...SETTINGS, ...options, dataDir: join(folder, 'store') })
  }
}

/** Makes the stores, indexes and accounts that are missing. */
async function define (db) {
  await db.createObjectStore('rows', 'id')
  await db.createIndex('rows', 'tag', 'tag', true)
  await db.createIndex('rows', 'group', ['group', 'id'])
  await db.createIndex('rows', 'words', 'words', { multiEntry: true })
  await db.createObjectStore('ledger', 'id')
  await db.createObjectStore('accounts', 'id')
  if (await db.count('accounts') > 0) return
  await db.putMany('accounts', Array.from({ length: ACCOUNTS }, (_, id) => ({ id, amount: FIRST_AMOUNT })))
}

/** A sequence of operations, drawn group by group: those of a group are issued at once. */
class Sequence {
  /** @param {number} seed @param {(random: any, n: number) => any} draw */
  constructor (seed, draw) {
    this.seed = seed
    this.random = randomSource(seed)
    this.draw = draw
    this.n = 0
  }

  group () {
    const length = 1 + this.random.below(OPERATIONS_OF_A_GROUP_MAX)
    return Array.from({ length }, () => this.draw(this.random, `${this.seed}/${++this.n}`))
  }
}

/** Mostly short, now and then long enough for a value file. */
const textOf = (random) => 'text '.repeat(random.below(random.below(6) === 0 ? 600 : 50))

/** An operation on documents, with what it writes: `[key, document]`, without a document where it deletes. */
function documentOperation (random, name) {
  const call = random.pick(['put', 'put', 'put', 'delete', 'putMany', 'transaction', 'transaction', 'deleteMany', 'deleteRange'])
  if (call === 'deleteRange') {
    const gte = random.below(KEYS)
    return { call, gte, lt: gte + 1 + random.below(4) }
  }
  const length = call === 'put' || call === 'delete' ? 1 : 2 + random.below(WRITES_MAX - 1)
  const writes = Array.from({ length }, (_, part) => {
    const id = random.below(KEYS)
    if (call.startsWith('delete') || (call === 'transaction' && random.below(4) === 0)) return [id]
    const words = WORDS.filter(() => random.below(3) === 0)
    return [id, { id, tag: `${name}/${part}`, group: random.below(GROUPS), words, text: textOf(random) }]
  })
  return { call, writes }
}

/** An operation on entries, with what it writes: `[key, value]`, without a value where it deletes. */
function entryOperation (random, name) {
  const call = random.pick(['set', 'set', 'set', 'delete', 'setMany', 'batch', 'deleteMany', 'setSync', 'atomic', 'clear'])
  if (call === 'clear' && random.below(10) > 0) return entryOperation(random, name)
  const isMany = call.endsWith('Many') || call === 'batch'
  const length = call === 'clear' ? 0 : isMany ? 2 + random.below(WRITES_MAX - 1) : 1
  const writes = Array.from({ length }, (_, part) => {
    const key = `key ${String(random.below(KEYS)).padStart(2, '0')}`
    if (call.startsWith('delete') || (call === 'batch' && random.below(4) === 0)) return [key]
    const value = { tag: `${name}/${part}`, text: textOf(random) }
    return [key, random.below(4) === 0 ? new Map(Object.entries(value)) : value]
  })
  return { call, writes }
}

const documentsFrom = (seed) => new Sequence(seed, documentOperation)
const entriesFrom = (seed) => new Sequence(seed, entryOperation)

/** What an operation makes of the state, a Map of keys to documents or values. */
function apply (state, { call, writes = [], gte, lt }) {
  if (call === 'clear') state.clear()
  for (let key = gte; key < lt; key++) state.delete(key)
  for (const [key, value] of writes) value === undefined ? state.delete(key) : state.set(key, value)
}

/** Issues an operation on documents. */
function performOnDocuments (db, { call, writes, gte, lt }) {
  switch (call) {
    case 'put': return db.put('rows', writes[0][1])
    case 'delete': return db.delete('rows', writes[0][0])
    case 'putMany': return db.putMany('rows', writes.map(([, document]) => document))
    case 'deleteMany': return db.deleteMany('rows', writes.map(([id]) => id))
    case 'deleteRange': return db.delete('rows', { gte, lt })
  }
  const tx = db.transaction('rows', 'readwrite')
  for (const [id, document] of writes) document === undefined ? tx.delete('rows', id) : tx.put('rows', document)
  return tx.commit()
}

/** Issues an operation on entries. */
function performOnEntries (store, { call, writes }) {
  switch (call) {
    case 'set': return store.set(...writes[0])
    case 'setSync': return store.setSync(...writes[0])
    case 'delete': return store.delete(writes[0][0])
    case 'setMany': return store.setMany(writes)
    case 'deleteMany': return store.deleteMany(writes.map(([key]) => key))
    case 'atomic': return store.atomic().set(...writes[0]).commit()
    case 'clear': return store.clear()
  }
  return store.batch(writes.map(([key, value]) => ({ type: value === undefined ? 'delete' : 'set', key, value })))
}

/** Moves an amount from one account to another, and writes it down. */
function transfer (db, { id, from, to, amount }) {
  return db.update(['accounts', 'ledger'], async (tx) => {
    const [payer, payee] = [await tx.get('accounts', from), await tx.get('accounts', to)]
    tx.put('ledger', { id, from, to, amount })
    tx.put('accounts', { ...payer, amount: payer.amount - amount })
    tx.put('accounts', { ...payee, amount: payee.amount + amount })
  })
}

/** A transfer between two accounts. */
function drawTransfer (random, id) {
  const from = random.below(ACCOUNTS)
  return { id, from, to: (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS, amount: 1 + random.below(20) }
}

/** Issues group after group, each when the one before is acknowledged, and tells how many operations were. */
async function follow (sequence, perform, acknowledge) {
  let acknowledged = 0
  for (;;) {
    const operations = sequence.group()
    await Promise.all(operations.map(perform))
    acknowledge(acknowledged += operations.length)
  }
}

async function moveMoney (db, seed, name, acknowledge) {
  const random = randomSource(seed + name)
  for (let n = 0; ; n++) {
    const id = `${seed}/${name}/${n}`
    await transfer(db, drawTransfer(random, id))
    acknowledge(id)
  }
}

/**
 * Puts the load on a folder for as long as the process or thread lives, and calls `acknowledge` with `'open'`, and with
 * `'documents'` or `'entries'` and how many operations are acknowledged, and with `'transfer'` and which one is.
 * Nothing else is issued before that has returned.
 */
async function run (folder, seed, durability, acknowledge) {
  const { db, store } = open(folder, { durability })
  await define(db)
  acknowledge('open')
  await Promise.all([
    follow(documentsFrom(seed), (operation) => performOnDocuments(db, operation), (made) => acknowledge('documents', made)),
    follow(entriesFrom(seed), (operation) => performOnEntries(store, operation), (made) => acknowledge('entries', made)),
    ...[1, 2].map((name) => moveMoney(db, seed, name, (id) => acknowledge('transfer', id)))
  ])
}

module.exports = { ACCOUNTS, FIRST_AMOUNT, WORDS, apply, documentsFrom, entriesFrom, open, run }
