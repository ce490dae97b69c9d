'use strict'

/*
 * Runs abstract-level's own test suite, which runs itself on a sublevel, too, and writes TAP.
 *
 * Arguments: a folder for the databases, and what is tested: `classic-level`, a durability word, or `memory`.
 */

const { join } = require('node:path')
const suite = require('abstract-level/test')
const test = require('tape')

const [, , folder, what] = process.argv
let databases = 0

/** The class that is tested. The suite compares the options of its databases, so none are added to those. */
function load () {
  if (what === 'classic-level') return require('classic-level').ClassicLevel
  const { FlowLevel } = require('flowdb/level')
  return class extends FlowLevel {
    constructor (location, options) {
      super(location, what === 'memory' ? { ...options, inMemory: true } : options)
      // The suite asks for it only where it wants to know whether data outlive a close, which they do in memory, too.
      this.supports.permanence = true
    }

    _open (options) {
      return super._open(what === 'memory' ? options : { durability: what, ...options })
    }
  }
}

const Tested = load()
suite({ test, factory: (options) => new Tested(join(folder, String(databases++)), options) })
