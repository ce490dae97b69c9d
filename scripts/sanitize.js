'use strict'

/*
 * `node scripts/sanitize.js address|miri`: runs the tests of what is unsafe or read without locks under the address
 * sanitizer or the interpreter Miri, which end a test at the first byte that it must not touch, and tell of what nobody
 * frees. It needs a nightly toolchain, and says what else.
 *
 * Each kind has a target directory of its own, because all that it compiles is compiled differently.
 */

const { spawnSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const { join } = require('node:path')
const { Failure, findCargo, main, output, root } = require('./steps')

/** What is asked of cargo, and the beginnings of the names of tests. */
const KINDS = {
  address: {
    rustflags: '-Zsanitizer=address',
    env: { ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1' },
    runs: [
      [['--lib'], ['memtable::', 'chunk::', 'shared_bytes::', 'frame::', 'sstable::cache::']],
      [['--test', 'engine_concurrent'], []]
    ]
  },
  miri: {
    command: ['miri', 'test'],
    // Seeds come from the environment and the clock.
    env: { MIRIFLAGS: '-Zmiri-disable-isolation' },
    runs: [
      [['--lib'], ['memtable::arena::', 'chunk::', 'coding::', 'jsondb::key::range::', 'jsondb::key::tests::second_encodings']]
    ]
  }
}

/** @param {string} kind */
function checkTools (kind) {
  findCargo()
  const version = output('rustc', ['+nightly', '-vV'])
  const sysroot = output('rustc', ['+nightly', '--print', 'sysroot'])?.trim()
  if (!version || !sysroot) throw new Failure('This needs a nightly toolchain: rustup toolchain install nightly')
  const hasSources = existsSync(join(sysroot, 'lib/rustlib/src/rust/library'))
  if (kind === 'miri' && !hasSources) throw new Failure('This needs rust-src: rustup component add rust-src --toolchain nightly')
  if (kind === 'miri' && !output('cargo', ['+nightly', 'miri', '--version'])) {
    throw new Failure('This needs Miri: rustup component add miri --toolchain nightly')
  }
  return /^host: (.*)$/m.exec(version)?.[1] ?? ''
}

/** @param {string} kind */
function sanitize (kind) {
  if (!Object.hasOwn(KINDS, kind)) throw new Failure(`node scripts/sanitize.js ${Object.keys(KINDS).join('|')}`)
  const host = checkTools(kind)
  const { rustflags, command = ['test'], env, runs } = KINDS[kind]
  const target = join(process.env.CARGO_TARGET_DIR || join(root, 'target'), kind)
  const flags = rustflags ? { RUSTFLAGS: `${rustflags} --cfg sanitized` } : {}
  for (const [what, names] of runs) {
    const start = Date.now()
    const { status, error, stdout } = spawnSync('cargo', [
      '+nightly', ...command, '--locked', '--target', host, '--target-dir', target, ...what, '--', ...names
    ], { cwd: root, encoding: 'utf8', env: { ...process.env, ...flags, ...env }, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] })
    if (error) throw new Failure(`cargo could not be started (${error.message})`)
    if (status !== 0) throw new Failure(`${stdout.slice(-20_000)}\n${kind}: a finding, or a test that failed, in ${what.join(' ')}`)
    const [, passed, seconds] = /^test result: ok\. (\d+) passed.* finished in ([\d.]+)s$/m.exec(stdout) ?? []
    if (!(Number(passed) > 0)) throw new Failure(`${stdout.slice(-2000)}\n${kind}: no test has run of ${what.join(' ')} ${names}`)
    const built = Math.round((Date.now() - start) / 1000 - Number(seconds))
    console.log(`${kind}: ${passed} tests of ${what.join(' ')} in ${seconds} s without a finding, after ${built} s of compiling`)
  }
}

main(() => sanitize(process.argv[2]))
