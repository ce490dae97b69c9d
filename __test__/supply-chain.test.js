'use strict'

/*
 * What comes with FlowDB from elsewhere, and what FlowDB does not do: licences, sources and duplicates of crates and
 * packages, no script at installation, no network, no code made of text. The checkers are functions from text to
 * complaints, and are themselves tested on bad samples below.
 */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { readFileSync, readdirSync } = require('node:fs')
const { join, relative } = require('node:path')
const { test } = require('node:test')

const root = join(__dirname, '..')
const read = (file) => readFileSync(join(root, file), 'utf8')
const json = (file) => JSON.parse(read(file))

const CRATES_IO = 'registry+https://github.com/rust-lang/crates.io-index'

/** What we may link into the addon: all let everyone use, change and pass on, and ask for a notice at most. */
const CRATE_LICENCES = new Set(['MIT', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception', 'Unicode-3.0', 'Zlib', 'BSD-3-Clause', 'ISC'])

/** What may be there for development, of which nothing is in the package; the last is of the data of the demo. */
const PACKAGE_LICENCES = new Set(['MIT', 'Apache-2.0', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0', 'PSF-2.0', 'Python-2.0',
  'CC-BY-4.0'])

/** Crates that may be there in several versions, each with its reason. None is. */
const DUPLICATES = new Map([])

/** Packages that run a script when they are installed, each with its reason. */
const INSTALL_SCRIPTS = new Map([
  ['node_modules/classic-level', 'finds its binary; the suite of abstract-level is counted against it'],
  ['node_modules/leveldown', 'builds what flash-store stores in; only its specs are used, which run on FlowDB']
])

const SCRIPTS_AT_INSTALLATION = ['preinstall', 'install', 'postinstall', 'preprepare', 'prepare', 'postprepare', 'dependencies']

/** Modules of Node.js that reach other machines or other processes, or run text as code. */
const REACHING_MODULES = ['http', 'http2', 'https', 'net', 'tls', 'dgram', 'dns', 'child_process', 'cluster', 'vm', 'inspector', 'repl']

/** Whether a licence expression can be met by licences of `allowed`: one side of each OR, both of each AND. */
function isAllowed (expression, allowed) {
  const plain = expression.replaceAll('/', ' OR ').replaceAll(/[()]/g, (bracket) => ` ${bracket} `)
  const tokens = plain.replaceAll(' WITH ', '_WITH_').split(/\s+/).filter(Boolean)
  const either = () => {
    let met = both()
    while (tokens[0] === 'OR') met = [tokens.shift(), both()][1] || met
    return met
  }
  const both = () => {
    let met = one()
    while (tokens[0] === 'AND') met = [tokens.shift(), one()][1] && met
    return met
  }
  const one = () => {
    const token = tokens.shift()
    if (token !== '(') return allowed.has(token?.replaceAll('_WITH_', ' WITH '))
    const met = either()
    tokens.shift()
    return met
  }
  return either() && tokens.length === 0
}

/** What is wrong with the crates that `cargo metadata` lists. */
function crateComplaints (packages) {
  const complaints = []
  const versions = new Map()
  for (const { name, version, source, license } of packages) {
    // Without a source they are ours.
    if (source !== null && source !== CRATES_IO) complaints.push(`${name} ${version} comes from ${source}`)
    if (!license || !isAllowed(license, CRATE_LICENCES)) complaints.push(`${name} ${version} has the licence ${license}`)
    versions.set(name, [...versions.get(name) ?? [], version])
  }
  for (const [name, several] of versions) {
    if (several.length > 1 && !DUPLICATES.has(name)) complaints.push(`${name} is there as ${several.join(', ')}`)
  }
  return complaints
}

/** What is wrong with the packages of a package-lock.json. */
function packageComplaints (lock) {
  return Object.entries(lock.packages).filter(([path]) => path !== '').flatMap(([path, { license, hasInstallScript }]) => [
    ...license && isAllowed(license, PACKAGE_LICENCES) ? [] : [`${path} has the licence ${license}`],
    ...hasInstallScript && !INSTALL_SCRIPTS.has(path) ? [`${path} runs a script when it is installed`] : []
  ])
}

/** What a file of the package does that it should not. */
function reachComplaints (name, text) {
  const code = text.replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/mg, '')
  const required = [...code.matchAll(/\b(?:require|import)\s*\(?\s*['"](?:node:)?([a-z0-9_]+)/g)].map(([, module]) => module)
  return [
    ...required.filter((module) => REACHING_MODULES.includes(module)).map((module) => `${name} requires ${module}`),
    ...[...code.matchAll(/\beval\s*\(|\bnew\s+Function\b|\bfetch\s*\(|\bWebSocket\b|\bXMLHttpRequest\b/g)].map(([what]) => `${name} has ${what}`)
  ]
}

/** What Rust code of the crate does that it should not. */
function rustComplaints (name, text) {
  const code = text.replaceAll(/^\s*\/\/.*$/mg, '')
  const found = code.matchAll(/\bstd::net\b|\bstd::process::Command\b|\bprocess::Command\b|\b(?:Tcp|Udp|Unix)(?:Stream|Listener|Socket|Datagram)\b/g)
  return [...found].map(([what]) => `${name} has ${what}`)
}

function filesWith (extension, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesWith(extension, path)
    return entry.name.endsWith(extension) ? [relative(root, join(root, path))] : []
  })
}

test('every crate comes from crates.io, once, under a licence that lets it be passed on', () => {
  const { stdout, stderr, status } = spawnSync('cargo', ['metadata', '--locked', '--format-version=1', '--all-features'],
    { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 })
  assert.equal(status, 0, stderr)
  const { packages } = JSON.parse(stdout)
  assert.ok(packages.length > 20)

  assert.deepEqual(crateComplaints(packages), [])

  const crate = { name: 'a', version: '1.0.0', source: CRATES_IO, license: 'MIT OR Apache-2.0' }
  assert.deepEqual(crateComplaints([crate]), [])
  assert.equal(crateComplaints([{ ...crate, source: 'git+https://example.org/a' }]).length, 1)
  assert.equal(crateComplaints([{ ...crate, license: 'GPL-3.0' }]).length, 1)
  assert.equal(crateComplaints([{ ...crate, license: null }]).length, 1)
  assert.equal(crateComplaints([crate, { ...crate, version: '2.0.0' }]).length, 1)
})

test('a licence expression is met by one side of each OR and both sides of each AND', () => {
  const allowed = (expression) => isAllowed(expression, new Set(['MIT', 'Unicode-3.0', 'Apache-2.0 WITH LLVM-exception']))

  for (const expression of ['MIT', 'GPL-3.0 OR MIT', 'MIT/GPL-3.0', '(MIT OR GPL-3.0) AND Unicode-3.0',
    'GPL-3.0 OR Apache-2.0 WITH LLVM-exception OR X']) assert.ok(allowed(expression), expression)
  for (const expression of ['', 'GPL-3.0', 'MIT AND GPL-3.0', 'Apache-2.0', '(MIT OR GPL-3.0) AND X', 'MIT X']) {
    assert.ok(!allowed(expression), expression)
  }
})

for (const folder of ['fuzz', 'schedules']) {
  test(`the lock file of ${folder}/ names crates.io only, too`, () => {
    const sources = [...read(`${folder}/Cargo.lock`).matchAll(/^source = "(.*)"$/mg)].map(([, source]) => source)
    assert.deepEqual([...new Set(sources)], [CRATES_IO])
  })
}

test('what is run in schedules/ has the dependencies of the crate', () => {
  const listed = (file) => read(file).match(/^\[dependencies\]\n([^[]*)/m)[1].split('\n').filter(Boolean)
  const [crate, again] = [listed('Cargo.toml'), listed('schedules/Cargo.toml')]

  const ofItsOwn = /^(?:flowdb-derive|napi-build|shuttle) /
  assert.deepEqual(again.filter((line) => !ofItsOwn.test(line)), crate.filter((line) => !ofItsOwn.test(line)))
})

test('every package for development has a licence that we know and runs no script that we do not', () => {
  const lock = json('package-lock.json')

  assert.deepEqual(packageComplaints(lock), [])

  for (const path of INSTALL_SCRIPTS.keys()) assert.ok(lock.packages[path]?.hasInstallScript, `${path} needs no exception any more`)
  const bad = { packages: { 'node_modules/a': { license: 'MIT', hasInstallScript: true }, 'node_modules/b': { license: 'GPL-3.0' }, 'node_modules/c': {} } }
  assert.equal(packageComplaints(bad).length, 3)
})

test('nothing runs when FlowDB is installed', () => {
  const packages = ['package.json', ...readdirSync(join(root, 'npm')).map((platform) => join('npm', platform, 'package.json'))]
  for (const file of packages) {
    const { scripts = {}, bin, gypfile, dependencies } = json(file)
    assert.deepEqual(Object.keys(scripts).filter((name) => SCRIPTS_AT_INSTALLATION.includes(name)), [], file)
    assert.deepEqual([bin, gypfile, dependencies], [undefined, undefined, undefined], file)
  }
})

test('FlowDB reaches no other machine and no other process, and runs no text as code', () => {
  const complaints = ['index.js', ...filesWith('.js', 'lib')].flatMap((file) => reachComplaints(file, read(file)))
  assert.deepEqual(complaints, [])
  assert.deepEqual(filesWith('.rs', 'src').flatMap((file) => rustComplaints(file, read(file))), [])

  for (const text of ["require('node:http')", 'require("net")', "await import('node:vm')", "import 'child_process'", 'eval(text)',
    'new Function(text)', "fetch('x')", 'new WebSocket(url)']) assert.equal(reachComplaints('bad.js', text).length, 1, text)
  assert.deepEqual(reachComplaints('good.js', "// eval(text)\n/* new Function() */ require('./net'), require('node:fs')"), [])
  for (const text of ['use std::net::IpAddr;', 'std::process::Command::new("x")', 'TcpStream::connect(x)']) {
    assert.equal(rustComplaints('bad.rs', text).length, 1, text)
  }
  assert.deepEqual(rustComplaints('good.rs', '// std::net is not for us\nstd::process::abort()'), [])
})
