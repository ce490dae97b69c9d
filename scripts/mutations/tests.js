'use strict'

/*
 * The tests that are tried against a fault, as the tables beside this file name them, and how each is run.
 *
 * A test is named in full: a filter that no longer fits any test must not pass for one that found nothing.
 */

/**
 * @typedef {object} Test
 * @property {string} program how the program that has it is told from others
 * @property {string} name
 * @property {[string, ...string[]] | undefined} build
 * @property {boolean} needsAddon
 * @property {[string, ...string[]]} run
 */

/** Builds faster, and what the tests do stays as it is: nobody will debug a program with a fault in it. */
const PROFILE = { CARGO_PROFILE_DEV_DEBUG: '0' }

/**
 * @param {string} program
 * @param {string[]} target which of the test programs of cargo
 * @param {string} name the path of the test in it
 * @returns {Test}
 */
function ofCargo (program, target, name) {
  const args = ['test', '--locked', ...target]
  return {
    program,
    name,
    build: ['cargo', ...args, '--no-run'],
    needsAddon: false,
    run: ['cargo', ...args, '--', '--exact', name]
  }
}

/**
 * A test in src/.
 *
 * @param {string} module
 * @param {string} name
 */
const unit = (module, name) => ofCargo('src', ['--lib'], within(module, name))

/**
 * A test in src/binding/, which needs the feature `node`.
 *
 * @param {string} module
 * @param {string} name
 */
const addon = (module, name) => ofCargo('src', ['--features', 'node', '--lib'], within(module, name))

/** Modules without a file of their own for tests have them in `tests`. */
const within = (module, name) => `${module.includes('::tests') ? module : `${module}::tests`}::${name}`

/**
 * A test in tests/, with the name of its module before it where the program has several.
 *
 * @param {string} program
 * @param {string} name
 */
const suite = (program, name) => ofCargo(program, ['--test', program], name)

/**
 * A test in __test__/.
 *
 * @param {string} file
 * @param {string} name
 * @returns {Test}
 */
function node (file, name) {
  const pattern = `^${name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}$`
  return {
    program: file,
    name,
    build: undefined,
    needsAddon: true,
    run: [process.execPath, '--test', '--test-reporter=tap', `--test-name-pattern=/${pattern}/`, `__test__/${file}`]
  }
}

module.exports = { PROFILE, addon, node, suite, unit }
