'use strict'

/*
 * Makes a fresh clone ready to run: packages and the native addon. `npm test` and `npm run demo` start here, so
 * they need no command before them.
 *
 * Invariant: it does nothing that has been done already. A stamp holds the hash of what each step was made from;
 * hashes and not times, because a checkout, a copy or a cache restores files with times that mean nothing.
 */

const { createHash } = require('node:crypto')
const { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs')
const { dirname, join } = require('node:path')
const { Failure, findCargo, main, npm, output, root, tool } = require('./steps')

/** The oldest Node.js that the build tools run on; the built package itself is content with any 20. */
const NODE_OLDEST = [20, 17]

/** In `node_modules` beside the lock file that the packages there are of. */
const PACKAGES_STAMP = '.flowdb-packages'
const ADDON_STAMP = join(root, 'target', 'flowdb-addon.json')

/** What the addon is made from, beside every file in src/. */
const ADDON_SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'package.json', 'scripts/setup.js']

/**
 * Does what is left to do, and says so; returns at once where nothing is.
 *
 * @param {{ rust?: boolean, build?: boolean, integration?: boolean }} [options] `rust`: Rust is needed even when the
 *   addon is up to date; `build`: build the addon even when it is up to date; `integration`: the packages that are
 *   tested on the adapters are needed too.
 */
function setUp ({ rust = false, build = false, integration = false } = {}) {
  checkNode()
  // Before the packages, which take longer: who has no Rust should not have to wait for that news.
  const stale = build || !addonIsCurrent()
  if (rust || stale) checkRust()
  installPackages('.')
  if (integration) installPackages('integration')
  if (stale) buildAddon()
}

function checkNode () {
  if (isOlder(process.versions.node, NODE_OLDEST)) {
    throw new Failure(`FlowDB needs Node.js ${NODE_OLDEST.join('.')} or newer to build, and this is ` +
      `${process.versions.node}: install a current one from https://nodejs.org and run this command again.`)
  }
}

function checkRust () {
  const needed = /^rust-version = "(\d+)\.(\d+)"/m.exec(read('Cargo.toml')).slice(1).map(Number)
  findCargo()
  // Run and not only looked for: with rustup, either may be there without a toolchain behind it.
  const found = output('cargo', ['--version']) && /^rustc (\S+)/.exec(output('rustc', ['--version']) ?? '')?.[1]
  if (found && !isOlder(found, needed)) return
  throw new Failure(`FlowDB builds its engine with Rust ${needed.join('.')} or newer, and this machine has ` +
    `${found ? `Rust ${found}` : 'no Rust'}: ${found ? 'update it with `rustup update stable`' : 'install it'} ` +
    '(https://rustup.rs) and run this command again.')
}

function isOlder (version, [major, minor]) {
  const [foundMajor, foundMinor] = version.split('.').map(Number)
  return foundMajor < major || (foundMajor === major && foundMinor < minor)
}

/**
 * Installs the packages of a folder, unless those are there that its lock file says.
 *
 * @param {string} folder
 */
function installPackages (folder) {
  const stamp = join(root, folder, 'node_modules', PACKAGES_STAMP)
  const wanted = hash([join(folder, 'package-lock.json')])
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  console.log(`Installing packages${folder === '.' ? '' : ` of ${folder}`} (npm ci) …`)
  // Everything here is a development dependency, which NODE_ENV=production would leave out. None of them needs
  // its install scripts, so none may run them.
  const options = ['--prefix', folder, '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  npm('Installing packages', ['ci', ...options])
  writeFileSync(stamp, wanted)
}

function addonIsCurrent () {
  if (!existsSync(ADDON_STAMP) || !existsSync(join(root, 'native.js'))) return false
  const { sources, outputs } = JSON.parse(readFileSync(ADDON_STAMP, 'utf8'))
  return sources === sourcesHash() && outputs === outputsHash()
}

function sourcesHash () {
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    // Windows writes the same path with other slashes; the hash need only hold on one machine.
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
  return hash([...ADDON_SOURCES, ...sources.sort()], process.platform, process.arch)
}

function outputsHash () {
  const addons = readdirSync(root).filter((name) => name.endsWith('.node'))
  return addons.length === 0 ? undefined : hash([...addons.sort(), 'native.js', 'native.d.ts'])
}

function buildAddon () {
  console.log('Building the native addon (the first build takes some minutes) …')
  const args = ['build', '--platform', '--release', '--features', 'node', '--js', 'native.js', '--dts', 'native.d.ts']
  // An addon of another platform, copied here with the folder, would count as an output of this build.
  for (const name of readdirSync(root)) if (name.endsWith('.node')) rmSync(join(root, name))
  tool('Building the native addon', '@napi-rs/cli/dist/cli.js', [...args, '--', '--locked'])
  mkdirSync(dirname(ADDON_STAMP), { recursive: true })
  writeFileSync(ADDON_STAMP, JSON.stringify({ sources: sourcesHash(), outputs: outputsHash() }))
}

function hash (files, ...words) {
  const digest = createHash('sha256')
  for (const word of words) digest.update(word)
  for (const file of files) {
    const bytes = existsSync(join(root, file)) ? readFileSync(join(root, file)) : Buffer.alloc(0)
    digest.update(`\n${file} ${bytes.length}\n`).update(bytes)
  }
  return digest.digest('hex')
}

function read (file) {
  return readFileSync(join(root, file), 'utf8')
}

module.exports = { setUp }

if (require.main === module) main(() => setUp({ build: process.argv.includes('--build') }))
