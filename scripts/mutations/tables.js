'use strict'

/* Faults in memtables, tables, value files and the cache of blocks. */

const { suite, unit } = require('./tests')

const MODEL = suite('engine_model', 'every_history_reads_as_an_ordered_map_would')

module.exports = [
  {
    name: 'the checksum of a block is not compared',
    file: 'src/frame/mod.rs',
    from: 'if checksum(number, offset, stored, kind) != u32::from_le_bytes([a, b, c, d]) {',
    to: 'if checksum(number, offset, stored, kind) != u32::from_le_bytes([a, b, c, d]) && stored.is_empty() {',
    tests: [unit('sstable::tests::damage', 'any_flipped_byte_is_corruption_or_harmless_to_what_was_asked')]
  },
  {
    name: 'the checksum of a block does not say where the block stands',
    file: 'src/frame/mod.rs',
    from: '    place[8..].copy_from_slice(&offset.to_le_bytes());\n',
    to: '    let _ = offset;\n',
    tests: [unit('sstable::tests::damage', 'two_blocks_of_a_table_that_changed_places_are_corruption')]
  },
  {
    name: 'a table is not synced',
    file: 'src/frame/output.rs',
    from: '        self.file.sync()?;\n',
    to: '',
    tests: [unit('sstable::tests', 'a_finished_table_survives_a_power_loss_and_a_failed_one_is_not_taken_for_finished')]
  },
  {
    name: 'a memtable does not count that an entry expires',
    file: 'src/memtable/mod.rs',
    from: 'self.count_one(kind == Kind::Tombstone || expires_at != NEVER_EXPIRES);',
    to: 'self.count_one(kind == Kind::Tombstone);',
    tests: [MODEL]
  },
  {
    name: 'the cache gives a block of another table at the same place',
    file: 'src/sstable/cache/queues.rs',
    from: '#[derive(Debug, Clone, Copy, PartialEq, Eq)]\n' +
      'pub(super) struct Place {\n' +
      '    pub(super) file: u64,\n' +
      '    pub(super) offset: u64,\n' +
      '}\n\n' +
      'impl Place {\n' +
      '    pub(super) fn hash(self) -> u64 {\n' +
      '        let mut hash = self.file.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.offset;',
    to: '#[derive(Debug, Clone, Copy, Eq)]\n' +
      'pub(super) struct Place {\n' +
      '    pub(super) file: u64,\n' +
      '    pub(super) offset: u64,\n' +
      '}\n\n' +
      'impl PartialEq for Place {\n' +
      '    fn eq(&self, other: &Self) -> bool {\n' +
      '        self.offset == other.offset\n' +
      '    }\n' +
      '}\n\n' +
      'impl Place {\n' +
      '    pub(super) fn hash(self) -> u64 {\n' +
      '        let mut hash = self.offset;',
    tests: [unit('sstable::tests', 'two_tables_share_a_cache_without_taking_each_others_blocks')]
  },
  {
    name: 'a separator may be the first key of the next block',
    file: 'src/sstable/index.rs',
    from: 'raised < next[at]',
    to: 'raised <= next[at]',
    tests: [unit('sstable::index', 'a_separator_is_at_or_above_the_last_key_and_below_the_next_and_no_longer')]
  },
  {
    name: 'a separator between versions of one key takes them all for those before it',
    file: 'src/sstable/writer.rs',
    from: '(&last_key[..], *last_seqno)',
    to: '(&last_key[..], 0)',
    tests: [unit('sstable::tests::model', 'a_lookup_finds_what_a_sorted_map_would')]
  },
  {
    name: 'the filter has the keys before those of the table',
    file: 'src/sstable/writer.rs',
    from: 'self.hashes.push(hash_key(entry.key));',
    to: 'self.hashes.push(hash_key(last_key));',
    tests: [unit('sstable::tests', 'a_table_of_every_shape_gives_back_what_was_written')]
  },
  {
    name: 'a table leaves its last block out of the index',
    file: 'src/sstable/writer.rs',
    from: '            self.index.add((key, 0), handle, times);',
    to: '            let _ = (key, handle, times);',
    tests: [unit('sstable::tests', 'a_table_of_every_shape_gives_back_what_was_written')]
  },
  {
    name: 'a table whose last key is the end of a range tombstone says that it lacks that key',
    file: 'src/sstable/writer.rs',
    from: 'let largest_is_exclusive = deleted_to > last;',
    to: 'let largest_is_exclusive = deleted_to >= last && deleted_to.is_some();',
    tests: [unit('sstable::tests', 'the_summary_bounds_point_entries_and_range_tombstones')]
  },
  {
    name: 'the checksum of where the chunks of a value lie is not compared',
    file: 'src/value_file/format.rs',
    from: 'if take_u32(&mut stored) != Some(checksum(number, offset, &[body])) {',
    to: 'if take_u32(&mut stored) != Some(checksum(number, offset, &[body])) && body.is_empty() {',
    tests: [unit('value_file::tests', 'any_flipped_byte_is_corruption')]
  },
  {
    name: 'a pointer may lead to another value of the same length',
    file: 'src/value_file/reader.rs',
    from: 'if directory.start() != pointer.offset || directory.value_len != pointer.value_len {',
    to: 'if directory.value_len != pointer.value_len {',
    tests: [unit('value_file::tests', 'a_pointer_that_no_writer_makes_is_corruption_and_takes_no_memory')]
  }
]
