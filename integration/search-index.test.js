'use strict'

/* search-index on flowdb/level: 150,000 cities indexed by the words of their names and by country, and searched. */

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { test } = require('node:test')
const { temporary } = require('../__test__/support.js')
const { FlowLevel } = require('../lib/level.js')
const { cities } = require('./cities.js')

const AT_A_TIME = 50_000
const PAGE = 20

/** The numbers of the cities of which a condition holds, as search-index has them. */
const numbersWhere = (condition) => cities.flatMap((city, number) => condition(city) ? [number] : [])

const hasWord = (word) => (city) => city.name.toLowerCase().split(/[^\p{L}\d]+/u).includes(word)

/** The numbers of the documents that a query finds. */
async function found (index, query, options = {}) {
  const { RESULT } = await index.QUERY(query, { PAGE: { NUMBER: 0, SIZE: cities.length }, ...options })
  return RESULT.map(({ _id }) => _id).sort((a, b) => a - b)
}

test('the cities are found by words, countries and both, also after changes and a reopening', async (t) => {
  const { SearchIndex } = await import('search-index')
  const name = temporary(t)
  const open = async () => {
    const index = new SearchIndex({ Level: FlowLevel, name })
    await once(index.EVENTS, 'ready')
    return index
  }

  let index = await open()
  for (let from = 0; from < cities.length; from += AT_A_TIME) {
    const some = cities.slice(from, from + AT_A_TIME)
    const results = await index.PUT(some.map(({ name, country }, place) => ({ _id: from + place, name, country })))
    assert.ok(results.every(({ status }) => status === 'CREATED'))
  }
  assert.equal(await index.DOCUMENT_COUNT(), cities.length)

  const springfields = numbersWhere(hasWord('springfield'))
  assert.ok(springfields.length > 10)
  assert.deepEqual(await found(index, 'name:springfield'), springfields)

  const inFrance = (city) => city.country === 'FR'
  const french = numbersWhere((city) => hasWord('saint')(city) && inFrance(city))
  assert.deepEqual(await found(index, { AND: ['name:saint', 'country:fr'] }), french)
  const either = numbersWhere((city) => hasWord('reykjavík')(city) || hasWord('springfield')(city))
  assert.deepEqual(await found(index, { OR: ['name:reykjavík', 'name:springfield'] }), either)
  const notFrench = numbersWhere((city) => hasWord('saint')(city) && !inFrance(city))
  assert.ok(french.length > 0 && notFrench.length > 0)
  assert.deepEqual(await found(index, { NOT: { INCLUDE: 'name:saint', EXCLUDE: 'country:fr' } }), notFrench)

  const { RESULT, RESULT_LENGTH } = await index.QUERY('country:fr', { PAGE: { NUMBER: 1, SIZE: PAGE }, DOCUMENTS: true })
  assert.equal(RESULT_LENGTH, numbersWhere(inFrance).length)
  assert.equal(RESULT.length, PAGE)
  for (const { _id, _doc } of RESULT) assert.deepEqual(_doc, { _id, name: cities[_id].name, country: 'FR' })

  const [gone, ...others] = springfields
  await index.DELETE(gone)
  assert.deepEqual(await found(index, 'name:springfield'), others)
  await index.INDEX.STORE.close()

  index = await open()
  assert.deepEqual(await found(index, 'name:springfield'), others)
  assert.equal(await index.DOCUMENT_COUNT(), cities.length - 1)
  const words = await index.DICTIONARY({ FIELD: 'name', VALUE: { GTE: 'springfi', LTE: 'springfie\uffff' } })
  assert.deepEqual(words.RESULT, ['springfield'])
  await index.INDEX.STORE.close()
})
