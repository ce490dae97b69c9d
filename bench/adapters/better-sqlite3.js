'use strict'

/* better-sqlite3: SQLite, called in place. */

module.exports = require('./sqlite.js').sqliteAdapter('better-sqlite3')
