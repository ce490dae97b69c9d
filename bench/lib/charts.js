'use strict'

/*
 * Bar charts as SVG: for each line a group of bars, the best engine as long as the chart is wide. Drawn by hand,
 * because a bar is a rectangle and two texts.
 */

const { short } = require('./table.js')

const WIDTH = 760
const LABEL_WIDTH = 130
const BAR_WIDTH = 480
const ROW_HEIGHT = 16
const TITLE_HEIGHT = 24
const GAP = 12
const MARGIN = 16

const COLOURS = { background: '#ffffff', text: '#1b1f24', ours: '#0b6bcb', others: '#9aa7b5' }

/** @param {string} text */
const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

/**
 * @param {number} x
 * @param {number} y
 * @param {string} content
 * @param {string} [attributes]
 */
const textAt = (x, y, content, attributes = '') => {
  return `<text x="${x}" y="${y}" fill="${COLOURS.text}"${attributes}>${escape(content)}</text>`
}

/**
 * @param {object} chart
 * @param {string} chart.title
 * @param {import('./results.js').Results} chart.results
 * @param {readonly import('../families/index.js').Line[]} chart.lines
 * @param {readonly string[]} chart.engines
 * @param {string} chart.ours the engine that stands out
 * @returns {string | undefined} `undefined` where there is nothing to be drawn
 */
function chart ({ title, results, lines, engines, ours }) {
  const parts = []
  let y = MARGIN + TITLE_HEIGHT
  for (const line of lines) {
    if (line.isOfMachine) continue
    const bars = barsOf(results, line, engines)
    if (bars.length === 0) continue
    parts.push(textAt(MARGIN, y + ROW_HEIGHT - 4, `${line.name} (${line.unit})`, ' font-weight="600"'))
    y += TITLE_HEIGHT - 2
    for (const bar of bars) {
      parts.push(...drawn(bar, y, bar.engine === ours))
      y += ROW_HEIGHT
    }
    y += GAP
  }
  if (parts.length === 0) return undefined
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" ` +
    'font-family="system-ui, sans-serif" font-size="12" role="img">'
  return [
    head,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${y}" fill="${COLOURS.background}"/>`,
    textAt(MARGIN, MARGIN + 10, title, ' font-size="15" font-weight="700"'),
    ...parts,
    '</svg>\n'
  ].join('\n')
}

/**
 * The engines that have a figure, the best first. A bar is as long as the engine is good, also where less is better.
 *
 * @param {import('./results.js').Results} results
 * @param {import('../families/index.js').Line} line
 * @param {readonly string[]} engines
 */
function barsOf (results, { name, better }, engines) {
  const figures = engines.map((engine) => ({ engine, figure: results.figure(engine, name) ?? NaN }))
  const known = figures.filter(({ figure }) => figure > 0)
  const goodness = (/** @type {{ figure: number }} */ { figure }) => better === 'more' ? figure : 1 / figure
  const most = Math.max(...known.map(goodness))
  return known.map((bar) => ({ ...bar, part: goodness(bar) / most })).sort((one, other) => other.part - one.part)
}

/**
 * @param {{ engine: string, figure: number, part: number }} bar
 * @param {number} y
 * @param {boolean} isOurs
 */
function drawn ({ engine, figure, part }, y, isOurs) {
  const width = Math.max(1, Math.round(part * BAR_WIDTH))
  const colour = isOurs ? COLOURS.ours : COLOURS.others
  return [
    textAt(MARGIN + LABEL_WIDTH - 8, y + ROW_HEIGHT - 4, engine, ` text-anchor="end"${isOurs ? ' font-weight="600"' : ''}`),
    `<rect x="${MARGIN + LABEL_WIDTH}" y="${y + 2}" width="${width}" height="${ROW_HEIGHT - 4}" fill="${colour}"/>`,
    textAt(MARGIN + LABEL_WIDTH + width + 6, y + ROW_HEIGHT - 4, short(figure))
  ]
}

exports.chart = chart
