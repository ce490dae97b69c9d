'use strict'

/* The command: FlowDB in Node.js beside its peers. README.md says what is measured and how. */

const { appendFileSync, mkdirSync, readFileSync, writeFileSync } = require('node:fs')
const os = require('node:os')
const { dirname, join } = require('node:path')
const { NAMES, adapterOf } = require('./adapters/index.js')
const { FAMILIES } = require('./families/index.js')
const { chart } = require('./lib/charts.js')
const { readOptions } = require('./lib/options.js')
const { Results } = require('./lib/results.js')
const { runAll, whyNotHere } = require('./lib/runs.js')
const { delayTable, figureTable, missList, replaceSection } = require('./lib/table.js')

const OURS = 'flowdb'
const BASELINE = 'idle'

const LINES = FAMILIES.flatMap(({ lines }) => lines)

/** The charts, each of the lines of some families. */
const CHARTS = [
  { file: 'node-puts.svg', title: 'Puts, batches and deletions', families: ['puts, relaxed', 'puts, strict'] },
  { file: 'node-reads.svg', title: 'One store: reading, opening, memory and space', families: ['base', 'reopening'] },
  { file: 'node-documents.svg', title: 'Documents', families: ['documents', 'documents with indexes', 'IndexedDB style'] }
]

async function main () {
  const options = readOptions(process.argv.slice(2), NAMES)
  if (options.list) return list()
  const results = new Results()
  /** @type {any} */
  let about
  if (options.from === undefined) about = await measure(options, results)
  else about = read(options.from, results)
  const engines = about.engines
  const shown = { results, lines: LINES, engines, ours: OURS, baseline: BASELINE }
  const text = [
    described(about), figureTable(shown), 'Delay of the event loop, of which about 1 ms is the time between two looks at it:',
    delayTable(shown), missList({ ...shown, families: FAMILIES })
  ].filter((part) => part !== '').join('\n\n')
  console.log(`\n${text}`)
  if (options.markdown !== undefined) write(options.markdown, text, results, engines)
  return exitCode(results, engines)
}

/**
 * @param {import('./lib/options.js').Options} options
 * @param {Results} results
 */
async function measure (options, results) {
  const { preset, entries, valueBytes, seconds, rounds, engines } = options
  const adapters = engines.map(adapterOf)
  const broken = engines.includes(OURS) ? whyNotHere(adapterOf(OURS)) : undefined
  if (broken !== undefined) throw new Error(`FlowDB can't be loaded: run \`npm run build\` first (${broken})`)
  const versions = Object.fromEntries(adapters.map((adapter) => [adapter.name, versionOf(adapter)]))
  const about = { about: true, preset, entries, valueBytes, seconds, rounds, engines, versions, machine: machine() }
  if (options.out !== undefined) writeFileSync(options.out, '')
  const put = (/** @type {object} */ line) => {
    if (options.out !== undefined) appendFileSync(options.out, `${JSON.stringify(line)}\n`)
  }
  put(about)
  await runAll(options, FAMILIES, adapters, {
    row: (row) => {
      results.add(row)
      put(row)
    },
    note: (text) => console.error(text)
  })
  for (const summary of results.summaries(engines, LINES, OURS)) put(summary)
  return about
}

/**
 * @param {string} file of `--out`
 * @param {Results} results
 */
function read (file, results) {
  const lines = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
  const about = lines.find((line) => line.about)
  if (about === undefined) throw new Error(`${file} does not say what was measured: it is no file of --out`)
  for (const line of lines) if (!line.about && !line.summary) results.add(line)
  return about
}

/** @param {import('./adapters/index.js').Adapter} adapter */
function versionOf (adapter) {
  if (adapter.package === undefined) return undefined
  try {
    return JSON.parse(readFileSync(join(__dirname, 'node_modules', adapter.package, 'package.json'), 'utf8')).version
  } catch {
    return undefined
  }
}

/** What there is to say of the machine, without its name. */
function machine () {
  return {
    node: process.versions.node,
    processors: os.availableParallelism(),
    model: os.cpus()[0]?.model,
    gibibytes: Math.round(os.totalmem() / 2 ** 30),
    platform: os.platform()
  }
}

/** @param {any} about */
function described ({ entries, valueBytes, rounds, seconds, machine, versions }) {
  const { node, processors, model, gibibytes, platform } = machine
  const peers = Object.entries(versions).filter(([, version]) => version !== undefined)
  return `Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${seconds} s a line, ${entries} entries of 16 + ${valueBytes} bytes, ` +
    `Node.js ${node}, ${processors} processors (${model}), ${gibibytes} GiB of memory, ${platform}. In parentheses: how many ` +
    `times FlowDB is ahead. Versions: ${peers.map(([name, version]) => `${name} ${version}`).join(', ')}.`
}

/**
 * @param {string} page
 * @param {string} text
 * @param {Results} results
 * @param {string[]} engines
 */
function write (page, text, results, engines) {
  const dir = join(dirname(page), 'benchmarks')
  const links = []
  for (const { file, title, families } of CHARTS) {
    const lines = FAMILIES.filter(({ name }) => families.includes(name)).flatMap(({ lines }) => lines)
    const svg = chart({ title, results, lines, engines: engines.filter((engine) => engine !== BASELINE), ours: OURS })
    if (svg === undefined) continue
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, file), svg)
    links.push(`![${title}](benchmarks/${file})`)
  }
  replaceSection(page, 'node benchmark', [text, ...links].join('\n\n'))
}

/**
 * A wrong answer fails the run, and so does anything that FlowDB fails at; a peer that fails does not.
 *
 * @param {Results} results
 * @param {readonly string[]} engines
 */
function exitCode (results, engines) {
  const fails = (/** @type {string} */ engine, /** @type {string} */ line) => {
    const kind = results.miss(engine, line)?.kind
    return kind === 'wrong' || (kind === 'failed' && engine === OURS)
  }
  return engines.some((engine) => LINES.some(({ name }) => fails(engine, name))) ? 1 : 0
}

function list () {
  console.log(`Engines: ${NAMES.join(', ')}`)
  for (const { name, lines } of FAMILIES) console.log(`${name}:\n${lines.map((line) => `  ${line.name}`).join('\n')}`)
  return 0
}

main().then(
  (code) => { process.exitCode = code },
  (error) => {
    console.error(error.message)
    process.exitCode = 2
  }
)
