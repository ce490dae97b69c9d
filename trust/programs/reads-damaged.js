'use strict'

/*
 * Damages a database again and again and reads all of it. Prints `try N` before each trial, so that one that crashes is
 * known, and behind all what came out, as JSON.
 */

const { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { readDamaged } = require('../damage-base')
const { KINDS } = require('../damage-kinds')
const { randomSource } = require('../../__test__/support')

const [baseFolder, workFolder, seedText, first, count] = process.argv.slice(2)
const expected = JSON.parse(readFileSync(join(baseFolder, 'expected.json'), 'utf8'))
const dataDir = join(baseFolder, 'db')
const whole = new Map(readdirSync(dataDir).map((name) => [name, readFileSync(join(dataDir, name))]))

/** Writes the files of a damaged database into a new folder. */
function lay (folder, files) {
  mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
}

async function main () {
  const outcomes = {}
  const wrong = []
  for (let trial = Number(first); trial < Number(first) + Number(count); trial++) {
    process.stdout.write(`try ${trial}\n`)
    const random = randomSource(Number(seedText) + trial * 7919)
    const kind = Object.keys(KINDS)[trial % Object.keys(KINDS).length]
    const files = new Map(whole)
    const name = KINDS[kind](files, random)
    const folder = join(workFolder, `trial ${trial}`)
    lay(folder, files)
    const outcome = await readDamaged(folder, expected, random)
    rmSync(folder, { recursive: true })
    const counts = outcomes[kind] ??= { right: 0, corruption: 0, wrong: 0 }
    counts[outcome in counts ? outcome : 'wrong']++
    if (!(outcome in counts)) wrong.push(`trial ${trial}, ${kind} (${name}): ${outcome}`)
  }
  process.stdout.write(JSON.stringify({ outcomes, wrong }))
}

main()
