'use strict'

/* What holds for the repository itself: it builds anywhere from the public registries, and its pages lead somewhere. */

const assert = require('node:assert/strict')
const { existsSync, readFileSync, readdirSync } = require('node:fs')
const { dirname, join, relative } = require('node:path')
const { test } = require('node:test')

const root = join(__dirname, '..')
const read = (file) => readFileSync(join(root, file), 'utf8')
const json = (file) => JSON.parse(read(file))

const SKIPPED = new Set(['node_modules', 'target', '.git', '.demo'])

/** The files of the repository whose names end with `extension`. */
function filesWith (extension, folder = root) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : filesWith(extension, path)
    return entry.name.endsWith(extension) ? [relative(root, path)] : []
  })
}

/** What is wrong with a package-lock.json: an address ties it to one registry, a gap makes `npm ci` refuse it. */
function lockComplaints (lock) {
  const complaints = []
  const paths = Object.keys(lock.packages)
  for (const [path, { resolved, integrity, dependencies, optionalDependencies }] of Object.entries(lock.packages)) {
    if (resolved) complaints.push(`${path} names an address`)
    if (path !== '' && !integrity) complaints.push(`${path} has no checksum`)
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      if (!paths.some((other) => other.endsWith(`node_modules/${name}`))) complaints.push(`${path} lacks ${name}`)
    }
  }
  return complaints
}

test('package-lock.json is complete and names no registry', () => {
  for (const folder of ['', 'bench/', 'integration/']) {
    const lock = `${folder}package-lock.json`
    assert.deepEqual(lockComplaints(json(lock)), [], lock)
  }

  const bad = { packages: { 'node_modules/a': { resolved: 'https://x', dependencies: { b: '1' } } } }
  assert.equal(lockComplaints(bad).length, 3, 'the check itself must see what is wrong')
})

test('Cargo.lock names the public registry only', () => {
  const sources = [...read('Cargo.lock').matchAll(/^source = "(.*)"$/mg)].map(([, source]) => source)
  assert.ok(sources.length > 0)
  assert.deepEqual([...new Set(sources)], ['registry+https://github.com/rust-lang/crates.io-index'])
})

test('.npmrc holds neutral settings only', () => {
  for (const file of ['.npmrc', 'bench/.npmrc', 'integration/.npmrc']) {
    assert.deepEqual(read(file).trim().split('\n'), ['omit-lockfile-registry-resolved=true'], file)
  }
})

test('the package needs nothing at run time, and the crate and the package agree', () => {
  const { dependencies, version, name, license } = json('package.json')
  assert.equal(dependencies, undefined)
  const cargo = read('Cargo.toml')
  for (const line of [`name = "${name}"`, `version = "${version}"`, `license = "${license}"`]) {
    assert.ok(cargo.includes(line), `Cargo.toml lacks ${line}`)
  }
  assert.ok(read('CHANGELOG.md').includes(`[${version}]`), 'the changelog does not know this version')
})

test('every platform has its package, at the version of this one', () => {
  const { version, napi } = json('package.json')
  const packages = readdirSync(join(root, 'npm')).map((platform) => json(join('npm', platform, 'package.json')))

  assert.equal(packages.length, napi.targets.length)
  for (const { name, version: its } of packages) assert.equal(its, version, name)
})

test('every link between the pages leads to a file', () => {
  const broken = []
  for (const page of filesWith('.md')) {
    for (const [, target] of read(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      if (!existsSync(join(root, dirname(page), target))) broken.push(`${page}: ${target}`)
    }
  }
  assert.deepEqual(broken, [])
})

test('every decision has a number of its own', () => {
  const numbers = readdirSync(join(root, 'docs', 'decisions')).map((file) => /^(\d{4})-[a-z0-9-]+\.md$/.exec(file)?.[1])
  assert.ok(numbers.every(Boolean), 'a page of docs/decisions/ is not called 0001-what-was-decided.md')
  assert.equal(new Set(numbers).size, numbers.length)
})
