'use strict'

/* What an engine's files take, and putting them out of the memory of the operating system. */

const { spawnSync } = require('node:child_process')
const { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statSync } = require('node:fs')
const { join } = require('node:path')

const BLOCK_BYTES = 512

/** @param {string} dir */
function filesIn (dir) {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name))
}

/**
 * What the blocks of all files take.
 *
 * @param {string} dir
 */
function diskBytes (dir) {
  let bytes = 0
  for (const file of filesIn(dir)) {
    const { blocks, size } = statSync(file)
    // Windows tells no blocks.
    bytes += process.platform === 'win32' ? size : blocks * BLOCK_BYTES
  }
  return bytes
}

/**
 * Makes the next opening read from the disk. It needs `dd` of the GNU core utilities; other systems keep what they
 * have.
 *
 * @param {string} dir
 */
function evict (dir) {
  for (const file of filesIn(dir)) {
    const descriptor = openSync(file, 'r')
    fsyncSync(descriptor)
    closeSync(descriptor)
    spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none'], { stdio: 'ignore' })
  }
}

/**
 * An empty directory.
 *
 * @param {string} dir
 */
function freshDir (dir) {
  removeDir(dir)
  mkdirSync(dir, { recursive: true })
  return dir
}

/** @param {string} dir */
const removeDir = (dir) => rmSync(dir, { recursive: true, force: true, maxRetries: 3 })

exports.diskBytes = diskBytes
exports.evict = evict
exports.freshDir = freshDir
exports.removeDir = removeDir
