'use strict'

/* What the rounds gave: medians, spreads and ratios. */

/** @typedef {import('../families/index.js').Line} Line */

/**
 * A line of JSON of the output. The kind of miss stands first where there is one.
 *
 * @typedef {object} Row
 * @property {string} engine
 * @property {string} line
 * @property {number} [round]
 * @property {number} [value]
 * @property {number} [delayP99Ms]
 * @property {number} [delayMaxMs]
 * @property {string} [cannot]
 * @property {string} [failed]
 * @property {string} [wrong]
 */

/** Reasons for which there is no figure, the gravest first. */
const MISSES = /** @type {const} */ (['wrong', 'failed', 'cannot'])

/**
 * @param {readonly number[]} values
 * @param {number} part
 */
function quantile (values, part) {
  const sorted = [...values].sort((one, other) => one - other)
  const at = (sorted.length - 1) * part
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  return below + (above - below) * (at - Math.floor(at))
}

/** @param {readonly number[]} values */
const median = (values) => quantile(values, 0.5)

class Results {
  /** @type {Map<string, Row[]>} */
  #rows = new Map()

  /** @param {Row} row */
  add (row) {
    const key = `${row.engine}\n${row.line}`
    const rows = this.#rows.get(key)
    if (rows === undefined) this.#rows.set(key, [row])
    else rows.push(row)
  }

  /**
   * @param {string} engine
   * @param {string} line
   * @returns {readonly Row[]}
   */
  rows (engine, line) {
    return this.#rows.get(`${engine}\n${line}`) ?? []
  }

  /**
   * The median, unless a round had none.
   *
   * @param {string} engine
   * @param {string} line
   * @returns {number | undefined}
   */
  figure (engine, line) {
    const values = this.rows(engine, line).map(({ value }) => value)
    if (values.length === 0 || values.includes(undefined)) return undefined
    return median(/** @type {number[]} */ (values))
  }

  /**
   * Why there is no figure.
   *
   * @param {string} engine
   * @param {string} line
   * @returns {{ kind: typeof MISSES[number], reason: string } | undefined}
   */
  miss (engine, line) {
    for (const kind of MISSES) {
      const row = this.rows(engine, line).find((row) => row[kind] !== undefined)
      if (row !== undefined) return { kind, reason: String(row[kind]) }
    }
    return undefined
  }

  /**
   * The delay of the event loop: the median of the 99th percentiles, and the longest of all rounds.
   *
   * @param {string} engine
   * @param {string} line
   * @returns {{ p99: number, most: number } | undefined}
   */
  delay (engine, line) {
    const rows = this.rows(engine, line).filter(({ delayP99Ms }) => delayP99Ms !== undefined)
    if (rows.length === 0) return undefined
    return {
      p99: median(rows.map(({ delayP99Ms }) => Number(delayP99Ms))),
      most: Math.max(...rows.map(({ delayMaxMs }) => Number(delayMaxMs)))
    }
  }

  /**
   * A line of JSON for each engine and line: the median, the spread, and how far ours is ahead of it.
   *
   * @param {readonly string[]} engines
   * @param {readonly Line[]} lines
   * @param {string} ours
   */
  summaries (engines, lines, ours) {
    const summaries = []
    for (const line of lines) {
      for (const engine of engines) {
        const figure = this.figure(engine, line.name)
        if (figure === undefined) continue
        const values = this.rows(engine, line.name).map(({ value }) => Number(value))
        summaries.push({
          summary: true,
          engine,
          line: line.name,
          unit: line.unit,
          rounds: values.length,
          median: figure,
          least: Math.min(...values),
          quarter: quantile(values, 0.25),
          threeQuarters: quantile(values, 0.75),
          most: Math.max(...values),
          ratio: ratio(line, this.figure(ours, line.name), figure)
        })
      }
    }
    return summaries
  }
}

/**
 * How far `ours` is ahead: more than 1 means that it is, also where less is better.
 *
 * @param {Pick<Line, 'better' | 'isOfMachine'>} line
 * @param {number | undefined} ours
 * @param {number | undefined} other
 * @returns {number | undefined}
 */
function ratio ({ better, isOfMachine }, ours, other) {
  if (isOfMachine || ours === undefined || other === undefined) return undefined
  return better === 'more' ? ours / other : other / ours
}

exports.Results = Results
exports.median = median
exports.quantile = quantile
exports.ratio = ratio
