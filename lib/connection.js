'use strict'

/*
 * One open database, as all of its facades use it: what was issued in a tick crosses to the addon at its end, and
 * reads of what lies in memory are answered in the call.
 *
 * Two runs are packed side by side. What has to keep its place (writes, and reads behind them) goes into the ordered
 * run; reads that no write of this connection is ahead of go into the other, and never wait behind a sync.
 *
 * Invariant: an operation sees the writes that were issued before it on this connection and none that were issued
 * after it. So the run of reads is sent first: what it sees is fixed when it is sent.
 */

const { rmdir } = require('node:fs/promises')
const { FlowDBError, cut, isOwn, reasonOf } = require('./errors.js')
const gathered = require('./gathered-reads.js')
const { InCall } = require('./in-call.js')
const keyBuffer = require('./key-buffer.js')
const moment = require('./moment.js')
const native = require('./native.js')
const { VERB } = require('./packing.js')
const { Run } = require('./run.js')

/** A run is sent before the tick ends once it has so many bytes, so that a worker can begin. */
const RUN_BYTES_MAX = 32 * 1024

/** Reads are sent in runs of so many operations, so that several workers share them. */
const READS_MAX = 128

/** Answers given in the call before the event loop gets a turn: by effort, one for a small document … */
const EFFORT_MAX = 1000
/** … and by time, looked at whenever so much effort has gone by. */
const EFFORT_BETWEEN_LOOKS = 32
const MS_BETWEEN_TURNS = 2

/** After so much effort for reads in the call, others go to the pool until the event loop has turned. */
const EFFORT_OF_TURN_MAX = 2000
/** What a write in the call takes, as effort. */
const EFFORT_OF_WRITE = 8
/** Larger runs of writes are left to a worker. */
const SMALL_RUN_BYTES = 16 * 1024
/** After a run of small writes has held the event loop up for so long: the system lets writers wait for its disk … */
const HELD_UP_MS = 20
/** … such runs are left to a worker for so many times as long. */
const HELD_UP_PAUSE = 10

/** So many stores have readers that are kept. */
const READERS_MAX = 1000

/** Long work on a whole database: it has workers of its own, so that nothing waits behind it. */
const LONG_WORK = new Set(/** @type {number[]} */ ([
  VERB.COMPACT, VERB.VERIFY, VERB.CHECKPOINT, VERB.KEYSPACE_COMPACT
]))

/**
 * What is gathered on its way to the addon.
 *
 * @typedef {{ run: Run, numbers: number[], name: import('./native.js').Lane }} Lane
 */

/** One for all connections: an operation is sent as soon as it is packed. @type {Lane} */
const longWork = { run: new Run(), numbers: [], name: 'submitLongWork' }

/** The operation that is tried in a call, one at a time. */
const inCall = new Run()

const ignore = () => {}

/**
 * How an operation travels.
 *
 * @typedef {object} Way
 * @property {number} [transaction] the transaction it belongs to
 * @property {boolean} [isWrite] later reads have to see what it does
 * @property {boolean} [isOrdered] it keeps its place among what was issued
 * @property {boolean} [isFree] it has a snapshot of its own, which no write can change
 * @property {boolean} [isLong] it goes to the workers for long work
 * @property {boolean} [isFirst] it belongs to the upgrade for which everything else waits
 * @property {boolean} [isStep] it is a part of a call that is held, which was made before the database was closed
 * @property {boolean} [isTried] it could not be answered in the call
 * @property {number} [wants] what the page that it asks for carries
 * @property {unknown} [result] what it resolves to in place of its answer
 * @property {(failed: boolean) => void} [settled] called with the answer, before anybody who waits for it goes on
 */

/**
 * How documents of a store are read in the call, each by itself or those of a turn together.
 *
 * @typedef {object} Reading
 * @property {import('./native.js').Reader} read
 * @property {import('./gathered-reads.js').Source} gets
 * @property {import('./gathered-reads.js').Source} hases
 */

/** What settles a promise. @typedef {(value: any) => void} Resolve */

/** Packs the fields of an operation. @typedef {(run: Run) => void} Pack */

class Connection {
  #database
  /** @type {Lane} */
  #ordered = { run: new Run(), numbers: [], name: 'submit' }
  /** @type {Lane} */
  #reads = { run: new Run(), numbers: [], name: 'submitReads' }
  /** What the upgrade does, for which everything else waits while there is one. @type {Lane | undefined} */
  #upgrade
  /** Why that failed; everything that is asked for fails for it. @type {{ error: unknown } | undefined} */
  #failure
  /** The version of the schema when it was opened. @type {number | undefined} */
  version
  /** By the names of their stores. @type {Map<Uint8Array, Reading>} */
  #readers = new Map()
  #inCall
  #isFlushing = false
  /** Operations that have no answer yet. */
  #pending = 0
  /** Those of them that later reads have to wait for. */
  #pendingWrites = 0
  /** Those who wait until nothing is pending any more. @type {(() => void)[]} */
  #idleListeners = []
  #isClosed = false
  /** Told when it is closed. @type {Set<() => void>} */
  #closeListeners = new Set()
  /** @type {Promise<void> | undefined} */
  #closing
  #lastId = 0
  /** The number of the request that was issued last. */
  lastNumber = 0
  #effort = 0
  #nextLook = EFFORT_BETWEEN_LOOKS
  #lastTurn = 0
  /** What reads in the call have taken since the event loop was last seen to turn. */
  #effortOfTurn = 0
  /** Whether the event loop has to turn before anything else is written in the call. */
  #owesTurn = false
  /** Until then, nothing is written in the call. */
  #pausedUntil = 0
  #atTickEnd = () => this.#endTick()
  #atTurn = () => this.#endTurn()
  #atTurnOfReads = () => this.#tookTurn()

  /**
   * Begins to open a database.
   *
   * @param {import('./options.js').Options} options
   * @param {string} [definition] of the store that it is opened for, in JSON: created where it is missing
   * @param {(connection: Connection) => Promise<number>} [upgrade] run before anything else, and gives the new version
   */
  constructor (options, definition, upgrade) {
    this.#database = native.create(options.settings)
    this.#inCall = new InCall(this.#database)
    if (upgrade !== undefined) this.#hold()
    const opened = this.issue(VERB.OPEN, { isWrite: true, isFirst: true }, (run) => {
      if (definition === undefined) run.absent()
      else run.text(definition)
    })
    /** @type {Promise<void>} */
    this.ready = this.#open(opened, upgrade)
    // Who does not ask for it learns of a failure from the first operation.
    this.ready.catch(ignore)
  }

  /**
   * @param {Promise<number>} opened
   * @param {((connection: Connection) => Promise<number>) | undefined} upgrade
   */
  async #open (opened, upgrade) {
    try {
      this.version = await opened
    } catch (error) {
      // The addon tells it to everything that waits.
      if (upgrade !== undefined) this.#release()
      throw error
    }
    if (upgrade === undefined) return
    try {
      this.version = await upgrade(this)
    } catch (error) {
      await this.#fail(error)
      throw error
    }
    this.#release()
  }

  /** Lets everything but the upgrade wait. It counts as a write, so that what comes behind it keeps its order. */
  #hold () {
    this.#upgrade = { run: new Run(), numbers: [], name: 'submit' }
    this.#pending++
    this.#pendingWrites++
  }

  #release () {
    this.#flush()
    this.#upgrade = undefined
    this.settled(true)
    this.#flush()
  }

  /**
   * Fails everything that waits for the upgrade, and what will be asked for, and closes.
   *
   * @param {unknown} error
   */
  async #fail (error) {
    this.#failure = { error }
    for (const lane of [this.#reads, this.#ordered]) {
      const { numbers } = lane
      lane.numbers = []
      lane.run.reset()
      native.refuse(numbers, () => this.#notOpened(error))
    }
    this.#release()
    // What it fails for has been said already.
    await this.close().catch(ignore)
  }

  /** @param {unknown} error with which the upgrade failed: anything */
  #notOpened (error) {
    const code = isOwn(error) ? error.code : 'FLOWDB_ABORTED'
    const message = `the database could not be opened, because its upgrade failed: ${reasonOf(error)}`
    return new FlowDBError(code, message, { cause: error })
  }

  /**
   * Removes the files of a database that nobody has open, and the directory where nothing else is in it.
   *
   * @param {import('./options.js').Options} options
   * @returns {Promise<void>}
   */
  static async destroy (options) {
    await Connection.#withoutOpening(options, VERB.DESTROY)
    if (!options.inMemory && options.dataDir !== undefined) await removeIfEmpty(options.dataDir)
  }

  /**
   * Makes a damaged database, which nobody has open, one that can be opened.
   *
   * @param {import('./options.js').Options} options
   * @returns {Promise<any>} the report
   */
  static repair (options) {
    return Connection.#withoutOpening(options, VERB.REPAIR)
  }

  /**
   * @param {import('./options.js').Options} options
   * @param {number} verb
   * @returns {Promise<any>}
   */
  static async #withoutOpening (options, verb) {
    const database = native.create(options.settings)
    const run = new Run()
    const { number, answer } = native.request()
    run.begin(verb, number, 0)
    native.submit(database, run.bytes, [number], 'submitLongWork')
    native.stayAlive()
    try {
      return await answer
    } finally {
      native.forget(database)
    }
  }

  /**
   * Issues an operation on the whole database, which may take long: it is done after the writes that were issued before
   * it, and what is issued later doesn't wait for it.
   *
   * @param {number} verb
   * @param {Pack} pack
   * @returns {Promise<any>}
   */
  async lookAfter (verb, pack) {
    this.checkOpen()
    return await this.hold(async () => {
      // Answered when everything before it has been done.
      if (this.hasPendingWrites) await this.#issue(VERB.SCHEMA, { isOrdered: true }, ignore)
      return await this.#issue(verb, { isFree: true, isLong: LONG_WORK.has(verb) }, pack)
    })
  }

  /**
   * Makes a call of several operations, its steps. A close waits for it.
   *
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async hold (work) {
    this.#pending++
    try {
      return await work()
    } finally {
      this.settled(false)
    }
  }

  /** A number that no other transaction or cursor of this connection has. */
  nextId () {
    this.#lastId = this.#lastId % 0xffffffff + 1
    return this.#lastId
  }

  /**
   * Issues an operation and resolves to its answer.
   *
   * @param {number} verb
   * @param {Way} way
   * @param {Pack} pack throws only before it has been issued
   * @returns {Promise<any>}
   */
  issue (verb, way, pack) {
    // An upgrade or a call that is under way comes to its end before the database is closed.
    if (way.isStep) this.checkNotFailed()
    else if (!way.isFirst) this.checkOpen()
    return this.#issue(verb, way, pack)
  }

  /** Throws when the connection has been closed. */
  checkOpen () {
    this.checkNotFailed()
    if (this.#isClosed) throw new FlowDBError('FLOWDB_CLOSED', 'the database is closed')
  }

  /** Throws when its upgrade has failed. */
  checkNotFailed () {
    if (this.#failure !== undefined) throw this.#notOpened(this.#failure.error)
  }

  /** Whether it refuses everything. */
  get isClosed () {
    return this.#isClosed
  }

  /**
   * Calls `listener` when it is closed and refuses everything: for those who wait for something else meanwhile.
   *
   * @param {() => void} listener
   * @returns {() => void} has it called no more
   */
  onClose (listener) {
    this.#closeListeners.add(listener)
    return () => { this.#closeListeners.delete(listener) }
  }

  /** Whether what is issued now has to wait for writes. */
  get hasPendingWrites () {
    return this.#pendingWrites > 0
  }

  /**
   * @param {number} verb
   * @param {Way} way
   * @param {Pack} pack
   * @returns {Promise<any>}
   */
  #issue (verb, way, pack) {
    const { isWrite = false, isTried = false, wants = 0, settled, result } = way
    if (!isWrite && !isTried && way.transaction === undefined) {
      const found = this.answerInCall(verb, wants, pack)
      if (found !== native.NOT_AT_HAND) return this.resolved(found)
    }
    const owner = settled === undefined ? this : this.#ownerWith(settled)
    const { number, answer } = native.request(wants, owner, isWrite, result)
    const lane = this.#laneFor(way)
    this.#enter(lane, number, verb, way.transaction, isWrite, pack)
    this.#flushLater(lane)
    return answer
  }

  /**
   * Somebody who is told of a request before this is.
   *
   * @param {(failed: boolean) => void} first
   * @returns {import('./native.js').Owner}
   */
  #ownerWith (first) {
    return {
      settled: (isWrite, failed) => {
        first(failed)
        this.settled(isWrite)
      }
    }
  }

  /**
   * Packs the operation of a request.
   *
   * @param {Lane} lane
   * @param {number} number
   * @param {number} verb
   * @param {number | undefined} transaction
   * @param {boolean} isWrite
   * @param {Pack} pack
   */
  #enter (lane, number, verb, transaction = 0, isWrite, pack) {
    this.#pending++
    if (isWrite) this.#pendingWrites++
    try {
      pack(lane.run.begin(verb, number, transaction))
    } catch (error) {
      lane.run.cancel()
      native.withdraw(number)
      throw error
    }
    lane.numbers.push(number)
    this.lastNumber = number
  }

  /**
   * Issues a write of a transaction that is its own request. Whether it may be is for the transaction to say.
   *
   * @param {import('./transaction-writes.js').PendingWrite} write
   * @param {number} verb
   * @param {number} transaction
   * @param {boolean} isFirst whether that is the upgrade for which everything else waits
   * @param {Pack} pack throws only before it has been issued
   * @returns {number} the number of the request
   */
  issueFor (write, verb, transaction, isFirst, pack) {
    const lane = isFirst && this.#upgrade !== undefined ? this.#upgrade : this.#ordered
    const number = native.register(write)
    this.#enter(lane, number, verb, transaction, write.isWrite, pack)
    this.#flushLater(lane)
    return number
  }

  /**
   * Issues an operation behind all that was issued before it, and calls `done` with how it ended: later, or within
   * `waitFor`.
   *
   * @param {number} verb
   * @param {Way} way
   * @param {Pack} pack
   * @param {(error: Error | undefined, value: any) => void} done must not throw
   * @returns {number} the number of the request
   */
  issueTo (verb, way, pack, done) {
    this.checkOpen()
    const { isWrite = false, wants = 0 } = way
    const number = native.requestOf(wants, this, isWrite, done)
    this.#enter(this.#ordered, number, verb, way.transaction, isWrite, pack)
    this.#flushLater(this.#ordered)
    return number
  }

  /**
   * Blocks until a request of this connection, issued by `issueTo`, has ended. What was issued before it in the lane
   * has been done then, too; its answers are delivered later.
   *
   * @param {number} number
   */
  waitFor (number) {
    this.#checkMayWait()
    native.expectAnswer(false)
    this.#flushHere()
    native.waitFor(number)
  }

  /**
   * Issues an operation behind all that was issued before it, or one that is free ahead of the writes, waits for it in
   * the call, and gives its answer.
   *
   * @param {number} verb
   * @param {Way} way
   * @param {Pack} pack throws only before it has been issued
   * @returns {any}
   */
  issueSync (verb, way, pack) {
    this.checkOpen()
    this.#checkMayWait()
    /** @type {Error | undefined} */
    let failure
    let answer
    const { isWrite = false, wants = 0 } = way
    // Where no write is ahead of it, this thread does it.
    const isAhead = way.isFree === true && way.transaction === undefined && this.hasPendingWrites
    const number = native.requestOf(wants, this, isWrite, (error, value) => {
      failure = error
      answer = value
    })
    this.#enter(isAhead ? this.#reads : this.#ordered, number, verb, way.transaction, isWrite, pack)
    native.expectAnswer(true)
    if (isAhead) this.#flushReads()
    else this.#flushHere()
    native.waitFor(number)
    if (failure !== undefined) throw failure
    return answer
  }

  /**
   * Issues an operation whose answer nobody waits for, such as letting go of a cursor.
   *
   * @param {number} verb
   * @param {Way} way
   * @param {Pack} pack
   */
  tell (verb, way, pack) {
    if (this.#isClosed && !way.isFirst && !way.isStep) return
    const lane = this.#laneFor(way)
    pack(lane.run.begin(verb, 0, way.transaction ?? 0))
    this.#flushLater(lane)
  }

  /** @param {Way} way */
  #laneFor ({ isWrite = false, isOrdered = false, isFree = false, isLong = false, isFirst = false }) {
    if (isLong) return longWork
    if (isFirst && this.#upgrade !== undefined) return this.#upgrade
    return isWrite || isOrdered || (this.#pendingWrites > 0 && !isFree) ? this.#ordered : this.#reads
  }

  /**
   * One of its requests has ended, or something that it waits for.
   *
   * @param {boolean} wasWrite
   */
  settled (wasWrite) {
    if (wasWrite) this.#pendingWrites--
    if (--this.#pending > 0) return
    const listeners = this.#idleListeners
    if (listeners.length === 0) return
    this.#idleListeners = []
    for (const listener of listeners) listener()
  }

  /**
   * Resolves when nothing that was asked for waits for its answer any more.
   *
   * @returns {Promise<void>}
   */
  async idle () {
    if (this.#pending > 0) await new Promise((resolve) => { this.#idleListeners.push(() => resolve(undefined)) })
  }

  /** @param {Lane} lane the one that has just grown */
  #flushLater (lane) {
    const { run } = lane
    if (lane === longWork) {
      this.#send(lane)
      return native.stayAlive()
    }
    if (lane === this.#reads && this.#upgrade === undefined) {
      // Only these: those that are gathered may just be on their way here, and come before what is ordered.
      if (run.length >= RUN_BYTES_MAX || run.count >= READS_MAX) this.#send(lane)
    } else if (run.length >= RUN_BYTES_MAX) {
      this.#flush()
    }
    if (this.#isFlushing) return
    this.#isFlushing = true
    // nextTick and not a microtask: it comes after all microtasks of this turn, so it gathers what they issue, too.
    process.nextTick(this.#atTickEnd)
  }

  #endTick () {
    if (this.#owesTurn) {
      setImmediate(this.#atTurn)
    } else {
      this.#isFlushing = false
      if (this.#isSmall()) this.#writeInCall()
      else this.#flush()
    }
    native.stayAlive()
  }

  #endTurn () {
    this.#owesTurn = false
    this.#tookTurn()
    this.#endTick()
  }

  #tookTurn () {
    this.#effort = 0
    this.#effortOfTurn = 0
    this.#nextLook = EFFORT_BETWEEN_LOOKS
    this.#lastTurn = moment.now()
  }

  /** Whether little waits in the ordered run, and nothing that was issued before it has no answer yet. */
  #isSmall () {
    const { run, numbers } = this.#ordered
    if (run.count === 0 || run.length > SMALL_RUN_BYTES) return false
    return this.#pendingWrites === numbers.length && this.#upgrade === undefined
  }

  /**
   * Sends what has gathered; writes that have to wait for nothing are done in the call. Now and then the event loop
   * gets a turn before the next ones: a loop that awaits nothing else would keep timers and sockets waiting for ever.
   */
  #writeInCall () {
    const start = moment.now()
    if (start < this.#pausedUntil) return this.#flush()
    gathered.flush()
    this.#send(this.#reads)
    const { numbers, run: { bytes } } = this.#ordered
    this.#empty(this.#ordered)
    if (!native.submitSmall(this.#database, bytes, numbers)) return
    const now = moment.now()
    if (now - start > HELD_UP_MS) this.#pausedUntil = now + HELD_UP_PAUSE * (now - start)
    this.#effort += EFFORT_OF_WRITE * numbers.length
    this.#owesTurn = this.#effort >= EFFORT_MAX || now - this.#lastTurn >= MS_BETWEEN_TURNS
  }

  #flush () {
    gathered.flush()
    if (this.#upgrade !== undefined) {
      this.#send(this.#upgrade)
      return
    }
    this.#send(this.#reads)
    this.#send(this.#ordered)
  }

  /** An upgrade needs JavaScript to go on, so a call that waited for its end would wait for ever. */
  #checkMayWait () {
    if (this.#upgrade === undefined) return
    throw new FlowDBError('FLOWDB_BUSY', 'the upgrade of this database has not ended: await it before calls that wait')
  }

  /** Sends what has gathered before a call waits; its thread may do the ordered work itself. */
  #flushHere () {
    this.#flushReads()
    this.#send(this.#ordered, 'submitHere')
  }

  #flushReads () {
    gathered.flush()
    this.#send(this.#reads)
  }

  /**
   * @param {Lane} lane
   * @param {import('./native.js').Lane} [name] where it goes
   */
  #send (lane, name = lane.name) {
    if (lane.run.count === 0) return
    const { numbers, run: { bytes } } = lane
    this.#empty(lane)
    native.submit(this.#database, bytes, numbers, name)
  }

  /**
   * Empties a lane just before its bytes are sent: they stay until the next operation is packed, and the call may take
   * its time.
   *
   * @param {Lane} lane
   */
  #empty (lane) {
    lane.numbers = []
    lane.run.reset()
  }

  /**
   * Reads a document in the call if it lies in memory and no write is ahead of the read.
   *
   * @param {Uint8Array} store from `nameBytes`, which gives the same bytes for the same name
   * @param {unknown} key from `plainKey`
   * @param {typeof native.tryGet | typeof native.tryHas} read
   * @returns {unknown} what it gives, or `native.NOT_AT_HAND`
   */
  readInCall (store, key, read) {
    if (this.#pendingWrites > 0) return native.NOT_AT_HAND
    return read(this.#readingOf(store).read, keyBuffer.putKey(key))
  }

  /**
   * As `readInCall`, or, where many such reads follow each other, together with those.
   *
   * @param {Uint8Array} store
   * @param {unknown} key
   * @param {boolean} isHas whether it is asked only if there is a document
   * @returns {Promise<any> | undefined} `undefined` where it is not at hand
   */
  readSoon (store, key, isHas) {
    if (this.#pendingWrites > 0) return undefined
    const reading = this.#readingOf(store)
    if (gathered.isWorthwhile()) return gathered.gather(isHas ? reading.hases : reading.gets, key)
    const found = (isHas ? native.tryHas : native.tryGet)(reading.read, keyBuffer.putKey(key))
    return found === native.NOT_AT_HAND ? undefined : this.resolved(found)
  }

  /**
   * As `readInCall`, many documents as of one moment.
   *
   * @param {Uint8Array} store
   * @param {readonly unknown[]} keys from `plainKey`
   * @returns {unknown[] | undefined} `undefined` where any of them is not at hand
   */
  readManyInCall (store, keys) {
    if (!this.mayReadInCall(keys.length)) return undefined
    const { read } = this.#readingOf(store)
    gathered.flush()
    let end = 0
    for (const key of keys) {
      end = keyBuffer.putAnother(key, end)
      if (end < 0) return undefined
    }
    const values = native.tryGetMany(read, keys.length, false)
    return values.includes(native.NOT_AT_HAND) ? undefined : values
  }

  /** @param {Uint8Array} store */
  #readingOf (store) {
    return this.#readers.get(store) ?? this.#makeReading(store)
  }

  /** @param {Uint8Array} store */
  #makeReading (store) {
    const read = native.reader(this.#database, store, keyBuffer.buffer)
    const sourceOf = (/** @type {boolean} */ isHas, /** @type {number} */ verb) => ({
      read,
      isHas,
      begin: () => { this.#pending++ },
      end: () => this.settled(false),
      resolve: (/** @type {Resolve} */ resolve, /** @type {unknown} */ value) => this.#resolve(resolve, value),
      // Free, because it was issued before the writes that are pending by now: what is free is sent ahead of them.
      readLater: (/** @type {Uint8Array} */ key) => {
        return this.#issue(verb, { isFree: true }, (run) => run.bytes32(store).bytes32(key))
      }
    })
    const reading = { read, gets: sourceOf(false, VERB.GET), hases: sourceOf(true, VERB.HAS) }
    if (this.#readers.size >= READERS_MAX) this.#readers.clear()
    this.#readers.set(store, reading)
    return reading
  }

  /**
   * Does a read in the call if that is soon done and no write is ahead of it. What it gives is to be `resolved`, which
   * sees to it that the event loop turns.
   *
   * @param {number} verb
   * @param {number} wants what the page that it asks for carries
   * @param {Pack} pack throws before anything has been done
   * @returns {any} its answer, or `native.NOT_AT_HAND`; then it has to be issued
   */
  answerInCall (verb, wants, pack) {
    if (this.#pendingWrites > 0 || this.#effortOfTurn >= EFFORT_OF_TURN_MAX) return native.NOT_AT_HAND
    const answer = this.#inCall.answer(verb, wants, pack)
    const { effort } = this.#inCall
    this.#spendOfTurn(effort)
    if (answer !== native.NOT_AT_HAND) this.#effort += effort
    return answer
  }

  /**
   * Does a read in the call if that is soon done, for a caller that waits for its answer in any case: so it is not
   * counted, and it must be one that no write can change.
   *
   * @param {number} verb
   * @param {number} wants what the page that it asks for carries
   * @param {Pack} pack throws before anything has been done
   * @returns {any} its answer, or `native.NOT_AT_HAND`; then it has to be issued
   */
  tryInCall (verb, wants, pack) {
    return this.#upgrade === undefined ? this.#inCall.answer(verb, wants, pack) : native.NOT_AT_HAND
  }

  /**
   * Counts what reads in the call take. Once it is all that a turn may have, the event loop is seen to turn, whatever
   * came of them: for what was tried in vain nothing is resolved, and so nobody else sees to that.
   *
   * @param {number} effort
   */
  #spendOfTurn (effort) {
    const before = this.#effortOfTurn
    this.#effortOfTurn += effort
    if (before < EFFORT_OF_TURN_MAX && this.#effortOfTurn >= EFFORT_OF_TURN_MAX) setImmediate(this.#atTurnOfReads)
  }

  /**
   * Finds the document that has a key in a unique index in the call, if it lies in memory and no write is ahead.
   *
   * @param {Uint8Array} store from `nameBytes`
   * @param {Uint8Array} index from `nameBytes`
   * @param {unknown} key from `plainKey`
   * @returns {unknown} the document, `undefined` where there is none, or `native.NOT_AT_HAND`
   */
  findInCall (store, index, key) {
    if (this.#pendingWrites > 0) return native.NOT_AT_HAND
    // Two documents are looked up, and `resolved` counts one.
    this.#effort++
    return this.#inCall.find(store, index, key)
  }

  /**
   * Reads a record in the call if it lies in memory and no write is ahead of the read.
   *
   * @param {Pack} pack the fields of the operation that would read it
   * @returns {import('./packing.js').SeriesRecord | undefined | typeof native.NOT_AT_HAND}
   */
  readRecordInCall (pack) {
    if (this.#pendingWrites > 0) return native.NOT_AT_HAND
    try {
      pack(inCall.begin(VERB.GET_RECORD, 0, 0))
      return native.tryGetRecord(this.#database, inCall.bytes)
    } finally {
      inCall.reset()
    }
  }

  /**
   * Makes a reader of a keyspace.
   *
   * @param {Uint8Array} name
   * @param {Buffer} keys where the keys will stand
   */
  keyspaceReader (name, keys) {
    return native.keyspaceReader(this.#database, name, keys)
  }

  /**
   * Whether a read of so much effort may be made in the call: no write is ahead of it, and the turn has not had too
   * much.
   *
   * @param {number} effort
   */
  mayReadInCall (effort) {
    if (this.#pendingWrites > 0 || this.#effortOfTurn >= EFFORT_OF_TURN_MAX) return false
    this.#spendOfTurn(effort)
    return true
  }

  /**
   * Keeps what is visible now under a number from `nextId`. No write may be pending.
   *
   * @param {number} number
   */
  takeSnapshot (number) {
    native.takeSnapshot(this.#database, number)
  }

  /** @param {number} number */
  releaseSnapshot (number) {
    native.releaseSnapshot(this.#database, number)
  }

  /**
   * A promise for a value that is there already. Now and then it resolves only after the event loop has turned:
   * a loop that awaits nothing else would otherwise keep timers and sockets waiting for ever.
   *
   * @template T
   * @param {T} value
   * @param {number} [effort] what it took, 1 for a small document
   * @returns {Promise<T>}
   */
  resolved (value, effort = 1) {
    if (this.#mayGoOn(effort)) return Promise.resolve(value)
    return new Promise((resolve) => this.#resolveInTurn(resolve, value))
  }

  /**
   * Resolves a promise with a value that is there already, as `resolved`.
   *
   * @param {Resolve} resolve
   * @param {unknown} value
   */
  #resolve (resolve, value) {
    if (this.#mayGoOn(1)) resolve(value)
    else this.#resolveInTurn(resolve, value)
  }

  /**
   * Whether what takes so much effort can be given before the event loop has turned.
   *
   * @param {number} effort
   */
  #mayGoOn (effort) {
    this.#effort += effort
    if (this.#effort < this.#nextLook) return true
    this.#nextLook = this.#effort + EFFORT_BETWEEN_LOOKS
    if (this.#effort < EFFORT_MAX && moment.now() - this.#lastTurn < MS_BETWEEN_TURNS) return true
    this.#effort = 0
    this.#nextLook = EFFORT_BETWEEN_LOOKS
    return false
  }

  /**
   * @param {Resolve} resolve
   * @param {unknown} value
   */
  #resolveInTurn (resolve, value) {
    setImmediate(() => {
      this.#tookTurn()
      resolve(value)
    })
  }

  /**
   * Waits for what was issued, closes, and refuses everything from now on.
   *
   * @returns {Promise<void>}
   */
  close () {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close () {
    this.#isClosed = true
    for (const listener of this.#closeListeners) listener()
    await this.idle()
    try {
      await this.#issue(VERB.CLOSE, { isWrite: true }, ignore)
    } finally {
      this.#readers.clear()
      this.#inCall.close()
      native.forget(this.#database)
    }
  }
}

/** @param {string} directory */
async function removeIfEmpty (directory) {
  try {
    await rmdir(directory)
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error)
    if (code === 'ENOENT' || code === 'ENOTEMPTY' || code === 'EEXIST') return
    throw new FlowDBError('FLOWDB_IO', `removing the directory ${cut(directory)}: ${code}`, { cause: error })
  }
}

exports.Connection = Connection
