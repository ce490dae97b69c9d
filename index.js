'use strict'

/* What a user imports. */

exports.FlowDB = require('./lib/flowdb.js').FlowDB
exports.FlashStore = require('./lib/flash-store.js').FlashStore
exports.FlashStoreSync = require('./lib/flash-store-sync.js').FlashStoreSync
exports.KeyRange = require('./lib/key-range.js').KeyRange
exports.FlowDBError = require('./lib/errors.js').FlowDBError
