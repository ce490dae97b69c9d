'use strict'

/*
 * Runs a program with a file system that is soon full: a tmpfs of a few megabytes, mounted in a namespace of its own,
 * which is gone with the program, whatever becomes of it. Where neither root nor anybody may mount, files of the
 * program are limited in their size (RLIMIT_FSIZE) while the disk is to be full, which refuses writes in the same way.
 */

const { spawnSync } = require('node:child_process')
const { join } = require('node:path')
const { runCommand } = require('../__test__/support')

const MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'

/** What may be found on a machine, best first. Each is what a command begins with. */
const WAYS = [
  { how: 'tmpfs', what: 'a tmpfs in a user namespace', begin: (bytes, folder) => ['unshare', '-rm', 'sh', '-c', MOUNT, 'sh', bytes, folder] },
  { how: 'tmpfs', what: 'a tmpfs in a mount namespace', begin: (bytes, folder) => ['unshare', '-m', 'sh', '-c', MOUNT, 'sh', bytes, folder] },
  { how: 'limit', what: 'a limit on the size of files', begin: () => ['prlimit', '--fsize=unlimited'] }
]

/** The first way that works here, or the one that `FLOWDB_SMALL_DISK` asks for. */
function findWay (folder) {
  const wanted = process.env.FLOWDB_SMALL_DISK
  const way = WAYS.find(({ how, begin }) => {
    if (wanted !== undefined && how !== wanted) return false
    const [command, ...args] = begin('65536', folder)
    return spawnSync(command, [...args, 'true']).status === 0
  })
  if (way === undefined) throw new Error('no way to a disk that is full: neither unshare nor prlimit works here')
  return way
}

/**
 * Runs a file of trust/programs with the arguments folder, how the disk becomes full (`tmpfs` or `limit`), and
 * `args`. Resolves to what `runProgram` does.
 */
function runOnSmallDisk (way, bytes, folder, program, args) {
  const [command, ...before] = way.begin(String(bytes), folder)
  const whole = [process.execPath, join(__dirname, 'programs', program), folder, way.how, ...args]
  return runCommand(command, [...before, ...whole], { msMax: 180_000 })
}

module.exports = { findWay, runOnSmallDisk }
