'use strict'

/* Faults in what makes writes durable: the log, its pipeline, the manifest, opening and closing. */

const { suite, unit } = require('./tests')

const CRASH = suite('engine_crash', 'a_crash_after_any_file_operation_leaves_a_prefix_with_everything_acknowledged')

module.exports = [
  {
    name: 'logs are removed before the manifest says that nobody needs them',
    file: 'src/engine/background.rs',
    from: '        let log_number = self.apply_edit(edit, |view| {',
    to: '        self.remove_logs_below(log_number);\n' +
      '        let log_number = self.apply_edit(edit, |view| {',
    tests: [CRASH]
  },
  {
    name: 'the second batch of a group begins one seqno too early',
    file: 'src/engine/commit.rs',
    from: 'first_seqno += batch.len() as u64;',
    to: 'first_seqno += batch.len() as u64 - 1;',
    tests: [
      suite('engine_concurrent', 'batches_committed_together_share_a_sync_and_fail_alone'),
      suite('engine_concurrent', 'everything_up_to_the_visible_seqno_is_there_whoever_wrote_it')
    ]
  },
  {
    name: 'a full disk that took acknowledged writes along does not poison',
    file: 'src/engine/log.rs',
    from: 'if is_storage_full(&error) && log.written_seqno == log.applied_seqno {',
    to: 'if is_storage_full(&error) {',
    tests: [
      suite('engine_crash', 'a_full_disk_refuses_writes_and_takes_them_again_when_space_returns'),
      suite('engine_crash', 'a_fault_and_then_a_crash_leave_a_prefix_with_everything_acknowledged')
    ]
  },
  {
    name: 'a close names the end of the log without syncing it',
    file: 'src/engine/mod.rs',
    from: '        shared.drain()?;\n        let Some(writer)',
    to: '        shared.await_inserts();\n        let Some(writer)',
    tests: [suite('engine_close', 'a_crash_in_a_close_that_flushes_loses_nothing'), CRASH]
  },
  {
    name: 'what is in the log counts as durable before its sync',
    file: 'src/engine/pipeline.rs',
    from: 'group.needs_sync &= self.pipeline.durable() < group.last_seqno;',
    to: 'group.needs_sync &= state.written < group.last_seqno;',
    tests: [suite('engine_pipeline', 'the_next_group_is_checked_and_written_while_a_sync_runs_and_waits_for_its_own'), CRASH]
  },
  {
    name: 'a group without a sync is visible before the groups ahead of it',
    file: 'src/engine/pipeline.rs',
    from: 'if state.groups.is_empty() && !group.needs_sync {',
    to: 'if !group.needs_sync {',
    tests: [suite('engine_pipeline', 'a_commit_without_sync_waits_for_those_before_it_only')]
  },
  {
    name: 'the log is never synced',
    file: 'src/engine/pipeline.rs',
    from: '            file.sync()\n        });',
    to: '            drop(file);\n            Ok(())\n        });',
    tests: [CRASH]
  },
  {
    name: 'a sync covers what was written while it ran',
    file: 'src/engine/pipeline.rs',
    from: 'turn.end(synced.map(|()| written))',
    to: 'let written = self.pipeline.state.lock().written.max(written);\n' +
      '        turn.end(synced.map(|()| written))',
    tests: [suite('engine_pipeline', 'the_next_group_is_checked_and_written_while_a_sync_runs_and_waits_for_its_own')]
  },
  {
    name: 'a failed sync does not poison',
    file: 'src/engine/pipeline.rs',
    from: 'state.failure = Some(self.poison(error.clone()));',
    to: 'drop(error.clone());',
    tests: [suite('engine_crash', 'after_a_failed_sync_nothing_more_is_acknowledged_and_reads_go_on')]
  },
  {
    name: 'a log is built on one whose records may be in the page cache only',
    file: 'src/engine/recovery.rs',
    from: 'replayed.is_unproven = !is_empty;',
    to: 'replayed.is_unproven = false;',
    tests: [suite('engine_crash', 'what_was_read_after_a_failed_sync_is_durable_after_the_next_that_succeeds')]
  },
  {
    name: 'the last entry of a log is not visible after the opening',
    file: 'src/engine/recovery.rs',
    from: 'replayed.last_seqno.max(record.first_seqno + record.entry_count - 1);',
    to: 'replayed.last_seqno.max((record.first_seqno + record.entry_count).saturating_sub(2));',
    tests: [CRASH]
  },
  {
    name: 'an opening removes files that only an edit without proof makes needless',
    file: 'src/engine/recovery.rs',
    from: 'let versions = [&state.version, &state.before.0];\n' +
      '        let first_log = state.log_number.min(state.before.1);',
    to: 'let versions = [&state.version];\n' +
      '        let first_log = state.log_number;',
    tests: [suite('engine_crash', 'a_fault_a_dead_process_and_then_a_power_loss_leave_everything_acknowledged')]
  },
  {
    name: 'an opening that is read-only removes files',
    file: 'src/engine/recovery.rs',
    from: 'if !self.config.read_only && losses.is_empty() {',
    to: 'if losses.is_empty() {',
    tests: [suite('engine_read_only', 'a_reader_sees_what_a_writer_would_and_changes_no_byte')]
  },
  {
    name: 'a database that is read-only takes writes',
    file: 'src/engine/shared.rs',
    from: 'if self.config.read_only {',
    to: 'if self.config.read_only && self.config.in_memory {',
    tests: [suite('engine_read_only', 'everything_that_writes_is_refused_and_reads_go_on')]
  },
  {
    name: 'the inputs of a compaction go although its edit may not be durable',
    file: 'src/engine/shared.rs',
    from: '        match manifest.take() {',
    to: '        mark_obsolete(&base.version, &next, &edit);\n        match manifest.take() {',
    tests: [
      suite('engine_crash', 'a_fault_and_then_a_crash_leave_a_prefix_with_everything_acknowledged'),
      suite('engine_crash', 'a_fault_a_dead_process_and_then_a_power_loss_leave_everything_acknowledged')
    ]
  },
  {
    name: 'an edit of the manifest is not synced',
    file: 'src/version/manifest.rs',
    from: '&edit.encode())?;\n        self.file.sync()',
    to: '&edit.encode())',
    tests: [unit('version::manifest', 'a_crash_during_an_edit_leaves_every_edit_that_was_acknowledged')]
  },
  {
    name: 'CURRENT is renamed before it is synced',
    file: 'src/version/manifest.rs',
    from: '    file.sync()?;\n    drop(file);',
    to: '    drop(file);',
    tests: [unit('version::manifest', 'a_crash_during_a_change_of_manifest_leaves_the_old_one_or_the_new_one')]
  },
  {
    name: 'the directory is not synced behind the rename of CURRENT',
    file: 'src/version/manifest.rs',
    from: 'fs.rename(&temporary, &current_path(dir))?;\n    fs.sync_dir(dir)',
    to: 'fs.rename(&temporary, &current_path(dir))',
    tests: [unit('version::manifest', 'a_crash_during_creation_leaves_no_database_or_an_empty_one_and_never_corruption')]
  },
  {
    name: 'the checksum of a record is not compared',
    file: 'src/wal/reader.rs',
    from: 'if crc != record_crc(number, at, input) {',
    to: 'if crc != record_crc(number, at, input) && input.is_empty() {',
    tests: [unit('wal::tests', 'every_flipped_bit_gives_a_prefix_that_lacks_nothing_durable_or_corruption')]
  },
  {
    name: 'a record that was the last durable one may be missing',
    file: 'src/wal/reader.rs',
    from: 'claims.durable_seqno >= self.next_seqno',
    to: 'claims.durable_seqno > self.next_seqno',
    tests: [
      unit('wal::tests', 'random_damage_never_hides_what_was_durable'),
      unit('wal::tests', 'a_lost_page_in_the_middle_is_corruption_only_where_it_had_been_synced')
    ]
  },
  {
    name: 'a sealed log may end before its end',
    file: 'src/wal/reader.rs',
    from: 'if !self.limited || self.offset == self.window.end {',
    to: 'if !self.limited || self.offset <= self.window.end {',
    tests: [unit('wal::tests', 'a_sealed_log_that_does_not_reach_its_end_in_whole_records_is_corruption')]
  },
  {
    name: 'the directory is not synced behind a new log',
    file: 'src/wal/writer.rs',
    from: 'fs.sync_dir(dir)?;',
    to: 'fs.exists(dir)?;',
    tests: [unit('wal::tests', 'a_created_log_survives_a_power_loss_and_an_unfinished_one_is_torn_or_absent')]
  },
  {
    name: 'a log goes on behind a write that failed',
    file: 'src/wal/writer.rs',
    from: 'if let Err(error) = written {\n            self.failure = Some(error.clone());',
    to: 'if let Err(error) = written {',
    tests: [unit('wal::tests', 'a_write_that_fails_ends_the_writer_and_leaves_a_log_that_can_be_sealed')]
  }
]
