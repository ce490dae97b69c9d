'use strict'

/* What the tests of the facades share: temporary folders, open databases, child processes, random numbers. */

const { spawn } = require('node:child_process')
const { existsSync, mkdtempSync, readFileSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const { FlashStore, FlowDB } = require('..')

const PROGRAM_MS_MAX = 60_000

/** How to close what tests have open, by the test. @type {WeakMap<object, (() => Promise<void>)[]>} */
const closings = new WeakMap()

/** Those of a test. They are called before its folders go, because hooks run in the order they are given. */
function closingsOf (t) {
  if (!closings.has(t)) {
    const all = []
    closings.set(t, all)
    t.after(() => Promise.all(all.map((close) => close())))
  }
  return closings.get(t)
}

/** The same thing, closed after the test. */
function closedAfter (t, thing, close = () => thing.close()) {
  closingsOf(t).push(close)
  return thing
}

/** A folder that is gone after the test, once what is `closedAfter` it has been closed. */
function temporary (t) {
  closingsOf(t)
  const folder = mkdtempSync(join(tmpdir(), 'flowdb-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  return folder
}

/**
 * The same in memory where the system has that, for what syncs much and is not about the disk. A process that dies
 * leaves in it what it would leave in the page cache.
 */
function temporaryInMemory (t) {
  const memory = '/dev/shm'
  const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'flowdb-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  return folder
}

/** A database in memory with stores `{ name: keyPath }`, closed after the test. */
async function openInMemory (t, stores = {}) {
  const db = FlowDB.open({ inMemory: true })
  t.after(() => db.close())
  for (const [name, keyPath] of Object.entries(stores)) await db.createObjectStore(name, keyPath)
  return db
}

/** A FlashStore in memory, closed after the test. */
function flashInMemory (t) {
  const store = new FlashStore({ inMemory: true })
  t.after(() => store.close())
  return store
}

/**
 * A folder that is gone after the test, and a function that opens a FlashStore in it, closed before that.
 */
function flashOnDisk (t) {
  const stores = []
  // Hooks run in the order they are given.
  t.after(() => Promise.all(stores.map((store) => store.close())))
  const folder = temporary(t)
  const open = (options = {}) => {
    stores.push(new FlashStore({ dataDir: folder, ...options }))
    return stores.at(-1)
  }
  return { folder, open }
}

/**
 * Runs a JavaScript program in a process of its own: a file in the folder of programs, that of __test__ where no other
 * is given, with arguments in `process.argv`.
 */
function runProgram (program, args = [], { flags = [], programs = join(__dirname, 'programs'), ...hooks } = {}) {
  return runCommand(process.execPath, [...flags, join(programs, program), ...args], hooks)
}

/** Runs a command until it ends, and gathers what it prints. The hooks get the child, which they may kill. */
function runCommand (command, args, { onStart = () => {}, onOutput = () => {}, msMax = PROGRAM_MS_MAX } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), msMax)
    onStart(child)
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      onOutput(output, child)
    })
    child.stderr.setEncoding('utf8').on('data', (text) => { errors += text })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, output, errors })
    })
  })
}

/** Collects garbage, without a flag on the command line. */
const collectGarbage = (() => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
})()

/** Everything that an async iterable gives. */
async function gathered (iterable) {
  const all = []
  for await (const item of iterable) all.push(item)
  return all
}

/** A promise's error, or a failure of the test when there is none. */
async function errorOf (promise) {
  let value
  try {
    value = await promise
  } catch (error) {
    return error
  }
  throw new Error(`it resolved to ${value} and should have rejected`)
}

/**
 * For how many milliseconds this thread has run. Where the system tells that, time in which it was put aside for others
 * does not count.
 */
function msRun () {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6
  } catch {
    return performance.now()
  }
}

/** How long the longest turn of the event loop took until a promise was settled. */
async function longestTurnUntil (promise) {
  let isSettled = false
  const settled = promise.finally(() => { isSettled = true })
  let longest = 0
  let last = msRun()
  while (!isSettled) {
    await new Promise((resolve) => setImmediate(resolve))
    const now = msRun()
    longest = Math.max(longest, now - last)
    last = now
  }
  await settled
  return longest
}

/** The seed of a test's random numbers, printed and taken back. */
function seedOf (t) {
  const seed = Number(process.env.FLOWDB_SEED ?? Date.now() % 2 ** 32)
  t.diagnostic(`FLOWDB_SEED=${seed}`)
  return seed
}

/** A generator of random numbers (mulberry32). */
function randomSource (seed) {
  let state = seed >>> 0
  const next = () => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, state | 1)
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61)
    return (mixed ^ mixed >>> 14) >>> 0
  }
  const below = (bound) => next() % bound
  const pick = (choices) => choices[below(choices.length)]
  const list = (lengthMax, each) => Array.from({ length: below(lengthMax + 1) }, each)
  return { next, below, pick, list }
}

/** Only the choices below a bound of such a generator. */
const randomFrom = (seed) => randomSource(seed).below

module.exports = {
  closedAfter, collectGarbage, errorOf, flashInMemory, flashOnDisk, gathered, longestTurnUntil, openInMemory,
  randomFrom, randomSource, runCommand, runProgram, seedOf, temporary, temporaryInMemory
}
