'use strict'

/* What `npm test` and `npm run demo` do before they do anything: nothing twice, and one clear sentence without Rust. */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { delimiter, dirname, join } = require('node:path')
const { test } = require('node:test')

const root = join(__dirname, '..')

/** A fresh clone as far as set-up can see, on a machine whose PATH has only Node and what `programs` print. */
function freshClone (t, programs = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'flowdb-clone-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const file of ['scripts', 'Cargo.toml', 'package.json', 'package-lock.json']) {
    cpSync(join(root, file), join(folder, file), { recursive: true })
  }
  mkdirSync(join(folder, 'src'))
  mkdirSync(join(folder, 'bin'))
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\necho '${text}'\n`)
    chmodSync(join(folder, 'bin', name), 0o755)
  }
  return folder
}

function run (folder, script) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'scripts', script)], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: join(folder, 'bin') + delimiter + dirname(process.execPath), HOME: folder, USERPROFILE: folder }
  })
  return { status, stdout, stderr: stderr.trim() }
}

/** Node may live where Rust does (`/usr/bin`); then a machine without Rust can't be played. */
const rustBesideNode = spawnSync('cargo', ['--version'], { env: { PATH: dirname(process.execPath) } }).status === 0

for (const script of rustBesideNode ? [] : ['run-tests.js', 'run-demo.js']) {
  test(`without Rust, ${script} says what to install and stops`, (t) => {
    const { status, stderr } = run(freshClone(t), script)

    assert.equal(status, 1)
    assert.match(stderr, /^FlowDB builds its engine with Rust 1\.88 or newer, and this machine has no Rust: install it /)
    assert.match(stderr, /https:\/\/rustup\.rs/)
    assert.equal(stderr.split('\n').length, 1, 'one sentence is enough')
  })
}

if (process.platform !== 'win32') {
  test('with a Rust that is too old, set-up says which one there is and how to update it', (t) => {
    const programs = { cargo: 'cargo 1.87.0 (99624be96 2025-05-06)', rustc: 'rustc 1.87.0 (17067e9ac 2025-05-09)' }

    const { status, stderr } = run(freshClone(t, programs), 'setup.js')

    assert.equal(status, 1)
    assert.match(stderr, /this machine has Rust 1\.87\.0: update it with `rustup update stable`/)
  })
}

test('set-up that has nothing to do says nothing and does nothing', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'setup.js')], { encoding: 'utf8' })

  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' })
})
