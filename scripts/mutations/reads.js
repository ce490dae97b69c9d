'use strict'

/* Faults in what readers of the engine see: snapshots, range tombstones, expiry, the bounds and the order of scans. */

const { suite, unit } = require('./tests')

const MODEL = suite('engine_model', 'every_history_reads_as_an_ordered_map_would')

module.exports = [
  {
    name: 'lookups do not ask for the range tombstones of tables',
    file: 'src/engine/read.rs',
    from: 'let covered = covering(table.range_tombstones(), key, snapshot);',
    to: 'let covered = 0;',
    tests: [MODEL]
  },
  {
    name: 'scans do not ask for the range tombstones of level 1',
    file: 'src/engine/read.rs',
    from: 'if view.version.has_range_tombstones(level) {',
    to: 'if level > 1 && view.version.has_range_tombstones(level) {',
    tests: [MODEL]
  },
  {
    name: 'of two snapshots of one moment the first that closes ends both',
    file: 'src/engine/snapshot.rs',
    from: 'if *count == 0 {',
    to: 'if *count <= 1 {',
    tests: [unit('engine::snapshot', 'what_two_snapshots_of_one_moment_see_stays_until_both_have_closed')]
  },
  {
    name: 'a scan backwards passes over deletions once it has come to keys that none covers',
    file: 'src/iter/holes.rs',
    from: '(Clear::UpTo(start), Travel::Backward) => entry.key >= start.as_slice(),',
    to: '(Clear::UpTo(_), Travel::Backward) => true,',
    tests: [suite('engine_ranges', 'a_scan_leaps_over_a_deleted_range_in_both_directions'), MODEL]
  },
  {
    name: 'an entry is there in the millisecond in which it expires',
    file: 'src/iter/visible.rs',
    from: 'expires_at != NEVER_EXPIRES && expires_at <= now_ms',
    to: 'expires_at != NEVER_EXPIRES && expires_at < now_ms',
    tests: [suite('series', 'records_expire_exactly_when_their_series_or_they_themselves_say')]
  },
  {
    name: 'a scan backwards leaves out the end that it includes',
    file: 'src/iter/visible.rs',
    from: 'after = [key.as_slice(), &[0]].concat();',
    to: 'after = key.clone();',
    tests: [MODEL]
  },
  {
    name: 'a scan backwards shows the version before the one that its snapshot was taken at',
    file: 'src/iter/visible.rs',
    from: 'if entry.seqno <= self.visibility.snapshot {\n                self.row.save(&entry);',
    to: 'if entry.seqno < self.visibility.snapshot {\n                self.row.save(&entry);',
    tests: [MODEL]
  },
  {
    name: 'a scan backwards gives the start that it excludes',
    file: 'src/iter/visible.rs',
    from: 'Bound::Excluded(start) => key > start.as_slice(),',
    to: 'Bound::Excluded(start) => key >= start.as_slice(),',
    tests: [MODEL]
  },
  {
    name: 'the end of a range tombstone is deleted with the range',
    file: 'src/range_tombstone.rs',
    from: '.partition_point(|fragment| fragment.end.as_slice() <= key);\n' +
      '        self.fragments.get(at).filter(|fragment| fragment.start',
    to: '.partition_point(|fragment| fragment.end.as_slice() < key);\n' +
      '        self.fragments.get(at).filter(|fragment| fragment.start',
    tests: [unit('range_tombstone', 'a_key_is_covered_by_the_newest_tombstone_that_the_snapshot_sees')]
  },
  {
    name: 'tables of level 0 are read in the order of their numbers',
    file: 'src/version/mod.rs',
    from: 'std::cmp::Reverse((table.meta().seqno_max, table.meta().number))',
    to: 'std::cmp::Reverse(table.meta().number)',
    tests: [unit('version', 'level_0_is_read_from_the_newest_seqno_down_whatever_the_numbers_are')]
  }
]
