'use strict'

/* What a user imports. */

exports.FlowDB = require('./lib/flowdb.js').FlowDB
exports.FlashStore = require('./lib/flash-store.js').FlashStore
exports.KeyRange = require('./lib/key-range.js').KeyRange
exports.FlowDBError = require('./lib/errors.js').FlowDBError
