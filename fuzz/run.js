'use strict'

/*
 * Runs every target for some time, one after the other, each from its corpus, and prints what came of it:
 * `node fuzz/run.js --seconds 3600 [target …]`. It needs a nightly toolchain and cargo-fuzz.
 *
 * Inputs that reach something new go to `fuzz/found`, which is not kept; with `--keep` to the corpus, which is then
 * made as small as one of its reach can be. An input that fails stays in `fuzz/artifacts`; it ends with 1 if there was
 * one.
 */

const { spawnSync } = require('node:child_process')
const { mkdirSync, readdirSync } = require('node:fs')
const { join } = require('node:path')
const { parseArgs } = require('node:util')
const { Failure, main } = require('../scripts/steps')

const ROOT = join(__dirname, '..')

/** Longer inputs reach nothing that shorter ones don't. */
const INPUT_BYTES_MAX = 4096

/** What a target may take, in megabytes: the budget that a small input must not reach, whatever it says. */
const MEMORY_MB_MAX = 2048

/** An input that takes longer is a finding. */
const INPUT_SECONDS_MAX = 60

const { values: { seconds, keep }, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '60' }, keep: { type: 'boolean', default: false } }
})

const TARGETS = readdirSync(join(__dirname, 'fuzz_targets')).map((file) => file.replace(/\.rs$/, '')).sort()

/**
 * @param {string[]} args of cargo-fuzz
 * @returns {{ status: number | null, text: string }}
 */
function fuzz (args) {
  const { status, stderr, error } = spawnSync('cargo', ['+nightly', 'fuzz', ...args], {
    cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 30, stdio: ['ignore', 'ignore', 'pipe']
  })
  if (error) throw error
  return { status, text: stderr }
}

/** @param {string} target */
function run (target) {
  const [found, corpus] = [join(__dirname, 'found', target), join(__dirname, 'corpus', target)]
  mkdirSync(found, { recursive: true })
  const start = Date.now()
  const limits = [
    `-max_total_time=${Number(seconds)}`, `-max_len=${INPUT_BYTES_MAX}`, `-rss_limit_mb=${MEMORY_MB_MAX}`,
    `-timeout=${INPUT_SECONDS_MAX}`, '-print_final_stats=1'
  ]
  const { status, text } = fuzz(['run', target, ...(keep ? [] : [found]), corpus, '--', ...limits])
  const number = (/** @type {RegExp} */ pattern) => Number(text.match(pattern)?.[1] ?? 0)
  const result = {
    target,
    executions: number(/stat::number_of_executed_units: (\d+)/),
    seconds: Math.round((Date.now() - start) / 1000),
    edges: Number([...text.matchAll(/ cov: (\d+)/g)].at(-1)?.[1] ?? 0),
    findings: status === 0 ? 0 : 1
  }
  if (status !== 0) console.error(text.slice(-4000))
  if (status === 0 && keep) fuzz(['cmin', target, corpus])
  return result
}

/** Builds all targets, so that what can't be built is no finding of one of them. */
function build () {
  const { status, text } = fuzz(['build'])
  if (status === 0) return
  if (/no such command|toolchain .* is not installed/.test(text)) {
    throw new Failure('This needs a nightly toolchain and cargo-fuzz: `rustup toolchain install nightly` and `cargo install cargo-fuzz`.')
  }
  throw new Failure(`The targets can't be built:\n${text.slice(-4000)}`)
}

function runAll () {
  const unknown = positionals.filter((name) => !TARGETS.includes(name))
  if (unknown.length > 0) throw new Failure(`no such target: ${unknown}. There are ${TARGETS.join(', ')}`)
  build()
  const results = (positionals.length > 0 ? positionals : TARGETS).map((target) => {
    const result = run(target)
    console.log(JSON.stringify(result))
    return result
  })
  console.table(results)
  process.exitCode = results.some(({ findings }) => findings > 0) ? 1 : 0
}

main(runAll)
