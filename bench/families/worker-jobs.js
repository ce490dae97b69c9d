'use strict'

/* What the two worker threads do: the same as one thread does in other lines. */

const { READS } = require('./reading.js')
const { BATCH, write } = require('./writing.js')

/** @typedef {import('../adapters/index.js').Store} Store */
/** @typedef {import('../lib/clock.js').Figure} Figure */

/**
 * What an adapter must not lack for it, and how it is done; `place` is the number of the worker, whose entries are its
 * own.
 *
 * @typedef {object} Job
 * @property {string} [needs]
 * @property {(lines: import('../lib/lines.js').Lines, store: Store, place: number) => Promise<Figure>} run
 */

/** By the name of the line. @type {Record<string, Job>} */
const JOBS = {
  'get, 1,000 at a time': { run: READS['get, 1,000 at a time'] },
  'getSync': { needs: 'getSync', run: READS.getSync },
  'put, 1,000 at a time, relaxed': {
    needs: 'relaxed',
    run: ({ scale }, store, place) => write(store, scale, 'together', BATCH, (1 + place) * scale.entries)
  }
}

exports.JOBS = JOBS
