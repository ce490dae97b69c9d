'use strict'

/*
 * Every JavaScript snippet of README.md, docs/series.md, docs/flashstore.md, docs/flashstore-sync.md, docs/adapters/
 * and docs/flowdb/ runs as it is written, in a folder of its own where `require('flowdb')` finds this package. A
 * snippet says in comments (`// → value`) what it prints, and the test holds it to that.
 */

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const root = join(__dirname, '..')
const TIMEOUT_MS = 60_000

/** The ```js snippets of a page, with the heading each stands under. */
function snippetsOf (page) {
  const snippets = []
  let heading = ''
  for (const [, title, code] of page.matchAll(/^#+ (.+)$|^```js\n([^]*?)^```$/mg)) {
    if (title) heading = title
    else snippets.push({ heading, code })
  }
  return snippets
}

/** What a snippet says that it prints, line by line. */
function promisedBy (code) {
  return [...code.matchAll(/\/\/ → (.*)$/mg)].map(([, text]) => text.trim())
}

/** The packages that a snippet needs. */
function packagesIn (code) {
  const named = [...code.matchAll(/(?:\bfrom |\brequire\()'(?!node:)([^'/]+)/g)].map(([, name]) => name)
  return new Set(['flowdb', ...named])
}

/** Those that are tested on the adapters, in the versions that integration/ names. */
const integrated = Object.keys(require('../integration/package.json').dependencies)

/** Where a package is: this one, one that is tested on its adapters, or one that it is developed with. */
function placeOf (name) {
  if (name === 'flowdb') return root
  return join(root, integrated.includes(name) ? 'integration/node_modules' : 'node_modules', name)
}

async function runSnippet (code) {
  const folder = mkdtempSync(join(tmpdir(), 'flowdb-readme-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    for (const name of packagesIn(code)) {
      symlinkSync(placeOf(name), join(folder, 'node_modules', name), 'junction')
    }
    const isModule = /^import /m.test(code)
    const file = join(folder, isModule ? 'snippet.mjs' : 'snippet.js')
    writeFileSync(file, code)
    const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder, timeout: TIMEOUT_MS })
    return stdout.split('\n').filter((line) => line !== '')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const pagesIn = (folder) => readdirSync(join(root, folder)).map((page) => `${folder}/${page}`)
const parts = [...pagesIn('docs/flowdb'), ...pagesIn('docs/adapters')]
const ofFlashStore = ['docs/flashstore.md', 'docs/flashstore-sync.md']
const pages = ['README.md', 'docs/series.md', ...ofFlashStore, ...parts]
const snippets = pages.flatMap((page) => snippetsOf(readFileSync(join(root, page), 'utf8')))

test('the README has snippets, and the check finds them', () => {
  assert.ok(snippets.length >= 2)
  const page = '# A\ntext\n```js\nlet a\n```\n## B\n```sh\nnpm test\n```\n```js\nlet b // → 1\n```\n'
  assert.deepEqual(snippetsOf(page), [{ heading: 'A', code: 'let a\n' }, { heading: 'B', code: 'let b // → 1\n' }])
  assert.deepEqual(promisedBy('let b // → 1\n'), ['1'])
})

test('a snippet for a package that integration/ installs runs with that one', () => {
  assert.equal(placeOf('keyv'), join(root, 'integration/node_modules/keyv'))
  assert.equal(placeOf('unstorage'), join(root, 'integration/node_modules/unstorage'))
  assert.equal(placeOf('abstract-level'), join(root, 'node_modules/abstract-level'))
})

for (const { heading, code } of snippets) {
  test(`the snippet under "${heading}" does what it says`, async () => {
    assert.deepEqual(await runSnippet(code), promisedBy(code))
  })
}
