'use strict'

/*
 * A file system that fills up under load. `FLOWDB_FULL_DISKS` says how often; how a full disk is had here is printed.
 * This is for Linux; on the simulated disk (tests/engine_crash) the same goes for every system.
 */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { findWay, runOnSmallDisk } = require('./small-disk')
const { seedOf, temporary } = require('../__test__/support')

const ROUNDS = Number(process.env.FLOWDB_FULL_DISKS ?? 10)
const SIDE_BY_SIDE = 2
const DISK_BYTES = 16 << 20
/** What the system says where there is no room, by how that is had. */
const CAUSES = { tmpfs: ['ENOSPC'], limit: ['EFBIG'] }

if (process.platform === 'linux') {
  test('a full disk refuses writes with a typed error and takes them again in the same process; reads, opening and what was acknowledged don\'t suffer', async (t) => {
    const seed = seedOf(t)
    const way = findWay(temporary(t))
    t.diagnostic(`full by ${way.what}`)
    const totals = { refused: 0, refusedWhileFull: 0, retriedAfterwards: 0, refusedClose: 0 }
    let round = 0
    const runInTurn = async () => {
      while (round < ROUNDS) {
        const number = round++
        const args = [String(seed + number), ['strict', 'relaxed'][number % 2], number % 4 < 2 ? 'stays' : 'reopens']
        const where = `FLOWDB_SEED=${seed}, round ${number} (${args.slice(1)})`
        const { code, signal, output, errors } = await runOnSmallDisk(way, DISK_BYTES, temporary(t), 'fills-a-disk.js', args)
        assert.deepEqual({ code, signal, errors }, { code: 0, signal: null, errors: '' }, where)
        const met = JSON.parse(output)
        assert.deepEqual(Object.keys(met.causes), CAUSES[way.how], where)
        for (const name of ['refusedWhileFull', 'retriedAfterwards', 'refusedClose']) totals[name] += met[name]
        totals.refused += met.refused.FLOWDB_IO
      }
    }
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, runInTurn))
    t.diagnostic(`${ROUNDS} rounds: ${JSON.stringify(totals)}`)
  })
}
