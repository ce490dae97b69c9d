'use strict'

/*
 * A transaction: the session that carries its operations, and the class that users see.
 *
 * Its operations keep their order among each other and among those of the database, so it sees what was written
 * before it began. A read-only one has its snapshot and waits for nobody.
 *
 * Invariant: a write that failed is never forgotten. Either somebody looked at its promise, or `commit` rejects with
 * that failure and nothing of the transaction is committed. It is never an unhandled rejection on top of that.
 */

const { Documents } = require('./documents.js')
const { FlowDBError, isOwn } = require('./errors.js')
const { checkName, checkOptions, eachOf, invalid, kindOf, nameBytes } = require('./names.js')
const native = require('./native.js')
const { VERB } = require('./packing.js')
const { Session } = require('./session.js')
const { PendingWrite, PendingWrites } = require('./transaction-writes.js')

const ignore = () => {}

/** @type {FinalizationRegistry<{ connection: import('./connection.js').Connection, id: number }>} */
const forgotten = new FinalizationRegistry(({ connection, id }) => {
  connection.tell(VERB.ABORT, { transaction: id, isOrdered: true }, ignore)
})

class TransactionSession extends Session {
  #parent
  #id
  #isReadOnly
  /** The stores that it may use; `undefined` for all. @type {Set<string> | undefined} */
  #scope
  /** Whether it is an upgrade. */
  #isFirst
  /** Whether it belongs to a call that the database is not closed before. */
  #isHeld
  /** Whether it no longer has to wait for the operation that begins it. */
  #isFree
  #isActive = true
  /** @type {Promise<void>} */
  #begun
  #writes = new PendingWrites()
  /** Operations without an answer. */
  #running = 0
  /** Calls of several operations that are not done. */
  #composed = 0
  #onComposed = ignore
  /** Whether `commit` has been called and waits for those. */
  #isEnding = false
  /** Called when there are none any more. */
  #onIdle = ignore

  /**
   * @param {Session} parent
   * @param {string[]} stores
   * @param {boolean} isReadOnly
   * @param {boolean} isSnapshot
   * @param {{ upgrade?: number, isHeld?: boolean }} [for] the number of the upgrade that has been begun, or whether the
   *   call that it is for is held
   */
  constructor (parent, stores, isReadOnly, isSnapshot, { upgrade, isHeld = false } = {}) {
    super(parent.connection)
    const { connection } = this
    this.#parent = parent
    this.#id = upgrade ?? connection.nextId()
    this.#isReadOnly = isReadOnly
    this.#isFirst = upgrade !== undefined
    this.#isHeld = isHeld
    const scope = new Set(stores)
    this.#scope = upgrade === undefined ? scope : undefined
    // A read-only transaction that no write is ahead of has its snapshot when this call's tick ends.
    this.#isFree = isReadOnly && !connection.hasPendingWrites
    const names = [...scope].map((store) => nameBytes('store', store))
    this.#begun = upgrade !== undefined ? Promise.resolve() : connection.issue(VERB.BEGIN, this.#way({}), (run) => {
      run.u8(isReadOnly ? 0 : isSnapshot ? 2 : 1).u32(names.length)
      for (const name of names) run.bytes32(name)
    })
    this.#begun.then(() => { this.#isFree = isReadOnly }, ignore)
    forgotten.register(this, { connection, id: this.#id }, this)
  }

  /** @param {import('./session.js').What} what */
  #way ({ wants, isStep }) {
    const [isFree, isFirst] = [this.#isFree, this.#isFirst]
    return { transaction: this.#id, isOrdered: !isFree, isFree, isFirst, isStep: isStep || this.#isHeld, wants }
  }

  /** They are committed together. */
  get commitsEach () {
    return false
  }

  /**
   * @param {number} verb
   * @param {import('./session.js').What} what
   * @param {import('./connection.js').Pack} pack
   * @returns {Promise<any>}
   */
  issue (verb, what, pack) {
    if (what.isStep) this.#checkActive()
    else this.checkUsable()
    this.#check(what)
    if (what.isWrite && !what.isStep) return this.#write(verb, pack)
    return this.#explained(this.#run(verb, what, pack))
  }

  /**
   * @param {number} verb
   * @param {import('./session.js').What} what
   * @param {import('./connection.js').Pack} pack
   * @returns {any}
   */
  issueSync (verb, what, pack) {
    this.checkUsable()
    this.#check(what)
    return this.connection.issueSync(verb, this.#way(what), pack)
  }

  /** @param {import('./session.js').What} what */
  #check (what) {
    if (what.isWrite && this.#isReadOnly) {
      throw new FlowDBError('FLOWDB_READ_ONLY', 'the transaction is read-only: begin one with the mode "readwrite"')
    }
    if (what.store !== undefined && this.#scope?.has(/** @type {string} */ (what.store)) === false) {
      const message = `the store ${kindOf(what.store)} is not among those that the transaction was begun for`
      throw new FlowDBError('FLOWDB_NOT_FOUND', message)
    }
  }

  /**
   * A write of several operations. It is one to `commit`, which waits for it.
   *
   * @param {import('./session.js').What} what
   * @param {() => Promise<any>} work may throw
   * @returns {Promise<any>}
   */
  compose (what, work) {
    try {
      this.checkUsable()
      this.#check(what)
    } catch (error) {
      return this.refuse(what, error)
    }
    const write = new PendingWrite(this)
    this.#writes.add(write)
    this.#composed++
    write.follow(this.#explained(this.#compose(write, work)))
    return write.promise
  }

  /**
   * @param {PendingWrite} write
   * @param {() => Promise<any>} work
   */
  async #compose (write, work) {
    try {
      const value = await this.connection.hold(work)
      this.#writes.done(write)
      return value
    } catch (error) {
      write.hasFailed = true
      throw error
    } finally {
      if (--this.#composed === 0) this.#onComposed()
    }
  }

  /**
   * @param {number} verb
   * @param {import('./session.js').What} what
   * @param {import('./connection.js').Pack} pack
   * @returns {Promise<any>}
   */
  #run (verb, what, pack) {
    this.#running++
    return this.connection.issue(verb, { ...this.#way(what), settled: () => { this.#oneLess() } }, pack)
  }

  #oneLess () {
    if (--this.#running === 0) this.#onIdle()
  }

  /**
   * A write that could not even be issued has failed like any other.
   *
   * @param {import('./session.js').What} what
   * @param {unknown} error
   * @returns {Promise<any>}
   */
  refuse (what, error) {
    if (!what.isWrite || !this.isActive) return super.refuse(what, error)
    const write = new PendingWrite(this)
    write.hasFailed = true
    write.resolve(Promise.reject(error))
    this.#writes.add(write)
    write.handle()
    return write.promise
  }

  /** An upgrade, `update` or `view` that is under way comes to its end before the database is closed. */
  checkOpen () {
    if (!this.#isFirst && !this.#isHeld) super.checkOpen()
  }

  checkUsable () {
    super.checkUsable()
    this.#checkActive()
    if (this.#isEnding) throw inactive()
  }

  #checkActive () {
    if (!this.#isActive) throw inactive()
  }

  /**
   * When the transaction could not even begin, that is what its operations fail for.
   *
   * @param {Promise<any>} answer
   */
  async #explained (answer) {
    try {
      return await answer
    } catch (error) {
      await this.#begun
      throw error
    }
  }

  /**
   * @param {number} verb
   * @param {import('./connection.js').Pack} pack
   * @returns {Promise<any>}
   */
  #write (verb, pack) {
    if (this.#isHeld) this.connection.checkNotFailed()
    const write = new PendingWrite(this)
    this.#running++
    write.number = this.connection.issueFor(write, verb, this.#id, this.#isFirst, pack)
    this.#writes.add(write)
    return write.promise
  }

  /**
   * A write of it has an answer. Told before its promise settles, because `commit` may be called in between.
   *
   * @param {boolean} isWrite
   * @param {boolean} failed
   * @param {any} write
   */
  settled (isWrite, failed, write) {
    write.hasFailed = failed
    if (!failed) this.#writes.done(write)
    this.#oneLess()
    this.connection.settled(isWrite)
  }

  /**
   * Rejects with why a write failed.
   *
   * @param {unknown} failure
   * @returns {Promise<any>}
   */
  explain (failure) {
    return this.#explained(native.rejected(failure))
  }

  /**
   * @param {number} verb
   * @param {import('./connection.js').Pack} pack
   */
  tell (verb, pack) {
    this.connection.tell(verb, this.#way({}), pack)
  }

  /** @returns {Promise<any>} a number that no other savepoint has */
  savepoint () {
    return this.#save(VERB.SAVEPOINT, () => ignore)
  }

  /**
   * @param {unknown} savepoint
   * @returns {Promise<void>}
   */
  rollbackTo (savepoint) {
    return this.#save(VERB.ROLLBACK_TO, () => {
      if (!Number.isSafeInteger(savepoint) || /** @type {number} */ (savepoint) <= 0) {
        throw invalid(`rollbackTo takes what savepoint() resolved to, not ${kindOf(savepoint)}`)
      }
      return (run) => { run.i64(/** @type {number} */ (savepoint)) }
    })
  }

  /**
   * @param {number} verb
   * @param {() => import('./connection.js').Pack} prepare
   * @returns {Promise<any>}
   */
  #save (verb, prepare) {
    const what = { isWrite: true }
    try {
      return this.issue(verb, what, prepare())
    } catch (error) {
      return this.refuse(what, error)
    }
  }

  /** What lies in memory is not what the transaction sees: it has writes of its own, or an older snapshot. */
  readInCall () {
    return native.NOT_AT_HAND
  }

  answerInCall () {
    return native.NOT_AT_HAND
  }

  findInCall () {
    return native.NOT_AT_HAND
  }

  /** As for `readInCall`. @returns {undefined} */
  readSoon () {
    return undefined
  }

  /** As for `readInCall`. @returns {undefined} */
  readManyInCall () {
    return undefined
  }

  /** @returns {Promise<void>} */
  commit () {
    this.checkUsable()
    return this.#composed > 0 ? this.#commitBehind() : this.#commitNow({})
  }

  /**
   * @param {import('./session.js').What} what
   * @returns {Promise<void>}
   */
  #commitNow (what) {
    const reliedOn = this.#writes.unobserved()
    const culprit = reliedOn.find((write) => write.hasFailed)
    if (culprit !== undefined) {
      this.abort().catch(ignore)
      return rejected(culprit)
    }
    this.#end()
    if (this.#isReadOnly) return this.#letGo()
    // Those without an answer are executed before the commit, which is refused when one of these fails.
    const way = { ...this.#way(what), isWrite: true }
    const answer = this.connection.issue(VERB.COMMIT, way, (run) => {
      run.u32(reliedOn.length)
      for (const write of reliedOn) run.u32(write.number)
    })
    return this.#committed(answer, reliedOn)
  }

  /** Commits when the calls of several operations are done. */
  async #commitBehind () {
    this.#isEnding = true
    await this.connection.hold(async () => {
      await new Promise((resolve) => { this.#onComposed = () => resolve(undefined) })
      this.#isEnding = false
      await this.#commitNow({ isStep: true })
    })
  }

  /**
   * @param {Promise<void>} answer
   * @param {PendingWrite[]} reliedOn
   */
  async #committed (answer, reliedOn) {
    try {
      await this.#explained(answer)
    } catch (error) {
      const culprit = reliedOn.find((write) => write.hasFailed)
      if (culprit !== undefined) await rejected(culprit)
      throw error
    }
  }

  /** Ends a read-only transaction. Its reads have no order among each other, so it waits for them. */
  async #letGo () {
    await this.#begun
    if (this.#running > 0) await new Promise((resolve) => { this.#onIdle = () => resolve(undefined) })
    this.tell(VERB.ABORT, ignore)
  }

  /** @returns {Promise<void>} */
  abort () {
    this.checkUsable()
    this.#end()
    if (this.#isReadOnly) return this.#letGo().catch(ignore)
    return this.connection.issue(VERB.ABORT, this.#way({}), ignore)
  }

  #end () {
    this.#isActive = false
    forgotten.unregister(this)
  }

  /** Whether there is something to commit or abort; closing the database has aborted it. */
  get isActive () {
    const isClosed = this.connection.isClosed && !this.#isFirst && !this.#isHeld
    return this.#isActive && !this.#isEnding && !isClosed
  }

  /** The database that the transaction belongs to stays open for it. */
  get parent () {
    return this.#parent
  }
}

const inactive = () => {
  return new FlowDBError('FLOWDB_TRANSACTION_INACTIVE', 'the transaction has been committed or aborted')
}

/**
 * Rejects for a write that failed and that nobody looked at.
 *
 * @param {PendingWrite} write
 * @returns {Promise<never>}
 */
async function rejected (write) {
  try {
    return await write.failure()
  } catch (error) {
    throw unobserved(error)
  }
}

/** @param {unknown} error of a write that nobody looked at; what a function threw stays as it is */
function unobserved (error) {
  if (!isOwn(error)) return error
  const { code, message } = /** @type {FlowDBError} */ (error)
  const what = `nothing was committed, because a write in the transaction failed unnoticed: ${message}`
  return new FlowDBError(code, what, { cause: error })
}

/** A transaction of FlowDB. */
class Transaction extends Documents {
  #session

  /** @param {TransactionSession} session */
  constructor (session) {
    super(session)
    this.#session = session
  }

  /**
   * Makes everything that was written in the transaction durable and visible, at once.
   *
   * @returns {Promise<void>}
   */
  async commit () {
    await this.#session.commit()
  }

  /**
   * Forgets everything that was written in the transaction.
   *
   * @returns {Promise<void>}
   */
  async abort () {
    await this.#session.abort()
  }

  /**
   * A place to which `rollbackTo` can go back.
   *
   * @returns {Promise<any>}
   */
  savepoint () {
    return this.#session.savepoint()
  }

  /**
   * Takes back what was written since a savepoint.
   *
   * @param {unknown} savepoint
   * @returns {Promise<void>}
   */
  rollbackTo (savepoint) {
    return this.#session.rollbackTo(savepoint)
  }

  /** Whether it has neither been committed nor aborted. */
  get isActive () {
    return this.#session.isActive
  }

  /** Aborts the transaction unless it has ended: `await using` rolls back what was not committed. */
  async [Symbol.asyncDispose] () {
    if (this.#session.isActive) await this.#session.abort()
  }
}

/**
 * Begins a transaction.
 *
 * @param {Session} session
 * @param {unknown} stores a name, or an array of them
 * @param {unknown} mode
 * @param {unknown} [options]
 * @param {boolean} [isHeld] whether the call that it is for is held
 * @returns {Transaction}
 */
function beginTransaction (session, stores, mode, options, isHeld = false) {
  return new Transaction(beginSession(session, stores, mode, options, isHeld))
}

/**
 * Begins a transaction, and gives the session that carries its operations.
 *
 * @param {Session} session
 * @param {unknown} stores a name, or an array of them
 * @param {unknown} mode
 * @param {unknown} [options]
 * @param {boolean} [isHeld] whether the call that it is for is held
 * @returns {TransactionSession}
 */
function beginSession (session, stores, mode, options, isHeld = false) {
  const checked = (/** @type {unknown} */ name) => checkName('store', name)
  const names = eachOf('the stores of a transaction', stores, checked) ?? [checked(stores)]
  if (names.length === 0) throw invalid('a transaction is begun for at least one store')
  if (mode !== 'readonly' && mode !== 'readwrite') {
    throw invalid(`the mode of a transaction is "readonly" or "readwrite", not ${kindOf(mode)}`)
  }
  const { isolation = 'serializable' } = checkOptions('transaction', options, { isolation: 'any' })
  if (isolation !== 'serializable' && isolation !== 'snapshot') {
    throw invalid(`the isolation of a transaction is "serializable" or "snapshot", not ${kindOf(isolation)}`)
  }
  const [isReadOnly, isSnapshot] = [mode === 'readonly', isolation === 'snapshot']
  return new TransactionSession(session, names, isReadOnly, isSnapshot, { isHeld })
}

exports.Transaction = Transaction
exports.TransactionSession = TransactionSession
exports.beginSession = beginSession
exports.beginTransaction = beginTransaction
