'use strict'

/*
 * `node scripts/schedules.js`: runs the tests that look at many orders of the steps of threads (schedules/), and says
 * how many orders that were. FLOWDB_SCHEDULES=10 looks at ten times as many.
 */

const { spawnSync } = require('node:child_process')
const { join } = require('node:path')
const { Failure, findCargo, main, root } = require('./steps')

/** So many are looked at at least, whenever everything is tested. */
const SCHEDULES_MIN = 100_000

function runSchedules () {
  findCargo()
  const target = process.env.CARGO_TARGET_DIR || join(root, 'target')
  const args = ['test', '--locked', '--manifest-path', 'schedules/Cargo.toml', '--target-dir', target, '--lib', 'schedules::', '--', '--nocapture']
  const { status, error, stdout } = spawnSync('cargo', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] })
  if (error) throw new Failure(`cargo could not be started (${error.message})`)
  const counted = [...stdout.matchAll(/^schedules: (\d+) in .*$/mg)]
  if (status !== 0) throw new Failure(`${stdout.slice(-20_000)}\nA schedule has failed; docs/testing.md says how to run it again.`)
  for (const [line] of counted) console.log(line)
  const count = counted.reduce((sum, [, count]) => sum + Number(count), 0)
  console.log(`schedules: ${count} in all, of ${counted.length} tests`)
  if (count < SCHEDULES_MIN) throw new Failure(`That is less than ${SCHEDULES_MIN}.`)
}

module.exports = { runSchedules }

if (require.main === module) main(runSchedules)
