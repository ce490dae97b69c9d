'use strict'

/*
 * `npm run check`: everything that a change has to pass, cheapest first, each step with its time. It stops at the
 * first failure.
 */

const { existsSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { Failure, main, npm, output, root, run, tool } = require('./steps')
const { setUp } = require('./setup')

const STRICT_DOCS = { RUSTDOCFLAGS: '-D warnings' }

/** The committed declarations, read before set-up may write them anew. */
let declarations

const steps = [
  ['set-up', () => {
    declarations = readDeclarations()
    setUp({ rust: true })
  }],
  ['declarations of the addon are the committed ones', checkDeclarations],
  ['Rust formatting', () => {
    needComponent('rustfmt', ['fmt', '--version'])
    run('Rust formatting', 'cargo', ['fmt', '--all', '--check'])
  }],
  ['JavaScript style', () => tool('JavaScript style', 'eslint/bin/eslint.js', ['--max-warnings=0'])],
  ['types of lib/ and of index.d.ts', () => tool('Types', 'typescript/bin/tsc', ['-p', '.'])],
  ['clippy, all targets', () => {
    needComponent('clippy', ['clippy', '--version'])
    clippy(['--workspace', '--all-targets'])
  }],
  ['clippy, the addon', () => clippy(['--lib', '--features', 'node,derive'])],
  ['Rust documentation', () => rustdoc([])],
  ['Rust documentation, private items and the addon too', () => rustdoc(['--document-private-items', '--features', 'node'])],
  ['npm test', () => npm('npm test', ['test'])]
]

function readDeclarations () {
  const file = join(root, 'native.d.ts')
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function checkDeclarations () {
  if (readDeclarations() === declarations) return
  throw new Failure('native.d.ts is not what the Rust code declares. The build has just written the right one: ' +
    'look at the difference, commit it, and run this command again.')
}

function needComponent (component, probe) {
  if (output('cargo', probe)) return
  throw new Failure(`This step needs ${component}: install it with \`rustup component add ${component}\` and run ` +
    'this command again.')
}

function clippy (args) {
  run('clippy', 'cargo', ['clippy', '--locked', ...args, '--', '-D', 'warnings'])
}

function rustdoc (args) {
  run('Rust documentation', 'cargo', ['doc', '--locked', '--no-deps', '--workspace', '--lib', ...args], { env: STRICT_DOCS })
}

main(() => {
  const started = Date.now()
  for (const [name, step] of steps) {
    console.log(`\n── ${name}`)
    const stepStarted = Date.now()
    step()
    console.log(`── ${name}: ok, ${seconds(stepStarted)} s`)
  }
  console.log(`\nEverything is clean, ${seconds(started)} s in all.`)
})

function seconds (since) {
  return ((Date.now() - since) / 1000).toFixed(1)
}
