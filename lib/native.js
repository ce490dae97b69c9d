'use strict'

/*
 * The addon, and the requests that are on their way through it. Nothing else imports the addon.
 *
 * A request gets a number; its answer carries the number back. Workers gather answers and wake this thread once for
 * all of them, then they are taken in portions, so that the event loop turns in between.
 *
 * Invariant: every request is settled exactly once, and while one is pending the process stays alive for it.
 */

const util = require('node:util')
const { FlowDBError, isOwn } = require('./errors.js')
const { takeValue } = require('./keyspace-answers.js')
const moment = require('./moment.js')
const { Failure, NOTHING_WANTED, Notice, readAnswers, readRecord } = require('./packing.js')
const { readDocument } = require('./values.js')
const addon = /** @type {typeof import('../native.d.ts')} */ (require('../native.js'))

/** There is room for so many bytes of answers; more are taken into a buffer of their own. */
const PORTION_BYTES = 256 * 1024

/** After so many answers, or so long, the event loop gets its turn, even if more answers wait. */
const ANSWERS_MAX = 1000
const ANSWERS_MS_MAX = 3

/** What the first byte of `fastDocument` is when a reader gives the value itself, and not its JSON. */
const IS_VALUE = 1

/** What a reader gives when it can't tell in the call. */
const UNKNOWN = -1

/** A reader is asked for many keys by so much more than their count. */
const MANY = 1 << 20

/** What the answers to them are, beside those in a format: see `src/binding/raw_many.rs`. */
const MANY_MISSING = 0
const MANY_ASCII = 8
const MANY_TEXT = 9
const MANY_UNKNOWN = 255

/** A number that a reader gives is a length times this, and a format. */
const FORMATS = 8
/** A call that waits for its answer lets JavaScript look about after so long, because its thread may be terminated. */
const WAIT_MS = 50

/** Documents up to this size are read in the call when they lie in memory. */
const FAST_DOCUMENT_BYTES_MAX = 64 * 1024

/** @type {object | undefined} */
let environment
const portion = Buffer.allocUnsafeSlow(PORTION_BYTES)
const fastDocument = Buffer.allocUnsafeSlow(FAST_DOCUMENT_BYTES_MAX)
const fastHeads = new Uint32Array(fastDocument.buffer)

/**
 * Where a run goes: behind what was submitted before (and there it may be done by this thread), to any worker, or to
 * those for long work, which take one operation.
 *
 * @typedef {'submit' | 'submitHere' | 'submitReads' | 'submitLongWork'} Lane
 */

/**
 * Reads from memory what is stored under the encoded key in a buffer, of which it takes the length, or what is stored
 * under many; or gives a part of what it has read as a string: see `src/binding/raw.rs`.
 *
 * @typedef {(length: number, start?: number) => string | number | boolean | undefined} Reader
 */

/** What `tryGet` gives when it can't tell without waiting. */
const NOT_AT_HAND = Symbol('not at hand')

/**
 * A request that waits for its answer.
 *
 * @typedef {object} Request
 * @property {(value: any) => void} resolve
 * @property {((failure: unknown) => void) | undefined} reject `undefined` where a promise is all there is
 * @property {number} wants what the page that it asked for carries
 * @property {Owner} owner told once, before the promise settles
 * @property {boolean} isWrite what the owner calls a write
 * @property {unknown} result what it resolves to in place of its answer, unless that is `ITS_ANSWER`
 */

/**
 * Whose requests these are.
 *
 * @typedef {{ settled: (isWrite: boolean, failed: boolean, request: Request) => void }} Owner
 */

/** A request that resolves to its answer. */
const ITS_ANSWER = Symbol('its answer')
/** Requests of nobody. @type {Owner} */
const NOBODY = { settled: () => {} }

/** @type {(Request | undefined)[]} by number; number 0 means that no answer is wanted */
const requests = [undefined]
/** @type {number[]} */
const freeNumbers = []
let pending = 0
/** Whether the process stays alive for what is pending. */
let isReferenced = false

/** What is called when changes wait, by the number of the watch. @type {Map<number, () => void>} */
const notices = new Map()
let lastWatch = 0

/** The environment's half of the addon, made when the first database is opened. */
function link () {
  environment ??= addon.connect(takeAnswers)
  return environment
}

/**
 * Runs a call into the addon; what it throws becomes the error it stands for.
 *
 * @template T
 * @param {() => T} call
 * @returns {T}
 */
function calling (call) {
  try {
    return call()
  } catch (error) {
    throw toError(described(error))
  }
}

/**
 * @param {unknown} error thrown by the addon: its message is a description in JSON
 * @returns {import('./packing.js').Description}
 */
function described (error) {
  const message = error instanceof Error ? error.message : String(error)
  try {
    return JSON.parse(message)
  } catch {
    return { code: 'FLOWDB_INTERNAL', message: `the addon refused a call: ${message}` }
  }
}

/**
 * Makes the error that a description stands for. Its stack starts where this is called.
 *
 * @param {import('./packing.js').Description} description
 * @returns {Error}
 */
function toError ({ code, errno, message, cause }) {
  const options = cause === undefined ? undefined : { cause: toError(cause) }
  if (code !== undefined) return new FlowDBError(code, message, options)
  const error = /** @type {NodeJS.ErrnoException} */ (new Error(message, options))
  if (errno !== undefined) {
    error.errno = errno
    // Node's names are for libuv's numbers, which are the system's own negated, but not on Windows.
    if (process.platform !== 'win32') error.code = util.getSystemErrorName(-errno)
  }
  return error
}

/**
 * A promise that rejects with the error of a request that has failed. The promise of the request is resolved with it:
 * V8 then writes the callers that await that into the stack of the error. As long as nothing fails, nothing is made.
 *
 * @param {unknown} failure
 * @returns {Promise<never>}
 */
async function rejected (failure) {
  // In the first of these turns the request's promise begins to follow this one, and V8 finds the callers by that.
  await undefined
  await undefined
  if (!(failure instanceof Failure)) throw failure
  const error = toError(failure.description)
  Error.captureStackTrace(error, rejected)
  throw error
}

/**
 * Makes a handle for a database.
 *
 * @param {import('../native.d.ts').OptionSetting[]} settings
 * @returns {number}
 */
function create (settings) {
  return calling(() => addon.create(link(), settings))
}

/** What options there are. */
const options = () => addon.options()

/**
 * The name of the option, in snake case, that somebody may have meant.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
const nearestOption = (name) => addon.nearestOption(Buffer.from(name)) ?? undefined

/** What resolves the promise that was made last. @type {(value: any) => void} */
let lastResolve
/** @param {(value: any) => void} resolve */
const keepResolve = (resolve) => { lastResolve = resolve }

/**
 * Makes a request that is about to be packed under the number that it gets.
 *
 * @param {number} [wants] what the page that it asks for carries
 * @param {Owner} [owner] told once, before the answer
 * @param {boolean} [isWrite]
 * @param {unknown} [result] what it resolves to in place of its answer
 * @returns {{ number: number, answer: Promise<any> }}
 */
function request (wants = 0, owner = NOBODY, isWrite = false, result = ITS_ANSWER) {
  const answer = new Promise(keepResolve)
  return { number: register({ resolve: lastResolve, reject: undefined, wants, owner, isWrite, result }), answer }
}

/**
 * Gives a request its number, under which it is about to be packed.
 *
 * @param {Request} request
 * @returns {number}
 */
function register (request) {
  const number = freeNumbers.pop() ?? requests.length
  requests[number] = request
  pending++
  return number
}

/**
 * Keeps the process alive while requests are pending. To be called before the event loop turns: for those that are
 * answered before that, nothing has to be kept.
 */
function stayAlive () {
  if (pending === 0 || isReferenced) return
  isReferenced = true
  addon.keepAlive(link(), true)
}

/**
 * Makes a request whose answer is given to a function in place of a promise, so that it can be waited for in a call.
 *
 * @param {number} wants what the page that it asks for carries
 * @param {Owner} owner told once, before the answer, and when the request is taken back
 * @param {boolean} isWrite
 * @param {(error: Error | undefined, value: any) => void} done must not throw
 * @returns {number}
 */
function requestOf (wants, owner, isWrite, done) {
  return register({
    resolve: (value) => done(undefined, value),
    reject: (failure) => {
      const error = failure instanceof Failure ? toError(failure.description) : failure
      done(/** @type {Error} */ (error), undefined)
    },
    wants,
    owner,
    isWrite,
    result: ITS_ANSWER
  })
}

/**
 * Blocks until a request has been settled. It must have been submitted.
 *
 * @param {number} number
 */
function waitFor (number) {
  const request = requests[number]
  while (request !== undefined && requests[number] === request) {
    const answers = addon.waitFor(link(), number, WAIT_MS)
    if (answers !== null) readAnswers(answers, answers.length, wantsOf, readDocument, answer)
  }
}

/**
 * Comes before `waitFor`.
 *
 * @param {boolean} isNew whether the request will be submitted only now
 */
function expectAnswer (isNew) {
  addon.expectAnswer(link(), isNew)
}

/**
 * Takes back a request that could not be packed. Its promise stays pending, and nobody has it.
 *
 * @param {number} number
 */
function withdraw (number) {
  unregister(number, true)
}

/**
 * Gives a number back and returns its request.
 *
 * @param {number} number
 * @param {boolean} failed
 * @returns {Request | undefined}
 */
function unregister (number, failed) {
  const request = requests[number]
  if (request === undefined) return undefined
  requests[number] = undefined
  freeNumbers.push(number)
  if (--pending === 0 && isReferenced) {
    isReferenced = false
    addon.keepAlive(link(), false)
  }
  request.owner.settled(request.isWrite, failed, request)
  return request
}

/**
 * Sends a run of operations to a database. Where it is refused, every request in it is rejected.
 *
 * @param {number} database
 * @param {Uint8Array} run
 * @param {number[]} numbers the requests in it
 * @param {Lane} lane
 */
function submit (database, run, numbers, lane) {
  try {
    addon[lane](link(), database, run)
  } catch (error) {
    refuseAll(numbers, error)
  }
}

/**
 * As `submit` into the lane; but small writes that have to wait for nothing are done in the call, and their requests
 * settled.
 *
 * @param {number} database
 * @param {Uint8Array} run
 * @param {number[]} numbers the requests in it
 * @returns {boolean} whether they were done
 */
function submitSmall (database, run, numbers) {
  let length
  try {
    length = addon.submitSmall(link(), database, run, portion)
  } catch (error) {
    refuseAll(numbers, error)
    return false
  }
  if (length === 0) return false
  readAnswers(portion, length, wantsOf, readDocument, answer)
  return true
}

/**
 * @param {number[]} numbers of requests that the addon has not taken
 * @param {unknown} error what it threw
 */
function refuseAll (numbers, error) {
  const failure = new Failure(described(error))
  refuse(numbers, () => failure)
}

/**
 * Rejects requests that were never sent.
 *
 * @param {number[]} numbers
 * @param {() => Error | Failure} why makes an error for each
 */
function refuse (numbers, why) {
  for (const number of numbers) {
    const request = unregister(number, true)
    if (request !== undefined) fail(request, why())
  }
}

/**
 * @param {Request} request
 * @param {Error | Failure} failure
 */
function fail (request, failure) {
  if (request.reject === undefined) request.resolve(rejected(failure))
  else request.reject(failure)
}

/**
 * Escapes the string of JSON, without its quotes, that stands in a buffer, of `length` bytes.
 *
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} length
 * @returns {number} its length then; where there is no room for that, nothing has been done
 */
const escape = (buffer, start, length) => addon.escape(buffer, start, length)

/** Takes the answers that wait, and settles their requests. */
function takeAnswers () {
  const started = moment.now()
  const pendingMin = pending - ANSWERS_MAX
  let buffer = portion
  for (;;) {
    const length = addon.take(link(), buffer)
    if (length === 0) return
    if (length < 0) {
      buffer = Buffer.allocUnsafeSlow(-length)
      continue
    }
    readAnswers(buffer, length, wantsOf, readDocument, answer)
    buffer = portion
    // What awaits these answers runs when this returns, and takes longer than settling them.
    if (pending <= pendingMin || moment.now() - started > ANSWERS_MS_MAX) {
      setImmediate(takeAnswers)
      return
    }
  }
}

/** @param {number} number */
function wantsOf (number) {
  const request = requests[number]
  if (request === undefined) return 0
  return request.result === ITS_ANSWER ? request.wants : NOTHING_WANTED
}

/**
 * @param {number} number
 * @param {unknown} value
 */
function answer (number, value) {
  if (value instanceof Notice) return notices.get(value.watch)?.()
  const request = unregister(number, value instanceof Failure)
  if (request === undefined) return
  if (value instanceof Failure) fail(request, value)
  else request.resolve(request.result === ITS_ANSWER ? value : request.result)
}

/**
 * Makes a reader of a store, which need not exist.
 *
 * @param {number} database
 * @param {Uint8Array} store the store's name
 * @param {Buffer} key where the encoded keys will stand
 * @returns {Reader}
 */
function reader (database, store, key) {
  return calling(() => addon.reader(link(), database, store, key, fastDocument))
}

/**
 * Makes a reader of a store by the keys of a unique index; neither need exist.
 *
 * @param {number} database
 * @param {Uint8Array} store the store's name
 * @param {Uint8Array} index the index's name
 * @param {Buffer} key where the encoded keys will stand
 * @returns {Reader}
 */
function uniqueReader (database, store, index, key) {
  return calling(() => addon.uniqueReader(link(), database, store, index, key, fastDocument))
}

/**
 * Makes a function that does one read in the call, where that is soon done: it takes the length of the packed operation
 * in `run`, and gives 0 where the answer stands in `out`; see `src/binding/raw_call.rs`.
 *
 * @param {number} database
 * @param {Buffer} run
 * @param {Buffer} out
 * @returns {(length: number) => number}
 */
function answerer (database, run, out) {
  return calling(() => addon.answerer(link(), database, run, out))
}

/**
 * Reads a document that lies in memory.
 *
 * @param {Reader} read
 * @param {number} length of the encoded key
 * @returns {unknown} the document, `undefined` where there is none, or `NOT_AT_HAND`
 */
function tryGet (read, length) {
  const found = read(length)
  if (typeof found === 'string') return fastDocument[0] === IS_VALUE ? found : JSON.parse(found)
  if (found === undefined) return undefined
  if (found === UNKNOWN) return NOT_AT_HAND
  return readFast(Number(found))
}

/** @param {number} found what a reader gave */
function readFast (found) {
  try {
    return readDocument(found % FORMATS, fastDocument, 0, Math.floor(found / FORMATS))
  } catch (error) {
    if (isOwn(error)) throw error
    throw new FlowDBError('FLOWDB_INTERNAL', `a document could not be read: ${error}`, { cause: error })
  }
}

/**
 * Reads documents that lie in memory, as of one moment.
 *
 * @param {Reader} read
 * @param {number} count of the encoded keys
 * @param {boolean} isHas whether it is asked only if there are documents
 * @returns {unknown[]} for each as `tryGet`, or as `tryHas`; also what can't be read is `NOT_AT_HAND`
 */
function tryGetMany (read, count, isHas) {
  /** @type {unknown[]} */
  const values = new Array(count)
  if (read(isHas ? -MANY - count : MANY + count) !== true) return values.fill(NOT_AT_HAND)
  let start = count * 4
  for (let place = 0; place < count; place++) {
    const head = fastHeads[place]
    const length = head >>> 8
    values[place] = isHas ? hasOne(head & 0xff) : readOne(read, head & 0xff, start, length)
    start += length
  }
  return values
}

/** @param {number} what an answer is */
function hasOne (what) {
  return what === MANY_UNKNOWN ? NOT_AT_HAND : what !== MANY_MISSING
}

/**
 * @param {Reader} read
 * @param {number} what the answer is
 * @param {number} start
 * @param {number} length
 * @returns {unknown}
 */
function readOne (read, what, start, length) {
  if (what === MANY_TEXT) return read(length, start)
  if (what === MANY_MISSING) return undefined
  if (what === MANY_UNKNOWN) return NOT_AT_HAND
  try {
    if (what === MANY_ASCII) return JSON.parse(/** @type {string} */ (read(length, start)))
    return readDocument(what, fastDocument, start, start + length)
  } catch {
    // Whoever asks for it by an operation is told why.
    return NOT_AT_HAND
  }
}

/**
 * Whether there is a document, if that can be told in the call.
 *
 * @param {Reader} read
 * @param {number} length of the encoded key
 * @returns {boolean | typeof NOT_AT_HAND}
 */
function tryHas (read, length) {
  const found = read(-length)
  return typeof found === 'boolean' ? found : NOT_AT_HAND
}

/**
 * Reads a record that lies in memory.
 *
 * @param {number} database
 * @param {Uint8Array} run the operation that would read it
 * @returns {import('./packing.js').SeriesRecord | undefined | typeof NOT_AT_HAND} `undefined` where there is none
 */
function tryGetRecord (database, run) {
  const length = addon.tryGetRecord(link(), database, run, fastDocument)
  if (length === -1) return undefined
  if (length < 0) return NOT_AT_HAND
  try {
    return readRecord(fastDocument, readDocument)
  } catch (error) {
    if (isOwn(error)) throw error
    throw new FlowDBError('FLOWDB_INTERNAL', `a record could not be read: ${error}`, { cause: error })
  }
}

/**
 * Makes a reader of a keyspace.
 *
 * @param {number} database
 * @param {Uint8Array} name
 * @param {Buffer} keys where the keys will stand
 * @returns {Reader}
 */
function keyspaceReader (database, name, keys) {
  return calling(() => addon.keyspaceReader(link(), database, name, keys, fastDocument))
}

/**
 * Reads a value of a keyspace that lies in memory.
 *
 * @param {Reader} read
 * @param {number} length of the key
 * @param {boolean} isText whether it is wanted as text
 * @returns {Buffer | string | undefined | typeof NOT_AT_HAND} `undefined` where there is none
 */
function tryValue (read, length, isText) {
  const found = read(length)
  if (found === undefined) return undefined
  if (found === UNKNOWN) return NOT_AT_HAND
  return takeValue(fastDocument, 0, Math.floor(Number(found) / FORMATS), isText)
}

/**
 * Reads values of a keyspace that lie in memory, as of one moment.
 *
 * @param {Reader} read
 * @param {number} count of the keys
 * @param {boolean} isText
 * @returns {(Buffer | string | undefined | typeof NOT_AT_HAND)[]}
 */
function tryValues (read, count, isText) {
  const values = new Array(count)
  if (read(MANY + count) !== true) return values.fill(NOT_AT_HAND)
  let start = count * 4
  for (let place = 0; place < count; place++) {
    const head = fastHeads[place]
    const [what, end] = [head & 0xff, start + (head >>> 8)]
    if (what === MANY_UNKNOWN) values[place] = NOT_AT_HAND
    else values[place] = what === MANY_MISSING ? undefined : takeValue(fastDocument, start, end, isText)
    start = end
  }
  return values
}

/**
 * @param {number} database
 * @param {number} number
 */
function takeSnapshot (database, number) {
  calling(() => addon.takeSnapshot(link(), database, number))
}

/**
 * @param {number} database which may be closed
 * @param {number} number
 */
function releaseSnapshot (database, number) {
  addon.releaseSnapshot(link(), database, number)
}

/**
 * Lets go of a closed handle.
 *
 * @param {number} database
 */
function forget (database) {
  addon.forget(link(), database)
}

/**
 * Makes a number for a watch, which no other one has.
 *
 * @param {() => void} onNotice called when changes wait for it
 * @returns {number}
 */
function watch (onNotice) {
  do lastWatch = lastWatch % 0xffffffff + 1
  while (notices.has(lastWatch))
  notices.set(lastWatch, onNotice)
  return lastWatch
}

/**
 * Gives the number of a watch back.
 *
 * @param {number} number
 */
function unwatch (number) {
  notices.delete(number)
}

exports.ITS_ANSWER = ITS_ANSWER
exports.NOT_AT_HAND = NOT_AT_HAND
exports.answerer = answerer
exports.create = create
exports.escape = escape
exports.expectAnswer = expectAnswer
exports.forget = forget
exports.keyspaceReader = keyspaceReader
exports.nearestOption = nearestOption
exports.options = options
exports.reader = reader
exports.refuse = refuse
exports.register = register
exports.rejected = rejected
exports.releaseSnapshot = releaseSnapshot
exports.request = request
exports.requestOf = requestOf
exports.stayAlive = stayAlive
exports.submit = submit
exports.submitSmall = submitSmall
exports.takeSnapshot = takeSnapshot
exports.tryGet = tryGet
exports.tryGetMany = tryGetMany
exports.tryGetRecord = tryGetRecord
exports.tryHas = tryHas
exports.tryValue = tryValue
exports.tryValues = tryValues
exports.uniqueReader = uniqueReader
exports.unwatch = unwatch
exports.waitFor = waitFor
exports.watch = watch
exports.withdraw = withdraw
