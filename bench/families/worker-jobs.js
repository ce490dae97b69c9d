'use strict'

/* What the two worker threads do: the same as one thread does in other lines. */

const { READS } = require('./reading.js')
const { BATCH, write } = require('./writing.js')

/** @typedef {import('../adapters/index.js').Store} Store */
/** @typedef {import('../lib/clock.js').Figure} Figure */

/**
 * By the name of the line; `place` is the number of the worker, whose entries are its own.
 *
 * @type {Record<string, (lines: import('../lib/lines.js').Lines, store: Store, place: number) => Promise<Figure>>}
 */
const JOBS = {
  'get, 1,000 at a time': READS['get, 1,000 at a time'],
  'getSync': READS.getSync,
  'put, 1,000 at a time, relaxed': (lines, store, place) => {
    if (lines.fastest === 'strict') throw lines.lacks('relaxed')
    return write(store, lines.scale, 'together', BATCH, (1 + place) * lines.scale.entries)
  }
}

exports.JOBS = JOBS
