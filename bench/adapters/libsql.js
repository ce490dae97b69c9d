'use strict'

/* libsql: a fork of SQLite, by its calls in place, which are those of better-sqlite3. */

module.exports = require('./sqlite.js').sqliteAdapter('libsql')
