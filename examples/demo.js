'use strict'

/*
 * The demo: FlowDB on real input. It imports the cities of GeoNames, indexes and queries them, moves one in a
 * transaction, opens the database anew, and checks that every document is there and as it should be.
 *
 *   npm run demo                 in a temporary folder, which is removed at the end
 *   npm run demo -- --keep       keeps the folder and says where it is
 *
 * It ends with code 0 when all is as it should be, and 1 with the reason when anything is not.
 */

const assert = require('node:assert/strict')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { FlowDB } = require('..')
const { INDEXES, STORE, cities, cityAt, count } = require('./demo/cities')
const { importCities } = require('./demo/import')
const { byName, byRegion, nearest, sameById, sameByName, sameNearest } = require('./demo/queries')
const { bytesIn, grouped, megabytes, peakMemoryBytes, printTable, progressBar, rate, timed } = require('./demo/report')

const ZURICH = { lat: 47.3769, lng: 8.5417 }

async function demo (dataDir) {
  console.log(`\nFlowDB demo: ${grouped(count)} cities of GeoNames, in ${dataDir}\n`)
  const summary = []
  let db = FlowDB.open({ dataDir })
  try {
    summary.push(['import', await importAll(db)])
    summary.push(...await createIndexes(db))
    await ask(db)
    const moved = await move(db)
    await db.close()

    const opening = await timed(async () => {
      db = FlowDB.open({ dataDir })
      return db.count(STORE)
    })
    summary.push(['reopen', `${(opening.seconds * 1000).toFixed(0)} ms to the first answer`])
    summary.push(['check', await checkEverything(db, moved)])
  } finally {
    await db.close()
  }
  summary.push(['on disk', `${megabytes(bytesIn(dataDir))}, with ${INDEXES.length} indexes`])
  summary.push(['peak memory', megabytes(peakMemoryBytes())])
  console.log('\nSummary')
  printTable(summary)
}

async function importAll (db) {
  console.log('Importing, every batch of 1,000 a transaction that is on disk when it is acknowledged')
  await db.createObjectStore(STORE, 'id')
  const bar = progressBar(count)
  try {
    const { seconds } = await timed(() => importCities(db, (batch, imported) => bar.update(imported)))
    assert.equal(await db.count(STORE), count)
    return `${grouped(count)} cities in ${rate(count, seconds)}`
  } finally {
    bar.stop()
  }
}

async function createIndexes (db) {
  console.log('\nBuilding indexes on the cities that are there')
  const lines = []
  for (const { name, keyPath, unique } of INDEXES) {
    const { seconds } = await timed(() => db.createIndex(STORE, name, keyPath, unique))
    const kind = `${unique ? 'unique ' : ''}index`
    console.log(`  ${kind} ${name} on ${keyPath.join(', ')}`)
    lines.push([`${kind} ${name}`, `${grouped(count)} rows in ${rate(count, seconds)}`])
  }
  const twin = { ...cityAt(0), id: count + 1 }
  await assert.rejects(db.add(STORE, twin), { code: 'FLOWDB_CONSTRAINT' })
  console.log(`  a second ${twin.name} at the same place is refused`)
  return lines
}

async function ask (db) {
  console.log('\nAsking; every answer is then compared with one from the whole file')
  const named = await timed(() => byName(db, 'PT', 'San', 'Sao'))
  sameByName(named.result, ({ country, name }) => country === 'PT' && name >= 'San' && name < 'Sao')
  say(named, `cities of Portugal from San to Sao: ${named.result.length}, ${names(named.result)}`)

  const region = await timed(() => byRegion(db, 'CH', 'ZH'))
  sameById(region.result, ({ country, admin1 }) => country === 'CH' && admin1 === 'ZH')
  say(region, `cities of the canton of Zürich: ${region.result.length}, ${names(region.result)}`)

  const near = await timed(() => nearest(db, ZURICH, 5))
  sameNearest(near.result.found, ZURICH)
  say(near, `nearest to ${ZURICH.lat} N ${ZURICH.lng} E, of ${grouped(near.result.read)} read:`)
  for (const { city, km } of near.result.found) console.log(`    ${km.toFixed(1).padStart(5)} km  ${city.name}`)
}

function say ({ seconds }, text) {
  console.log(`  ${text} (${(seconds * 1000).toFixed(1)} ms)`)
}

function names (found) {
  return `${found.slice(0, 3).map((city) => city.name).join(', ')} …`
}

/** Moves a city twice, takes the first move back, and returns the document that must be there from now on. */
async function move (db) {
  console.log('\nMoving a city in a transaction')
  const before = cityAt(0)
  const after = { ...before, lat: before.lat + 1, lng: before.lng + 1 }

  const aborted = db.transaction([STORE], 'readwrite')
  await aborted.put(STORE, after)
  assert.deepEqual(await aborted.get(STORE, before.id), after, 'a transaction must see what it wrote')
  await aborted.abort()
  assert.deepEqual(await db.get(STORE, before.id), before, 'an aborted transaction must change nothing')
  console.log(`  aborted: ${before.name} is still at ${before.lat} N ${before.lng} E`)

  const committed = db.transaction([STORE], 'readwrite')
  await committed.put(STORE, after)
  await committed.commit()
  assert.deepEqual(await db.get(STORE, before.id), after)
  assert.deepEqual(await db.getByIndex(STORE, 'place', [after.lat, after.lng, after.name]), [after])
  assert.deepEqual(await db.getByIndex(STORE, 'place', [before.lat, before.lng, before.name]), [])
  console.log(`  committed: ${after.name} is at ${after.lat.toFixed(5)} N ${after.lng.toFixed(5)} E, in the index too`)
  return after
}

/** Reads the whole store and compares each document with what was written, in order. */
async function checkEverything (db, moved) {
  console.log('\nChecking every document after the reopening')
  const expected = cities()
  let checked = 0
  const { seconds } = await timed(async () => {
    for await (const city of db.scan(STORE)) {
      const wanted = expected.next().value
      assert.deepEqual(city, wanted?.id === moved.id ? moved : wanted)
      checked++
    }
  })
  assert.equal(checked, count)
  for (const { name, keyPath } of INDEXES) {
    const found = await db.getByIndex(STORE, name, keyPath.map((path) => moved[path]))
    assert.ok(found.some((city) => city.id === moved.id), `the index ${name} does not lead to the moved city`)
  }
  console.log(`  all ${grouped(checked)} are there and equal`)
  return `${grouped(checked)} cities equal, ${rate(checked, seconds)}`
}

async function main () {
  const keep = process.argv.includes('--keep')
  const folder = mkdtempSync(join(tmpdir(), 'flowdb-demo-'))
  try {
    await demo(folder)
  } catch (error) {
    console.error('\nThe demo failed:', error)
    process.exitCode = 1
  } finally {
    if (keep) console.log(`\nThe database is kept in ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

main()
