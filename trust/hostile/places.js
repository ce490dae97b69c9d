'use strict'

/*
 * Everything that a program can call: what a package exports, and what its calls give. Each place can be made again as
 * often as an argument has closed it, and beside each is something that no call names, which has to stay as it is.
 */

const assert = require('node:assert/strict')
const { join } = require('node:path')
const flowdb = require('../..')
const { FlowLevel } = require('../../lib/level')
const { KeyvFlowDB } = require('../../lib/keyv')
const flowdbDriver = require('../../lib/unstorage')
const calls = require('./calls')

const { FlashStore, FlashStoreSync, FlowDB, FlowDBError, KeyRange } = flowdb
const KEPT = { id: 1, kept: 'as it is' }
const ignore = () => {}

/**
 * @typedef {object} Place
 * @property {string} name
 * @property {() => any} make
 * @property {Record<string, unknown[][]>} calls
 * @property {(it: any, isHarmed: boolean) => unknown} close behind what is called
 * @property {() => unknown} [reenter] closes what it is within
 * @property {() => unknown} [end] behind all calls
 * @property {() => Promise<void>} check that what is kept is there, and that the place still works
 * @property {boolean} [isOnce] it is made anew for each call
 * @property {RegExp} [own] methods whose callers are other packages only
 * @property {boolean} [isForeign] what reads its arguments is another package, which refuses them in its own way
 * @property {string[]} [pending] methods that may wait for what never comes
 */

/** Something of a class that it gives without an instance, and its constructor. */
function staticsOf (Class) {
  const names = Object.getOwnPropertyNames(Class).filter((name) => typeof Class[name] === 'function' && name !== 'prototype')
  const made = Object.fromEntries(names.map((name) => [name, (...args) => Class[name](...args)]))
  return { ...made, constructed: (...args) => new Class(...args) }
}

/** Makes places of what is within a database that is opened anew once an argument has closed it. */
function withinOpened (open, close, check) {
  return (name, methods, makeWithin, more) => {
    let opened
    const closeOpened = async () => {
      const closed = opened
      opened = undefined
      await close(await closed)
    }
    return {
      name,
      calls: methods,
      make: async () => await makeWithin(await (opened ??= open())),
      reenter: () => Promise.resolve(opened).then((it) => it && close(it)).catch(ignore),
      close: async (it, isHarmed) => {
        await (it.abort ?? it.return ?? it.close)?.call(it).catch(ignore)
        if (isHarmed) await closeOpened()
      },
      end: closeOpened,
      check,
      isOnce: true,
      ...more
    }
  }
}

/** FlowDB, and what its calls give. */
async function documentPlaces (folder) {
  const dataDir = join(folder, 'documents')
  const open = () => FlowDB.open({ dataDir, durability: 'relaxed' })
  const keeper = open()
  for (const name of ['rows', 'kept']) await keeper.createObjectStore(name, 'id')
  await keeper.createObjectStore('notes')
  await keeper.createIndex('rows', 'group', 'group')
  await keeper.put('kept', KEPT)
  await keeper.series('records').append('key', { v: 1 }, { ts: 5 })
  const check = async () => {
    const id = 1e6
    await keeper.put('rows', { id, group: 7 })
    assert.deepEqual(await keeper.getByIndex('rows', 'group', 7), [{ id, group: 7 }])
    await keeper.delete('rows', id)
    await keeper.put('rows', { id: 1, group: 1 })
    assert.deepEqual(await keeper.getAll('kept'), [KEPT])
  }
  const close = (db) => db.close()
  const within = withinOpened(open, close, check)
  const first = async (iterator) => (await iterator.next()).value
  const watches = { pending: ['next'] }
  await check()
  return [
    { name: 'FlowDB', calls: calls.DATABASE, make: open, close, check },
    within('Transaction', calls.TRANSACTION, (db) => db.transaction(['rows', 'notes'], 'readwrite')),
    within('Query', calls.QUERY, (db) => db.query('rows'), { isOnce: false }),
    within('Series', calls.SERIES, (db) => db.series('records'), { isOnce: false }),
    within('cursor', {}, (db) => db.cursor('rows')),
    within('DocumentCursor', calls.CURSOR, async (db) => {
      await db.put('rows', { id: 1, group: 1 })
      return await first(db.cursor('rows'))
    }),
    within('scan', {}, (db) => db.scan('rows')),
    within('watch', {}, (db) => db.watch({ store: 'rows' }), watches),
    within('liveQuery', {}, (db) => db.liveQuery({ store: 'rows' }), watches)
  ]
}

/** FlashStore, and what its calls give. */
async function entryPlaces (folder) {
  const open = () => new FlashStore({ dataDir: join(folder, 'entries'), durability: 'relaxed' })
  const keeper = open()
  await keeper.namespace('kept').set('key', KEPT)
  const check = async () => {
    await keeper.set('probe', [1])
    assert.deepEqual(await keeper.get('probe'), [1])
    await keeper.delete('probe')
    assert.deepEqual(await keeper.namespace('kept').getAllEntries(), [['key', KEPT]])
  }
  const close = (store) => store.close()
  const within = withinOpened(open, close, check)
  return [
    { name: 'FlashStore', calls: calls.FLASH, make: open, close, check },
    within('FlashNamespace', calls.FLASH, (store) => store.namespace('tried'), { isOnce: false }),
    within('Atomic', calls.ATOMIC, (store) => store.atomic()),
    within('entries', {}, (store) => store.entries()),
    within('watch of FlashStore', {}, (store) => store.watch(), { pending: ['next'] })
  ]
}

/** FlashStoreSync holds all that it has, so that it is what is kept. */
function mapPlaces (folder) {
  const dataDir = join(folder, 'map')
  const make = () => FlashStoreSync.open({ dataDir, durability: 'relaxed' })
  const close = (map) => map.close()
  const check = async () => {
    const map = await make()
    map.set('probe', [1])
    const entries = [...map]
    await map.close()
    const again = await make()
    assert.deepEqual([...again], entries)
    again.delete('probe')
    await again.close()
  }
  return [{ name: 'FlashStoreSync', calls: calls.MAP, make, close, check }]
}

/** What only abstract-level calls, and what makes a level wait for others. */
const OF_ABSTRACT_LEVEL = /^(_.*|ref|unref|(at|de)tachResource|defer(Async)?)$/
const OF_A_SUBLEVEL = /^(_.*|open|parent|db|(at|de)tachResource|defer(Async)?)$/

async function levelPlaces (folder) {
  const open = async () => {
    const level = new FlowLevel(join(folder, 'level'), { durability: 'relaxed' })
    await level.open()
    return level
  }
  const keeper = await open()
  const kept = keeper.sublevel('kept')
  const keep = () => kept.put('key', 'as it is')
  await keep()
  const checkIn = async (rows) => {
    await rows.put('probe', 'x')
    assert.equal(await rows.get('probe'), 'x')
    await rows.del('probe')
  }
  // What clears a database clears its sublevels.
  const checkAll = async () => {
    await checkIn(keeper)
    await keep()
  }
  const check = async () => {
    await checkIn(keeper.sublevel('tried'))
    assert.deepEqual(await kept.iterator().all(), [['key', 'as it is']])
  }
  const close = (level) => level.close()
  const within = withinOpened(open, close, check)
  const foreign = { isForeign: true, own: OF_ABSTRACT_LEVEL }
  const below = async (level) => {
    const sublevel = level.sublevel('tried')
    await sublevel.open()
    return sublevel
  }
  return [
    { name: 'FlowLevel', calls: calls.LEVEL, make: open, close, check: checkAll, ...foreign },
    within('sublevel', calls.LEVEL, below, { isOnce: false, isForeign: true, own: OF_A_SUBLEVEL }),
    within('iterator of a level', calls.LEVEL, (level) => level.iterator(), foreign),
    within('batch of a level', calls.LEVEL, async (level) => (await below(level)).batch(), foreign),
    within('snapshot of a level', calls.LEVEL, (level) => level.snapshot(), foreign)
  ]
}

async function keyvPlaces (folder) {
  const open = (namespace) => new KeyvFlowDB({ dataDir: join(folder, 'keyv'), namespace, durability: 'relaxed' })
  const keeper = open('kept')
  await keeper.set('kept:key', 'as it is')
  const make = () => open('tried').on('error', ignore)
  const check = async () => {
    const keyv = open('tried')
    await keyv.set('tried:probe', 'x')
    assert.equal(await keyv.get('tried:probe'), 'x')
    await keyv.disconnect()
    assert.equal(await keeper.get('kept:key'), 'as it is')
  }
  return [{ name: 'KeyvFlowDB', calls: calls.KEYV, make, close: (keyv) => keyv.disconnect(), check, own: /^(on|set namespace)$/ }]
}

async function driverPlaces (folder) {
  const open = (base) => flowdbDriver({ dataDir: join(folder, 'unstorage'), base, durability: 'relaxed' })
  const keeper = open('kept')
  await keeper.setItem('key', 'as it is')
  const check = async () => {
    const driver = open('tried')
    await driver.setItem('probe', 'x')
    assert.equal(await driver.getItem('probe'), 'x')
    await driver.dispose()
    assert.equal(await keeper.getItem('key'), 'as it is')
  }
  return [{ name: 'driver of unstorage', calls: calls.DRIVER, make: () => open('tried'), close: (driver) => driver.dispose(), check }]
}

/** What is called without an instance. Directories are those of names, in the working directory. */
function staticPlaces (folder) {
  const dataDir = join(folder, 'opened')
  // Nothing is made of these, so that no hostile word leaves anything behind; the last one may be.
  const openings = [[{ ...OPTIONS, inMemory: true }], [{ dataDir }], [dataDir]]
  const check = async () => {}
  const of = (name, make, methods, more) => ({ name, make, calls: methods, close: ignore, check, ...more })
  const flow = [...openings, [{ dataDir, version: 1, upgrade: ignore }]]
  const ofLevel = { createIfMissing: true, errorIfExists: false, keyEncoding: 'utf8', valueEncoding: 'json' }
  const level = { constructed: [[dataDir, { ...OPTIONS, ...ofLevel }]], destroy: [[dataDir]], repair: [[dataDir]] }
  return [
    of('FlowDB itself', () => staticsOf(FlowDB), { open: flow, constructed: flow, repair: openings, destroy: openings }),
    of('FlashStore itself', () => staticsOf(FlashStore), { open: openings, constructed: openings }),
    of('FlashStoreSync itself', () => staticsOf(FlashStoreSync), { open: openings, openSync: openings, constructed: openings }),
    of('FlowLevel itself', () => staticsOf(FlowLevel), level, { isForeign: true }),
    of('KeyvFlowDB itself', () => staticsOf(KeyvFlowDB), { constructed: [...openings, [{ dataDir, namespace: 'x' }]] }),
    of('unstorage itself', () => ({ made: flowdbDriver }), { made: [...openings, [{ dataDir, base: 'x', ttl: 1 }]] }),
    of('KeyRange itself', () => staticsOf(KeyRange), calls.KEY_RANGE),
    of('KeyRange', () => KeyRange.bound(1, 2), calls.KEY_RANGE),
    of('FlowDBError itself', () => staticsOf(FlowDBError), { constructed: [['FLOWDB_X', 'message', { cause: 1 }]] }, { isForeign: true })
  ]
}

/** Options of every kind, each within its bounds. */
const OPTIONS = {
  durability: 'none', syncIntervalMs: 10, compression: 'lz4', createIfMissing: true, readOnly: false, salvage: false,
  memtableSizeMb: 1, maxFrozenMemtables: 1, blockSize: 4096, blockCacheCapacityMb: 1, maxOpenFiles: 10,
  defaultTtlSecs: 0, autoBackground: true
}

/** @returns {Promise<Place[]>} */
async function placesIn (folder) {
  return [
    ...await documentPlaces(folder), ...await entryPlaces(folder), ...mapPlaces(folder), ...await levelPlaces(folder),
    ...await keyvPlaces(folder), ...await driverPlaces(folder), ...staticPlaces(folder)
  ]
}

module.exports = { placesIn }
