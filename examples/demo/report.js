'use strict'

/* What the demo shows: a progress bar, numbers a person can read, and the summary. */

const { readdirSync, statSync } = require('node:fs')
const { join } = require('node:path')
const { Presets, SingleBar } = require('cli-progress')

/** Where there is no terminal a line now and then has to do. */
const LINE_INTERVAL_MS = 5000

/** A progress bar over `total` documents. */
function progressBar (total) {
  const bar = new SingleBar({
    format: '  {bar} {percentage} %  {value} of {total} cities, {eta_formatted} left',
    hideCursor: true,
    noTTYOutput: true,
    notTTYSchedule: LINE_INTERVAL_MS,
    formatValue: (value, options, type) => type === 'percentage' ? String(value).padStart(3) : grouped(value)
  }, Presets.shades_classic)
  bar.start(total, 0)
  return bar
}

/** Measures what `step` takes, in seconds beside its result. */
async function timed (step) {
  const started = process.hrtime.bigint()
  const result = await step()
  return { result, seconds: Number(process.hrtime.bigint() - started) / 1e9 }
}

/** The bytes of all files below `folder`. */
function bytesIn (folder) {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name)
    return sum + (entry.isDirectory() ? bytesIn(path) : statSync(path).size)
  }, 0)
}

/** The most memory that this process has had in the machine's memory at one time. */
function peakMemoryBytes () {
  return process.resourceUsage().maxRSS * 1024
}

function grouped (number) {
  return Math.round(number).toLocaleString('en-US')
}

function megabytes (bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

function rate (count, seconds) {
  return `${seconds.toFixed(2)} s, ${grouped(count / seconds)} a second`
}

function printTable (rows) {
  const width = Math.max(...rows.map(([name]) => name.length))
  for (const [name, text] of rows) console.log(`  ${name.padEnd(width)}  ${text}`)
}

module.exports = { bytesIn, grouped, megabytes, peakMemoryBytes, printTable, progressBar, rate, timed }
