'use strict'

/*
 * Running programs for the scripts beside this file: one place that knows how npm, cargo and the programs of
 * node_modules are started, and how a failure is told.
 *
 * Invariant: nothing here needs an installed package, because the first thing it runs may be `npm ci`.
 */

const { spawnSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const { delimiter, join } = require('node:path')
const os = require('node:os')

const root = join(__dirname, '..')

/** A failure that has been explained: its message is all that the reader needs, a stack would only hide it. */
class Failure extends Error {}

/**
 * Runs a program in the repository, with its output going to the terminal.
 *
 * @param {string} what what is being done, for the message of a failure
 * @param {string} program
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, shell?: boolean }} [options]
 */
function run (what, program, args, { env = {}, shell = false } = {}) {
  const { error, status, signal } = spawnSync(program, args, {
    cwd: root,
    env: { ...process.env, ...env },
    shell,
    stdio: ['ignore', 'inherit', 'inherit']
  })
  const command = [program, ...args].join(' ')
  if (error) throw new Failure(`${what} failed: ${command} could not be started (${error.message})`)
  if (signal) throw new Failure(`${what} failed: ${command} was ended by ${signal}`)
  if (status !== 0) throw new Failure(`${what} failed: ${command} ended with code ${status}`)
}

/** Runs a program and returns what it printed, or `undefined` where there is no such program or it fails. */
function output (program, args) {
  const { error, status, stdout } = spawnSync(program, args, { cwd: root, encoding: 'utf8' })
  return error || status !== 0 ? undefined : stdout
}

/** Runs npm: the one that started us where there is one, so that its version and settings stay the same. */
function npm (what, args) {
  const running = process.env.npm_execpath
  if (running && /\.c?js$/.test(running)) return run(what, process.execPath, [running, ...args])
  // On Windows npm is a batch file, which only a shell can start.
  run(what, 'npm', args, { shell: process.platform === 'win32' })
}

/** Runs a program that a package of node_modules brings, given as the path of its JavaScript file. */
function tool (what, file, args, options) {
  run(what, process.execPath, [join(root, 'node_modules', file), ...args], options)
}

/** A terminal that was open while Rust was installed does not have cargo in its PATH yet: look where it goes. */
function findCargo () {
  if (output('cargo', ['--version'])) return
  const bin = join(process.env.CARGO_HOME || join(os.homedir(), '.cargo'), 'bin')
  if (existsSync(bin)) process.env.PATH = bin + delimiter + process.env.PATH
}

/** Ends the process with the message of a failure, or with the stack of anything unexpected. */
function main (script) {
  try {
    script()
  } catch (error) {
    console.error(error instanceof Failure ? `\n${error.message}` : error)
    process.exit(1)
  }
}

module.exports = { Failure, findCargo, main, npm, output, root, run, tool }
