'use strict'

/* Results as Markdown. */

const { readFileSync, writeFileSync } = require('node:fs')
const { ratio } = require('./results.js')

/**
 * @typedef {import('./results.js').Results} Results
 * @typedef {import('../families/index.js').Line} Line
 */

/**
 * What is to be shown.
 *
 * @typedef {object} Shown
 * @property {Results} results
 * @property {readonly Line[]} lines
 * @property {readonly string[]} engines
 * @property {string} ours the engine that the others are compared with
 * @property {string} baseline the engine that does nothing
 */

/** @param {number} value */
function short (value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** @param {readonly (readonly string[])[]} rows */
const joined = (rows) => rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/**
 * Figures, each with how far ours is ahead of it.
 *
 * @param {Shown} shown
 */
function figureTable ({ results, lines, engines, ours, baseline }) {
  const columns = engines.filter((engine) => engine !== baseline)
  const peers = columns.filter((engine) => engine !== ours)
  const rows = [
    ['workload', 'unit', ...columns, '× the best peer'],
    ['---', '---', ...columns.map(() => '--:'), '--:']
  ]
  for (const line of lines) {
    if (!columns.some((engine) => isShown(results, line, engine))) continue
    const own = results.figure(ours, line.name)
    const cells = columns.map((engine) => cell(results, line, engine, engine === ours ? undefined : own))
    rows.push([line.name, line.unit, ...cells, best(results, line, own, peers)])
  }
  return joined(rows)
}

/**
 * Whether there is anything to be said of an engine beside that it has no such thing.
 *
 * @param {Results} results
 * @param {Line} line
 * @param {string} engine
 */
function isShown (results, line, engine) {
  return results.figure(engine, line.name) !== undefined || isBad(results, line, engine)
}

/**
 * Whether an engine failed where it should have had a figure.
 *
 * @param {Results} results
 * @param {Line} line
 * @param {string} engine
 */
function isBad (results, line, engine) {
  const kind = results.miss(engine, line.name)?.kind
  return kind === 'failed' || kind === 'wrong'
}

/**
 * @param {Results} results
 * @param {Line} line
 * @param {string} engine
 * @param {number} [ours]
 */
function cell (results, line, engine, ours) {
  const figure = results.figure(engine, line.name)
  if (figure === undefined) return missing(results, line, engine)
  const ahead = ratio(line, ours, figure)
  return ahead === undefined ? short(figure) : `${short(figure)} (${short(ahead)})`
}

/**
 * @param {Results} results
 * @param {Line} line
 * @param {string} engine
 */
function missing (results, line, engine) {
  return isBad(results, line, engine) ? String(results.miss(engine, line.name)?.kind) : '–'
}

/**
 * @param {Results} results
 * @param {Line} line
 * @param {number | undefined} ours
 * @param {readonly string[]} peers
 */
function best (results, line, ours, peers) {
  const ratios = peers.map((engine) => ({ engine, ahead: ratio(line, ours, results.figure(engine, line.name)) }))
  const known = ratios.filter(({ ahead }) => ahead !== undefined)
  if (known.length === 0) return '–'
  const { engine, ahead } = known.reduce((one, other) => Number(other.ahead) < Number(one.ahead) ? other : one)
  return `${short(Number(ahead))} (${engine})`
}

/**
 * Delays of the event loop, those of an idle one last.
 *
 * @param {Shown} shown
 */
function delayTable ({ results, lines, engines, baseline }) {
  const isIdle = (/** @type {string} */ engine) => engine === baseline
  const columns = [...engines.filter((engine) => !isIdle(engine)), ...engines.filter(isIdle)]
  const rows = [['p99 / longest, ms', ...columns], ['---', ...columns.map(() => '--:')]]
  for (const line of lines) {
    if (line.isOfMachine) continue
    const delays = columns.map((engine) => results.delay(engine, line.name))
    if (delays.every((delay) => delay === undefined)) continue
    rows.push([line.name, ...delays.map((delay) => delay === undefined ? '–' : `${short(delay.p99)} / ${short(delay.most)}`)])
  }
  return joined(rows)
}

/**
 * Why there are no figures: a list item for each reason, with the engines that share it.
 *
 * @param {Shown & { families: readonly import('../families/index.js').Family[] }} shown
 */
function missList ({ results, families, engines, baseline }) {
  /** @type {Map<string, string[]>} */
  const enginesOf = new Map()
  for (const engine of engines) {
    if (engine === baseline) continue
    for (const [reason, names] of missesOf(results, families, engine)) {
      const item = `${reason} (${names.join('; ')})`
      enginesOf.set(item, [...enginesOf.get(item) ?? [], engine])
    }
  }
  return Array.from(enginesOf, ([item, names]) => `- **${names.join(', ')}** ${item}`).join('\n')
}

/**
 * The lines that have no figure, by reason; families by their name where all of their lines have none.
 *
 * @param {Results} results
 * @param {readonly import('../families/index.js').Family[]} families
 * @param {string} engine
 * @returns {Map<string, string[]>}
 */
function missesOf (results, families, engine) {
  const verbs = { wrong: 'gave a wrong answer', failed: 'failed', cannot: 'can\'t be measured' }
  /** @type {Map<string, string[]>} */
  const all = new Map()
  for (const { name, lines } of families) {
    /** @type {Map<string, string[]>} */
    const own = new Map()
    for (const line of lines) {
      const miss = results.miss(engine, line.name)
      if (miss === undefined) continue
      const reason = `${verbs[miss.kind]}: ${oneLine(miss.reason)}`
      own.set(reason, [...own.get(reason) ?? [], line.name])
    }
    for (const [reason, names] of own) {
      all.set(reason, [...all.get(reason) ?? [], ...names.length === lines.length ? [`all of ${name}`] : names])
    }
  }
  return all
}

/** @param {string} text */
const oneLine = (text) => text.replace(/\s+/g, ' ').replace(/[|<>]/g, ' ').trim().slice(0, 200)

/**
 * Puts a text between the two comments of a page that name it.
 *
 * @param {string} page
 * @param {string} name
 * @param {string} text
 */
function replaceSection (page, name, text) {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->`]
  const whole = readFileSync(page, 'utf8')
  const [from, to] = [whole.indexOf(begin), whole.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${page} lacks ${begin.trim()} and ${end}`)
  writeFileSync(page, `${whole.slice(0, from)}${begin}\n${text}\n\n${whole.slice(to)}`)
}

exports.delayTable = delayTable
exports.figureTable = figureTable
exports.missList = missList
exports.replaceSection = replaceSection
exports.short = short
