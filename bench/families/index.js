'use strict'

/*
 * The workloads, in the order of the tables. A family is a number of lines that share a store. Each of its stages runs
 * in a process of its own, one after the other on the same directory.
 */

const { base } = require('./base.js')
const { documents } = require('./documents.js')
const { people } = require('./people.js')
const { relaxedPuts, strictPuts } = require('./puts.js')
const { reopenings } = require('./reopenings.js')
const { requests } = require('./requests.js')

/**
 * @typedef {{ name: string, unit: string, better: 'more' | 'less', isOfMachine?: boolean }} Line
 */

/**
 * @typedef {object} Family
 * @property {string} name
 * @property {'open' | 'openPeople' | 'openRequests' | 'reopenings'} facet what an adapter must have for it
 * @property {Line[]} lines
 * @property {((lines: import('../lib/lines.js').Lines) => unknown)[]} stages
 */

/** @type {Family[]} */
exports.FAMILIES = [relaxedPuts, strictPuts, base, documents, people, requests, reopenings]
