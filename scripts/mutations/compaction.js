'use strict'

/* Faults in flushes and compactions: what is dropped, what is kept, and where it goes. */

const { suite, unit } = require('./tests')

const MODEL = suite('engine_model', 'every_history_reads_as_an_ordered_map_would')

module.exports = [
  {
    name: 'a tombstone is dropped although the next level has its key',
    file: 'src/compaction/job.rs',
    from: '(self.target + 1..LEVELS).all(|level| {\n            let tables',
    to: '(self.target + 2..LEVELS).all(|level| {\n            let tables',
    tests: [MODEL]
  },
  {
    name: 'a range tombstone is dropped although older entries lie below',
    file: 'src/compaction/job.rs',
    from: '!(retention.may_drop_tombstone(tombstone.seqno)\n' +
      '                    && bottom.is_below(&tombstone.start, &tombstone.end))',
    to: '!retention.may_drop_tombstone(tombstone.seqno)',
    tests: [suite('engine_crash', 'compactions::a_crash_while_deletions_are_taken_down_loses_nothing_and_brings_nothing_back'), MODEL]
  },
  {
    name: 'a table of level 0 goes down past older ones',
    file: 'src/compaction/mod.rs',
    from: 'into_next_level(version, 0, with_entangled(version, vec![Arc::clone(table)])?)',
    to: 'into_next_level(version, 0, vec![Arc::clone(table)])',
    tests: [MODEL]
  },
  {
    name: 'a table is moved to where it overlaps others',
    file: 'src/compaction/mod.rs',
    from: 'self.level != self.target && self.inputs.len() == 1 && self.overlapped.is_empty()',
    to: 'self.level != self.target && self.inputs.len() == 1',
    tests: [unit('compaction::tests', 'in_quiet_times_level_0_goes_down_where_that_costs_little_and_else_becomes_one_table'), MODEL]
  },
  {
    name: 'an output ends within the versions of one key',
    file: 'src/compaction/outputs.rs',
    from: 'if size >= self.size_max && self.last_key != entry.key {',
    to: 'if size >= self.size_max {',
    tests: [MODEL]
  },
  {
    name: 'the directory is not synced behind the outputs',
    file: 'src/compaction/outputs.rs',
    from: 'self.context.fs.sync_dir(self.context.dir)?;',
    to: 'self.context.fs.exists(self.context.dir)?;',
    tests: [suite('engine_crash', 'a_crash_after_any_file_operation_leaves_a_prefix_with_everything_acknowledged')]
  },
  {
    name: 'a table that has expired is discarded above an older one',
    file: 'src/compaction/reclaim.rs',
    from: 'if all_expired && !lies_on_something() && !lies_on_older(version, level, table) {',
    to: 'if all_expired && !lies_on_something() {',
    tests: [unit('compaction::reclaim', 'a_table_that_has_expired_is_discarded_only_where_it_hides_nothing')]
  },
  {
    name: 'a value loses its seqno although an older one lies below',
    file: 'src/compaction/retention.rs',
    from: 'self.settles && self.is_settled(entry) && is_bottom(entry.key)',
    to: 'self.settles && self.is_settled(entry)',
    tests: [
      unit('compaction::retention', 'a_value_keeps_its_seqno_where_a_snapshot_does_not_see_it_or_something_older_could_be_taken_for_newer')
    ]
  },
  {
    name: 'a tombstone is dropped although an open snapshot sees what it hides',
    file: 'src/compaction/retention.rs',
    from: 'if self.is_oldest(entry.seqno) && is_bottom(entry.key) {',
    to: 'if is_bottom(entry.key) {',
    tests: [unit('compaction::retention', 'a_tombstone_goes_only_where_no_snapshot_needs_what_it_hides')]
  },
  {
    name: 'an expired value goes although it hides an older one',
    file: 'src/compaction/retention.rs',
    from: 'if expired { Fate::Bury } else { Fate::Keep }',
    to: 'if expired { Fate::Drop } else { Fate::Keep }',
    tests: [MODEL]
  },
  {
    name: 'a value loses its seqno under a range tombstone that is older than it',
    file: 'src/compaction/retention.rs',
    from: 'self.is_oldest(entry.seqno) && self.tombstones.covering(entry.key, SEQNO_MAX).is_none()',
    to: 'self.is_oldest(entry.seqno)',
    tests: [
      unit('compaction::retention', 'a_value_keeps_its_seqno_where_a_snapshot_does_not_see_it_or_something_older_could_be_taken_for_newer')
    ]
  },
  {
    name: 'a range tombstone takes what is newer than it along',
    file: 'src/compaction/retention.rs',
    from: '.is_some_and(|deleted_at| deleted_at > entry.seqno)',
    to: '.is_some()',
    tests: [unit('compaction::retention', 'a_range_tombstone_hides_only_what_is_older_in_the_same_stripe')]
  },
  {
    name: 'what a close flushes goes below what was there',
    file: 'src/engine/background.rs',
    from: 'goal == FlushGoal::Rest && view.version.tables().next().is_none();',
    to: 'goal == FlushGoal::Rest;',
    tests: [suite('engine_close', 'what_a_close_flushes_later_lies_above_what_was_there')]
  },
  {
    name: 'a repair merges older tables over newer ones',
    file: 'src/engine/repair/arrange.rs',
    from: 'tables.sort_by_key(|table| Reverse(table.number));',
    to: 'tables.sort_by_key(|table| (table.number, Reverse(table.size)));',
    tests: [suite('engine_repair', 'of_two_values_without_a_seqno_a_repair_without_a_manifest_takes_the_one_that_was_written_later')]
  },
  {
    name: 'a repair takes tables without seqnos for older than all others',
    file: 'src/engine/repair/arrange.rs',
    from: 'if is_settled { (SETTLED, SEQNO_MAX) } else',
    to: 'if is_settled { (SETTLED, meta.seqno_max) } else',
    tests: [
      suite('engine_repair', 'without_current_and_manifest_everything_comes_back'),
      suite('engine_repair', 'whatever_is_destroyed_the_database_opens_and_gives_no_value_that_was_never_there')
    ]
  },
  {
    name: 'a repair brings back what an opening had left out of a log',
    file: 'src/engine/repair/logs.rs',
    from: 'record.first_seqno + record.entry_count > seqno',
    to: 'record.first_seqno > seqno + 1',
    tests: [suite('engine_repair', 'what_an_opening_has_left_out_of_a_log_stays_out_although_the_next_log_has_lost_its_header')]
  },
  {
    name: 'a compaction keeps nothing for the oldest snapshot',
    file: 'src/engine/snapshot.rs',
    from: 'open.keys().copied().collect();',
    to: 'open.keys().copied().skip(1).collect();',
    tests: [suite('engine_space', 'what_a_snapshot_needs_stays_and_goes_when_it_closes')]
  },
  {
    name: 'a value file goes with the first table that leaves it',
    file: 'src/version/value_set.rs',
    from: 'member.live_bytes = member.live_bytes.saturating_sub(share.bytes);',
    to: 'member.live_bytes = 0;',
    tests: [unit('compaction::value_garbage', 'live_bytes_are_the_sum_over_the_tables_and_a_file_without_any_leaves')]
  }
]
