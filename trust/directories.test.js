'use strict'

/* The directory of a database: who may read what is made in it, and which links are followed. */

const assert = require('node:assert/strict')
const { lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { test } = require('node:test')
const { FlashStoreSync, FlashStore, FlowDB } = require('..')
const { runProgram, temporary } = require('../__test__/support')

const programs = join(__dirname, 'programs')

const modeOf = (path) => statSync(path).mode & 0o777
const isUnix = process.platform !== 'win32'

/** A database with every kind of file in it. */
async function fill (dataDir) {
  const db = FlowDB.open({ dataDir, valueThresholdBytes: 1000 })
  await db.createObjectStore('rows', 'id')
  await db.put('rows', { id: 1, text: 'x'.repeat(5000) })
  await db.compact()
  await db.put('rows', { id: 2 })
  return db
}

if (isUnix) {
  test('files are made for their owner only, whatever the umask, and a directory that is there keeps its rights', async (t) => {
    const folder = temporary(t)
    const { code, errors } = await runProgram('makes-files.js', [folder], { programs })
    assert.equal(code, 0, errors)
    for (const path of ['new', 'new/db', 'new/store', 'new/map', 'new/copy']) assert.equal(modeOf(join(folder, path)), 0o700, path)
    for (const name of ['new/db', 'new/store', 'new/map', 'new/copy', 'there']) {
      const files = readdirSync(join(folder, name))
      assert.ok(files.length >= 3, `${name}: ${files}`)
      for (const file of files) assert.equal(modeOf(join(folder, name, file)), 0o600, `${name}/${file}`)
    }
    assert.equal(modeOf(join(folder, 'there')), 0o755)
  })

  test('two ways to one directory, of which one leads through a link, are one database', async (t) => {
    const folder = temporary(t)
    mkdirSync(join(folder, 'real'))
    symlinkSync(join(folder, 'real'), join(folder, 'link'))
    const db = await fill(join(folder, 'real', 'db'))
    const other = FlowDB.open({ dataDir: join(folder, 'link', '..', 'link', 'db'), valueThresholdBytes: 1000 })
    await other.put('rows', { id: 3 })
    assert.deepEqual(await db.get('rows', 3), { id: 3 })
    await Promise.all([db.close(), other.close()])
    assert.ok(lstatSync(join(folder, 'link')).isSymbolicLink())
  })

  test('a link in the place of a file is not followed', async (t) => {
    const outside = join(temporary(t), 'outside')
    writeFileSync(outside, 'of somebody else')
    for (const name of ['LOCK', 'CURRENT']) {
      const dataDir = join(temporary(t), 'db')
      mkdirSync(dataDir)
      symlinkSync(outside, join(dataDir, name))
      const ways = [FlashStore, FlashStoreSync].map((Store) => () => Store.open(dataDir))
      for (const open of [() => FlowDB.open({ dataDir }).ready, ...ways]) {
        await assert.rejects(open(), ({ code }) => code === 'FLOWDB_IO' || code === 'FLOWDB_CORRUPTION', name)
      }
      assert.equal(readFileSync(outside, 'utf8'), 'of somebody else', name)
    }
  })

  test('removing a database leaves what links in its directory lead to, and what is not its own', async (t) => {
    const folder = temporary(t)
    const outside = join(folder, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, '000099.tbl'), 'of somebody else')
    const dataDir = join(folder, 'db')
    await (await fill(dataDir)).close()
    symlinkSync(join(outside, '000099.tbl'), join(dataDir, '000099.tbl'))
    symlinkSync(outside, join(dataDir, 'more'))
    writeFileSync(join(dataDir, 'notes.txt'), 'mine')
    await FlowDB.destroy({ dataDir })
    assert.equal(readFileSync(join(outside, '000099.tbl'), 'utf8'), 'of somebody else')
    assert.deepEqual(readdirSync(dataDir).filter((name) => name !== '000099.tbl').sort(), ['more', 'notes.txt'])
  })
}

test('a directory that can\'t be a database gives a typed error', async (t) => {
  const folder = temporary(t)
  writeFileSync(join(folder, 'file'), '')
  await assert.rejects(FlowDB.open({ dataDir: join(folder, 'file') }).ready, { code: 'FLOWDB_IO' })
  await assert.rejects(FlowDB.open({ dataDir: join(folder, 'file', 'below') }).ready, { code: 'FLOWDB_IO' })
  if (isUnix) {
    symlinkSync(join(folder, 'loop'), join(folder, 'loop'))
    await assert.rejects(FlowDB.open({ dataDir: join(folder, 'loop') }).ready, { code: 'FLOWDB_IO' })
  }
  await assert.rejects(FlowDB.open({ dataDir: join(folder, 'x'.repeat(300)) }).ready, { code: 'FLOWDB_IO' })
})
