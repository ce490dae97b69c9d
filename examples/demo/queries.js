'use strict'

/*
 * The questions that the demo asks. Each has two answers, one from an index and one from the whole file, which takes
 * no part in the time and has to be the same, order included.
 */

const assert = require('node:assert/strict')
const { STORE, cities } = require('./cities')

const EARTH_RADIUS_KM = 6371

/** A degree of latitude is never shorter than this, wherever it is. */
const KM_IN_A_DEGREE = 110.5

/** The cities of a country whose names lie in [first, last), in the order of their names. */
function byName (db, country, first, last) {
  return db.rangeByIndex(STORE, 'name', [country, first], [country, last])
}

/** The cities of an administrative region. */
function byRegion (db, country, admin1) {
  return db.getByIndex(STORE, 'region', [country, admin1])
}

/**
 * The `limit` cities nearest to a point, with their distance: an index gives those of a band of latitude, the rest
 * of the box and the order are computed. The band grows until nothing outside of it can be nearer.
 */
async function nearest (db, point, limit) {
  for (let degrees = 0.25; ; degrees *= 2) {
    const band = await db.rangeByIndex(STORE, 'place', [point.lat - degrees], [point.lat + degrees])
    const found = nearestOf(band, point, limit)
    const isAll = degrees > 180
    if (isAll || (found.length === limit && found[limit - 1].km < degrees * KM_IN_A_DEGREE)) {
      return { found, read: band.length }
    }
  }
}

/** The `limit` candidates nearest to `point`, nearest first; of two at one distance the one with the lower id. */
function nearestOf (candidates, point, limit) {
  const found = []
  for (const city of candidates) {
    const candidate = { city, km: distanceKm(city, point) }
    // There may be many candidates, so only the best so far are kept.
    if (found.length === limit && !isNearer(candidate, found[limit - 1])) continue
    const place = found.findIndex((other) => isNearer(candidate, other))
    found.splice(place < 0 ? found.length : place, 0, candidate)
    found.length = Math.min(found.length, limit)
  }
  return found
}

function isNearer (a, b) {
  return a.km < b.km || (a.km === b.km && a.city.id < b.city.id)
}

/** The length of the great circle between two points, by the haversine formula. */
function distanceKm (a, b) {
  const radians = (degrees) => degrees * Math.PI / 180
  const half = (degrees) => Math.sin(radians(degrees) / 2) ** 2
  const h = half(b.lat - a.lat) + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * half(b.lng - a.lng)
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(h))
}

/** Compares the cities that an index gave with those of the file that match, in the order of names, then of ids. */
function sameByName (found, matches) {
  const expected = inFile(matches).sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)) || a.id - b.id)
  assert.deepEqual(found, expected, 'the index and the file disagree')
}

/** The same where all index keys are equal: then the order is that of the ids. */
function sameById (found, matches) {
  assert.deepEqual(found, inFile(matches), 'the index and the file disagree')
}

function sameNearest (found, point) {
  assert.deepEqual(found, nearestOf(cities(), point, found.length), 'the index and the file disagree')
}

function inFile (matches) {
  const found = []
  for (const city of cities()) if (matches(city)) found.push(city)
  return found
}

module.exports = { byName, byRegion, nearest, sameById, sameByName, sameNearest }
