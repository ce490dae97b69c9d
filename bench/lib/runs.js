'use strict'

/* Runs families on engines: each stage in a process of its own, whose end, whatever it is, ends nothing else. */

const { fork } = require('node:child_process')
const { join } = require('node:path')
const { freshDir, removeDir } = require('./files.js')

const CHILD = join(__dirname, '..', 'child.js')

/** So much of what a process says on its error output is kept. */
const SAID_MAX = 2000

/**
 * @typedef {import('./options.js').Options} Options
 * @typedef {import('./results.js').Row} Row
 * @typedef {import('../families/index.js').Family} Family
 * @typedef {import('../adapters/index.js').Adapter} Adapter
 * @typedef {{ cannot?: string, failed?: string, wrong?: string }} Miss
 */

/**
 * Whether an engine can be loaded here, and if not, why.
 *
 * @param {Adapter} adapter
 * @returns {string | undefined}
 */
function whyNotHere (adapter) {
  try {
    adapter.load()
    return undefined
  } catch (error) {
    return `it is not installed here: ${String(/** @type {any} */ (error).message).split('\n')[0]}`
  }
}

/**
 * All rounds of all families on all engines, in turns; each second round has them the other way round.
 *
 * @param {Options} options
 * @param {readonly Family[]} families
 * @param {readonly Adapter[]} adapters
 * @param {{ row: (row: Row) => void, note: (text: string) => void }} to
 */
async function runAll (options, families, adapters, to) {
  const notHere = new Map(adapters.map((adapter) => [adapter.name, whyNotHere(adapter)]))
  /** Engines that gave a wrong answer: nothing more is asked of them. @type {Map<string, string>} */
  const wrong = new Map()
  for (let round = 1; round <= options.rounds; round++) {
    for (const family of families) {
      const wanted = linesOf(family, options)
      if (wanted.length === 0) continue
      const order = round % 2 === 1 ? adapters : [...adapters].reverse()
      for (const adapter of order) {
        const engine = adapter.name
        const tell = (/** @type {any} */ told) => to.row({ engine, round, ...told })
        const cannot = notHere.get(engine) ?? whyNot(adapter, family)
        if (cannot !== undefined || wrong.has(engine)) {
          const why = cannot === undefined ? { failed: `its run ended: ${wrong.get(engine)}` } : { cannot }
          for (const line of wanted) tell({ line, ...why })
          continue
        }
        const started = performance.now()
        await runFamily(adapter, family, options, wanted, (told) => {
          if (told.wrong !== undefined) wrong.set(engine, `${told.line}: ${told.wrong}`)
          tell(told)
        })
        to.note(`round ${round}: ${family.name}, ${engine}: ${((performance.now() - started) / 1000).toFixed(1)} s`)
      }
    }
  }
}

/**
 * @param {Family} family
 * @param {Pick<Options, 'only'>} options
 */
function linesOf ({ lines }, { only }) {
  const names = lines.map(({ name }) => name)
  return only.length === 0 ? names : names.filter((name) => only.some((part) => name.includes(part)))
}

/**
 * Why an engine can't do the work of a family.
 *
 * @param {Adapter} adapter
 * @param {Family} family
 * @returns {string | undefined}
 */
function whyNot (adapter, { facet }) {
  if (adapter[facet] !== undefined) return undefined
  const reasons = {
    open: 'it is no store of keys and values',
    openPeople: 'it has no secondary indexes',
    openRequests: 'only what is like IndexedDB is compared',
    reopenings: 'only FlashStore\'s like are compared'
  }
  return adapter.cannot?.[facet] ?? reasons[facet]
}

/**
 * The stages of a family, until one does not end well. Every wanted line is told once.
 *
 * @param {Adapter} adapter
 * @param {Family} family
 * @param {Options} options
 * @param {readonly string[]} wanted
 * @param {(told: any) => void} tell
 */
async function runFamily (adapter, family, options, wanted, tell) {
  const { entries, valueBytes, seconds, fillSeconds } = options
  const dir = freshDir(join(options.dir, `flowdb-bench-${process.pid}`))
  const missing = new Set(wanted)
  /** @type {Miss | undefined} */
  let miss
  try {
    for (let stage = 0; stage < family.stages.length && miss === undefined && missing.size > 0; stage++) {
      const scale = { entries, valueBytes, seconds, fillSeconds }
      const job = { engine: adapter.name, family: family.name, stage, dir, scale, only: options.only }
      miss = await runStage(job, options.timeout, (told) => {
        if (missing.delete(told.line)) tell(told)
      })
    }
  } finally {
    removeDir(dir)
  }
  // A wrong answer belongs to the line that gave it; for the others the run was over.
  const rest = miss?.wrong === undefined ? miss : { failed: `its run ended: ${miss.wrong}` }
  for (const line of missing) tell({ line, ...rest ?? { failed: 'it told nothing' } })
}

/**
 * @param {object} job
 * @param {number} timeout in seconds
 * @param {(told: any) => void} tell
 * @returns {Promise<Miss | undefined>} what went wrong
 */
function runStage (job, timeout, tell) {
  return new Promise((resolve) => {
    const child = fork(CHILD, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let said = ''
    /** @type {Miss | undefined} */
    let ended
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, timeout * 1000)
    child.stderr?.setEncoding('utf8').on('data', (text) => { said = `${said}${text}`.slice(-SAID_MAX) })
    child.on('message', (/** @type {any} */ message) => {
      if (message.told !== undefined) tell(message.told)
      else ended = message.ended
    })
    child.on('error', (error) => { ended = { failed: error.message } })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (isLate) resolve({ failed: `it took more than ${timeout} s` })
      else if (ended === undefined) resolve({ failed: `its process ended with ${signal ?? code}: ${lastError(said)}` })
      else resolve(Object.keys(ended).length > 0 ? ended : undefined)
    })
    child.send(job, () => {})
  })
}

/** @param {string} said */
function lastError (said) {
  const lines = said.split('\n').map((line) => line.trim()).filter((line) => line !== '')
  return lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'it said nothing'
}

exports.linesOf = linesOf
exports.runAll = runAll
exports.whyNotHere = whyNotHere
