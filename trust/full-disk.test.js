'use strict'

/*
 * A file system that fills up under load, in every way that can be had here: a small one, and a limit on the size of
 * files. `FLOWDB_FULL_DISKS` says how often; `FLOWDB_SMALL_DISK` asks for one way (`tmpfs` or `limit`).
 * This is for Linux; on the simulated disk (tests/engine_crash) the same goes for every system.
 */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { findWays, runOnSmallDisk } = require('./small-disk')
const { seedOf, temporary } = require('../__test__/support')

const ROUNDS = Number(process.env.FLOWDB_FULL_DISKS ?? 10)
const SIDE_BY_SIDE = 2
const DISK_BYTES = 16 << 20
/** What the system says where there is no room, by how that is had. */
const CAUSES = { tmpfs: ['ENOSPC'], limit: ['EFBIG'] }

if (process.platform === 'linux') {
  test('a full disk refuses writes with a typed error and takes them again in the same process; reads, opening and what was acknowledged don\'t suffer', async (t) => {
    const seed = seedOf(t)
    const ways = findWays(temporary(t))
    const totals = { refused: 0, refusedWhileFull: 0, retriedAfterwards: 0, refusedClose: 0 }
    let round = 0
    const runInTurn = async () => {
      while (round < ROUNDS) {
        const number = round++
        const way = ways[number % ways.length]
        const args = [String(seed + number), ['strict', 'strict', 'relaxed', 'relaxed'][number % 4], number % 8 < 4 ? 'stays' : 'reopens']
        const where = `FLOWDB_SEED=${seed}, round ${number} (${way.what}, ${args.slice(1)})`
        const { code, signal, output, errors } = await runOnSmallDisk(way, DISK_BYTES, temporary(t), 'fills-a-disk.js', args)
        assert.deepEqual({ code, signal, errors }, { code: 0, signal: null, errors: '' }, where)
        const met = JSON.parse(output)
        assert.deepEqual(Object.keys(met.causes), CAUSES[way.how], where)
        for (const name of ['refusedWhileFull', 'retriedAfterwards', 'refusedClose']) totals[name] += met[name]
        totals.refused += met.refused.FLOWDB_IO
      }
    }
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, runInTurn))
    const how = ways.map(({ what }) => what).join(' and ')
    t.diagnostic(`full disks: ${ROUNDS}, by ${how}, acknowledged writes lost: 0 ${JSON.stringify(totals)}`)
  })
}
