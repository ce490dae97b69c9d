'use strict'

/*
 * The questions that the demo asks. Each has two answers, one from an index and one from the whole file, and the
 * demo compares them.
 */

const assert = require('node:assert/strict')
const { STORE, cities } = require('./cities')

const EARTH_RADIUS_KM = 6371

/** A degree of latitude is never shorter than this, wherever it is. */
const KM_IN_A_DEGREE = 110.5

/** The cities of a country whose names lie in [first, last), in the order of their names. */
async function byName (db, country, first, last) {
  const found = await db.rangeByIndex(STORE, 'name', [country, first], [country, last])
  sameCities(found, (city) => city.country === country && city.name >= first && city.name < last)
  return found
}

/** The cities of an administrative region. */
async function byRegion (db, country, admin1) {
  const found = await db.getByIndex(STORE, 'region', [country, admin1])
  sameCities(found, (city) => city.country === country && city.admin1 === admin1)
  return found
}

/**
 * The `limit` cities nearest to a point, with their distance: an index gives those of a band of latitude, the rest
 * of the box and the order are computed. The band grows until nothing outside of it can be nearer.
 */
async function nearest (db, point, limit) {
  for (let degrees = 0.25; ; degrees *= 2) {
    const band = await db.rangeByIndex(STORE, 'place', [point.lat - degrees], [point.lat + degrees])
    const found = byDistance(band, point).slice(0, limit)
    const isAll = degrees > 180
    if (isAll || (found.length === limit && found[limit - 1].km < degrees * KM_IN_A_DEGREE)) {
      assert.deepEqual(found, byDistance(cities(), point).slice(0, limit), 'the index and the file disagree')
      return { found, read: band.length }
    }
  }
}

function byDistance (candidates, point) {
  const found = []
  for (const city of candidates) found.push({ city, km: distanceKm(city, point) })
  return found.sort((a, b) => a.km - b.km || a.city.id - b.city.id)
}

/** The length of the great circle between two points, by the haversine formula. */
function distanceKm (a, b) {
  const radians = (degrees) => degrees * Math.PI / 180
  const half = (degrees) => Math.sin(radians(degrees) / 2) ** 2
  const h = half(b.lat - a.lat) + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * half(b.lng - a.lng)
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(h))
}

function sameCities (found, matches) {
  const expected = []
  for (const city of cities()) if (matches(city)) expected.push(city)
  const byId = (a, b) => a.id - b.id
  assert.deepEqual([...found].sort(byId), expected, 'the index and the file disagree')
}

module.exports = { byName, byRegion, nearest }
