'use strict'

/*
 * Namespaces: stores within a store, by name.
 *
 * `Calls` is the last of the classes of calls (entries.js says more), so that all that a FlashStore can do with its
 * entries, a namespace and a transaction can do with theirs.
 */

const { Ranges } = require('./ranges.js')

class Calls extends Ranges {}

exports.Calls = Calls
