'use strict'

/* quadstore on flowdb/level: a graph of 150,000 cities, loaded, matched, changed and read again after a reopening. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { gathered, temporary } = require('../__test__/support.js')
const { FlowLevel } = require('../lib/level.js')
const { cities } = require('./cities.js')

const AT_A_TIME = 5_000
const POLAR_CIRCLE = 66.5

/** The orders that the queries below need; the others would cost their writing. */
const INDEXES = [
  ['subject', 'predicate', 'object', 'graph'],
  ['predicate', 'object', 'subject', 'graph'],
  ['object', 'graph', 'subject', 'predicate']
]

/** The words of the graph. */
function vocabulary (factory) {
  const node = (name) => factory.namedNode(`urn:geo:${name}`)
  const double = factory.namedNode('http://www.w3.org/2001/XMLSchema#double')
  return {
    isIn: node('isIn'),
    latitude: node('latitude'),
    city: (number) => node(`city/${number}`),
    country: (code) => node(`country/${code}`),
    degrees: (value) => factory.literal(String(value), double)
  }
}

const numbers = (quads) => quads.map((quad) => Number(quad.subject.value.split('/')[1])).sort((a, b) => a - b)

const numbersWhere = (condition) => cities.flatMap((city, number) => condition(city) ? [number] : [])

test('a graph of the cities is loaded, matched, changed, and there after a reopening', async (t) => {
  const [{ Quadstore }, { DataFactory }] = [await import('quadstore'), await import('rdf-data-factory')]
  const factory = new DataFactory()
  const { isIn, latitude, city, country, degrees } = vocabulary(factory)
  const folder = temporary(t)
  const open = async () => {
    const store = new Quadstore({ backend: new FlowLevel(folder), dataFactory: factory, indexes: INDEXES })
    await store.open()
    return store
  }
  const quadsOf = ({ country: code, lat }, number) => [
    factory.quad(city(number), isIn, country(code)), factory.quad(city(number), latitude, degrees(lat))
  ]

  let store = await open()
  for (let from = 0; from < cities.length; from += AT_A_TIME) {
    const some = cities.slice(from, from + AT_A_TIME)
    await store.multiPut(some.flatMap((city, place) => quadsOf(city, from + place)))
  }
  await store.close()

  store = await open()
  const icelandic = await store.get({ predicate: isIn, object: country('IS') })
  assert.deepEqual(numbers(icelandic.items), numbersWhere((city) => city.country === 'IS'))

  const northern = await store.get({ predicate: latitude, object: { termType: 'Range', gte: degrees(POLAR_CIRCLE) } })
  assert.deepEqual(numbers(northern.items), numbersWhere((city) => Number(city.lat) >= POLAR_CIRCLE))

  const streamed = await gathered((await store.getStream({ predicate: isIn, object: country('FR') })).iterator)
  assert.deepEqual(numbers(streamed), numbersWhere((city) => city.country === 'FR'))

  const last = cities.length - 1
  const described = await store.get({ subject: city(last) })
  assert.deepEqual(described.items.map((quad) => quad.object.value).sort(), [
    String(cities[last].lat), country(cities[last].country).value
  ].sort())

  await store.multiPatch(icelandic.items, [factory.quad(city(last), isIn, country('IS'))])
  const changed = await store.get({ predicate: isIn, object: country('IS') })
  assert.deepEqual(numbers(changed.items), [last])
  assert.deepEqual(numbers((await store.get({ object: country('IS') })).items), [last])

  assert.equal((await store.get({}, { limit: AT_A_TIME })).items.length, AT_A_TIME)
  await store.close()
})
