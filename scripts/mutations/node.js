'use strict'

/* Faults in the addon and in the JavaScript above it. */

const { addon, node } = require('./tests')

module.exports = [
  {
    name: 'reads that were gathered see a small write that was issued after them',
    file: 'lib/connection.js',
    from: 'return this.#flush()\n    gathered.flush()\n',
    to: 'return this.#flush()\n',
    tests: [
      node('gathered-reads.test.js', 'what is read side by side in a callback of the event loop sees no small write that was issued after it')
    ]
  },
  {
    name: 'a cursor going backwards leaves documents with one key out',
    file: 'lib/cursor.js',
    from: '(reverse ? 1 : 0) | (distinct ? 2 : 0)',
    to: '(reverse ? 1 : 0) | (distinct || reverse ? 2 : 0)',
    tests: [node('cursors.test.js', 'a cursor over an index goes in the four directions of IndexedDB')]
  },
  {
    name: 'a transaction is committed without the write that failed unnoticed',
    file: 'lib/transaction-writes.js',
    from: 'return this.#list.filter((write) => !write.isDone && !write.promise.isObserved)',
    to: 'return this.#list.filter((write) => !write.isDone && !write.hasFailed && !write.promise.isObserved)',
    tests: [node('transactions.test.js', 'a failed write that nobody looked at shows at the commit, and nothing is committed')]
  },
  {
    name: 'a commit does not wait for a write of several steps',
    file: 'lib/transaction.js',
    from: 'return this.#composed > 0 ? this.#commitBehind() : this.#commitNow({})',
    to: 'return this.#commitNow({})',
    tests: [node('operations.test.js', 'a commit waits for a modification that was not awaited, and takes no more calls meanwhile')]
  },
  {
    name: 'a transaction that leaves its block is committed',
    file: 'lib/transaction.js',
    from: 'if (this.#session.isActive) await this.#session.abort()',
    to: 'if (this.#session.isActive) await this.#session.commit()',
    tests: [node('transactions.test.js', 'await using aborts what was not committed')]
  },
  {
    name: 'a cursor that was closed keeps its snapshot',
    file: 'src/binding/database.rs',
    from: '        self.cursors.lock().remove(&id);',
    to: '        let _ = id;',
    tests: [node('query.test.js', 'who ends a loop early lets go of the snapshot')]
  },
  {
    name: 'work that waits in the lane is done in reverse',
    file: 'src/binding/database.rs',
    from: 'lane.runs.pop_front()',
    to: 'lane.runs.pop_back()',
    tests: [node('binding.test.js', 'large writes of one turn, which wait for each other, are made in the order in which they were issued')]
  },
  {
    name: 'a snapshot that was closed is read on',
    file: 'src/binding/database.rs',
    from: 'let snapshot = self.snapshots.lock().remove(&number);',
    to: 'let snapshot = self.snapshots.lock().get(&number).cloned();',
    tests: [node('keyspace.test.js', 'a snapshot that is given is what a read sees, until it is closed')]
  },
  {
    name: 'an answer that was waited for is given once more',
    file: 'src/binding/outbox.rs',
    from: 'let answer = chunk.drain(place).collect();',
    to: 'let answer = chunk.get(place)?.to_vec();',
    tests: [addon('binding::outbox', 'the_answer_that_is_waited_for_is_taken_out_from_between_others')]
  },
  {
    name: 'of writes that were done together the one that failed is not remembered',
    file: 'src/binding/transactions.rs',
    from: 'Err(error) => drop(failed.insert(operation.request, error.clone())),',
    to: 'Err(_) => drop(failed.remove(&operation.request)),',
    tests: [node('transactions.test.js', 'of many writes that nobody looks at the commit finds the one that fails, wherever it stands')]
  }
]
