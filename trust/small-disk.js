'use strict'

/*
 * Runs a program with a file system that is soon full: a tmpfs of a few megabytes, mounted in a namespace of its own,
 * which is gone with the program, whatever becomes of it; or with files that are limited in their size (RLIMIT_FSIZE)
 * while the disk is to be full, which needs no rights and refuses writes in the same way.
 *
 * A tmpfs needs `unshare`, and root or user namespaces that anybody may make; the limit needs `prlimit`. Both are
 * programs of util-linux.
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

const NONE = 'no way to a disk that is full: it takes `prlimit` of util-linux, or `unshare` of it with root or with user ' +
  'namespaces that anybody may make (sysctl user.max_user_namespaces, and kernel.unprivileged_userns_clone where there is one)'

/** The ways that work here: the first for a tmpfs, and the limit; or only what `FLOWDB_SMALL_DISK` asks for. */
function findWays (folder) {
  const wanted = process.env.FLOWDB_SMALL_DISK ?? 'tmpfs limit'
  const ways = wanted.split(' ').map((wantedHow) => WAYS.find(({ how, begin }) => {
    if (how !== wantedHow) return false
    const [command, ...args] = begin('65536', folder)
    return spawnSync(command, [...args, 'true']).status === 0
  })).filter((way) => way !== undefined)
  if (ways.length === 0) throw new Error(NONE)
  return ways
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

module.exports = { findWays, runOnSmallDisk }
