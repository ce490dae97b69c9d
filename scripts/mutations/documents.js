'use strict'

/* Faults in documents, indexes, transactions, queries, keys and keyspaces. */

const { suite, unit } = require('./tests')

module.exports = [
  {
    name: 'what another has cleared does not conflict with the documents that were read there',
    file: 'src/jsondb/conflict.rs',
    from: 'if let Some(key) = reads.point_in(range) {',
    to: 'if let Some(key) = reads.point_in(range).filter(|_| self.range_count == 0) {',
    tests: [suite('jsondb', 'bulk::a_deleted_range_conflicts_with_who_writes_in_it_and_with_nobody_else')]
  },
  {
    name: 'ranges that were read do not conflict',
    file: 'src/jsondb/conflict.rs',
    from: 'is_ok()\n            || self.ranges.iter().any(|range| range.contains(key))',
    to: 'is_ok()',
    tests: [suite('jsondb', 'conflicts::a_range_conflicts_with_what_comes_into_it_and_not_beside_it')]
  },
  {
    name: 'ranges that were read do not conflict where many others have written',
    file: 'src/jsondb/conflict.rs',
    from: 'for range in &reads.ranges {\n            let bounds',
    to: 'for range in reads.ranges.iter().take(0) {\n            let bounds',
    tests: [unit('jsondb::conflict', 'many_writes_clash_as_few_do_also_after_some_were_taken_back')]
  },
  {
    name: 'what was written since an older transaction began is forgotten with a younger one',
    file: 'src/jsondb/conflict.rs',
    from: 'self.active.keys().next().map_or(visible',
    to: 'self.active.keys().next_back().map_or(visible',
    tests: [
      unit('jsondb::conflict', 'writes_are_dropped_with_the_last_transaction_that_could_clash_with_them'),
      suite('jsondb', 'histories::no_history_has_an_anomaly_at_serializable_isolation')
    ]
  },
  {
    name: 'a key that was generated last before a close is generated again',
    file: 'src/jsondb/generator.rs',
    from: '    pub(crate) fn next(&self) -> u64 {\n        self.0.lock().next\n',
    to: '    pub(crate) fn next(&self) -> u64 {\n        self.0.lock().next.saturating_sub(1).max(1)\n',
    tests: [suite('jsondb', 'generated_keys::a_number_is_never_given_twice_across_aborts_and_reopening')]
  },
  {
    name: 'a document that gets its key in an index stays listed among those without one',
    file: 'src/jsondb/index.rs',
    from: 'old.iter().filter(|row| new.binary_search(row).is_err())',
    to: 'old.iter().filter(|row| !row.is_gap && new.binary_search(row).is_err())',
    tests: [suite('jsondb', 'query_model::twenty_thousand_random_queries_give_what_a_filter_over_all_documents_gives')]
  },
  {
    name: 'the entry of a document in an index outlives its expiry',
    file: 'src/jsondb/index.rs',
    from: 'Some(Value { bytes: put.value, expires_at })',
    to: 'Some(Value { bytes: put.value, expires_at: 0 })',
    tests: [suite('jsondb', 'expiry::a_document_is_there_until_its_millisecond_in_every_read')]
  },
  {
    name: 'the entry that a document had in an index stays when the document changes',
    file: 'src/jsondb/index.rs',
    from: 'for row in self.deletes {\n            overlay.write(row, None);',
    to: 'for row in self.deletes.into_iter().skip(1) {\n            overlay.write(row, None);',
    tests: [suite('jsondb', 'indexes::a_document_is_found_by_its_index_key_until_it_changes')]
  },
  {
    name: 'minus zero has a key of its own',
    file: 'src/jsondb/key/encode.rs',
    from: '(value + 0.0).to_bits()',
    to: 'value.to_bits()',
    tests: [unit('jsondb::key', 'numbers_and_bigints_of_one_value_are_two_keys_and_minus_zero_is_zero')]
  },
  {
    name: 'a character 1 in a string stands for itself, and so may be taken for an escaped one',
    file: 'src/jsondb/key/encode.rs',
    from: '(2..=0x7f).contains(&byte)',
    to: '(1..=0x7f).contains(&byte)',
    tests: [unit('jsondb::key', 'text_has_the_key_of_its_code_units')]
  },
  {
    name: 'negative numbers sort by how far they are from zero',
    file: 'src/jsondb/key/encode.rs',
    from: 'if bits >> 63 == 1 { !bits } else',
    to: 'if bits >> 63 == 1 { bits & !(1 << 63) } else',
    tests: [unit('jsondb::key', 'encodings_of_nasty_values_come_back_and_sort_as_the_values_do')]
  },
  {
    name: 'the range of a prefix that ends with two bytes 0xff holds others, too',
    file: 'src/jsondb/key/range.rs',
    from: 'while ceiling.last() == Some(&0xff) {\n            ceiling.pop();',
    to: 'if ceiling.last() == Some(&0xff) {\n            ceiling.pop();',
    tests: [unit('jsondb::key::range', 'a_prefix_range_holds_exactly_what_starts_with_the_prefix')]
  },
  {
    name: 'who has counted does not conflict where as many documents go as come',
    file: 'src/jsondb/ledger.rs',
    from: 'if change.moves || after.count != before.count {',
    to: 'if after.count != before.count {',
    tests: [suite('jsondb', 'expiry::who_counted_before_a_document_expired_conflicts_with_who_put_another_in_its_place')]
  },
  {
    name: 'a clear that is taken back leaves the ranges that were cleared before it',
    file: 'src/jsondb/overlay.rs',
    from: 'cleared.splice(first..=first, met);',
    to: 'cleared.remove(first);',
    tests: [unit('jsondb::overlay', 'going_back_to_a_savepoint_restores_exactly_what_was_there')]
  },
  {
    name: 'a document that was added behind a savepoint stays when it is gone back to',
    file: 'src/jsondb/overlay.rs',
    from: 'entry.is_none_or(|entry| entry.epoch < saved.epoch)',
    to: 'entry.is_some_and(|entry| entry.epoch < saved.epoch)',
    tests: [suite('jsondb', 'savepoints::going_back_takes_back_what_came_after_and_may_be_done_again')]
  },
  {
    name: 'of several elements that an array has to have one is enough',
    file: 'src/jsondb/query/condition.rs',
    from: 'if test.contains.iter().all(|key| keys.binary_search(key).is_ok())',
    to: 'if test.contains.iter().any(|key| keys.binary_search(key).is_ok())',
    tests: [
      suite('jsondb', 'queries::conditions_on_one_path_and_on_several_have_to_be_met_all'),
      suite('jsondb', 'query_model::twenty_thousand_random_queries_give_what_a_filter_over_all_documents_gives')
    ]
  },
  {
    name: 'an index that meets one condition on a path is taken to meet all',
    file: 'src/jsondb/query/mod.rs',
    from: 'let is_left = |test: &&PathTest| !access.meets(test);',
    to: 'let is_left = |test: &&PathTest| !access.meets(test) && test.contains.is_empty();',
    tests: [suite('jsondb', 'query_model::twenty_thousand_random_queries_give_what_a_filter_over_all_documents_gives')]
  },
  {
    name: 'the last row that a query has read is not among what it has read',
    file: 'src/jsondb/query/walk.rs',
    from: 'passed.end = successor(last)',
    to: 'passed.end = last.to_vec()',
    tests: [unit('jsondb::query::walk', 'what_a_walk_has_been_through_has_its_last_row_and_nothing_behind_it')]
  },
  {
    name: 'a document is counted in the millisecond in which it expires',
    file: 'src/jsondb/rows.rs',
    from: 'now_ms.saturating_add(1).to_be_bytes()',
    to: 'now_ms.to_be_bytes()',
    tests: [suite('jsondb', 'expiry::a_document_is_there_until_its_millisecond_in_every_read')]
  },
  {
    name: 'the rows of a store end before ids of several bytes that begin with 0xff',
    file: 'src/jsondb/rows.rs',
    from: '    if let Some(last) = end.last_mut() {\n        *last += 1;\n    }',
    to: '    end.push(BEHIND);',
    tests: [suite('jsondb', 'schema::clearing_and_deleting_reach_the_rows_of_every_id')]
  },
  {
    name: 'two may take one key of a unique index at snapshot isolation',
    file: 'src/jsondb/view.rs',
    from: 'if self.base.writes {\n            self.reads.point(Arc::clone(row));',
    to: 'if self.base.checks_reads {\n            self.reads.point(Arc::clone(row));',
    tests: [suite('jsondb', 'isolation::unique_indexes_hold_at_snapshot_isolation')]
  },
  {
    name: 'what a transaction has deleted comes back in its own scans',
    file: 'src/jsondb/view.rs',
    from: '(Some(scan), Some((key, _))) => scan.key() == *key,',
    to: '(Some(scan), Some((key, Some(_)))) => scan.key() == *key,',
    tests: [suite('jsondb', 'pages::pages_and_counts_see_own_writes_among_those_of_the_snapshot')]
  },
  {
    name: 'a transaction sees what it wrote itself in the millisecond in which that expires',
    file: 'src/jsondb/view.rs',
    from: 'value.expires_at == 0 || value.expires_at > self.now_ms()',
    to: 'value.expires_at == 0 || value.expires_at >= self.now_ms()',
    tests: [suite('jsondb', 'expiry::a_transaction_sees_its_own_documents_expire')]
  },
  {
    name: 'a scan of a transaction has what it wrote itself in the millisecond in which that expires',
    file: 'src/jsondb/view.rs',
    from: 'if value.expires_at == 0 || value.expires_at > self.now_ms =>',
    to: 'if value.expires_at == 0 || value.expires_at >= self.now_ms =>',
    tests: [
      suite('jsondb', 'expiry::a_transaction_sees_its_own_documents_expire'),
      suite('jsondb', 'expiry::documents_indexes_and_counts_follow_random_work_and_time')
    ]
  },
  {
    name: 'keys that begin with a byte 0xff are in no range of a keyspace without an end',
    file: 'src/keyspace/rows.rs',
    from: 'end[self.len - 1] += 1;',
    to: 'end.push(0xff);',
    tests: [unit('keyspace::tests', 'the_bounds_of_a_range_are_kept_exactly'), unit('keyspace::tests', 'keyspaces_side_by_side_don_t_see_each_other')]
  }
]
