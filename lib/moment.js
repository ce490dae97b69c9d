'use strict'

/*
 * Milliseconds since some moment, to measure how long something takes. Not by `performance`: its first use in a process
 * loads a dozen modules of Node.js, which takes longer than the opening of a database, and would be part of that.
 */

const { hrtime } = process

function now () {
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

exports.now = now
