'use strict'

/*
 * Importing what was exported: line by line, in batches that are each written whole or not at all.
 *
 * Invariant: a batch is written when all of its lines have been read, and the next one begins after that. So whatever
 * ends an import, everything up to some line is there and nothing behind it, and the error says which line that is.
 */

const { createHash } = require('node:crypto')
const { setImmediate: turn } = require('node:timers/promises')
const { Ending, checkListeners } = require('./ending.js')
const { FlowDBError, isOwn } = require('./errors.js')
const { bad, readHeader, readLine, textOf } = require('./exchange.js')
const { linesOf, sourceOf } = require('./lines.js')
const { checkCount, checkOptions, kindOf, nameBytes } = require('./names.js')
const { VERB } = require('./packing.js')

/** A batch is written when it has so many documents, or lines of so many bytes. */
const BATCH_DOCUMENTS_MAX = 1000
const BATCH_BYTES_MAX = 1024 * 1024

const NEW_LINE = 0x0a

/**
 * @typedef {object} Imported
 * @property {number} documents that were put
 * @property {number} expired that were left out, because they have expired
 * @property {number} lines that were read, all of which are done
 * @property {number} schemaVersion the version of the schema that they come from
 */

/**
 * @param {import('./session.js').Session} session
 * @param {unknown} source
 * @param {unknown} options
 * @returns {Promise<Imported>}
 */
async function importFrom (session, source, options) {
  const asked = checkOptions('import', options, { signal: 'any', onProgress: 'any', resume: 'any' })
  const { signal, onProgress } = checkListeners('import', asked)
  const { resume = 0 } = asked
  checkCount('import', 'resume', resume)
  const ending = new Ending('import', session, signal)
  try {
    return await new Import(session, resume, ending, onProgress).run(sourceOf(source))
  } finally {
    ending.forget()
  }
}

/** One import on its way. */
class Import {
  #session
  #resume
  #ending
  #onProgress
  /** Of the lines before the last. */
  #hash = createHash('sha256')
  /** The number of the line that is being read. */
  #line = 0
  /** Lines of documents that were read. */
  #read = 0
  #isEnded = false
  /** The names of the stores in the first line. @type {Set<string>} */
  #stores = new Set()
  /** @type {{ line: number, row: import('./exchange.js').Line }[]} */
  #batch = []
  #batchBytes = 0
  /** Of lines that were passed over since the event loop turned. */
  #passedBytes = 0
  /** @type {Imported} */
  #done = { documents: 0, expired: 0, lines: 0, schemaVersion: 0 }

  /**
   * @param {import('./session.js').Session} session
   * @param {number} resume
   * @param {Ending} ending
   * @param {(progress: any) => void} onProgress
   */
  constructor (session, resume, ending, onProgress) {
    this.#session = session
    this.#resume = resume
    this.#ending = ending
    this.#onProgress = onProgress
  }

  /**
   * @param {AsyncIterable<unknown>} source
   * @returns {Promise<Imported>}
   */
  async run (source) {
    try {
      for await (const line of linesOf(source, this.#ending)) {
        this.#ending.check()
        await this.#take(line)
      }
      await this.#write()
      if (!this.#isEnded) throw damaged(`it ends after line ${this.#line}, without the last line of an export`)
    } catch (error) {
      throw this.#explained(error)
    }
    return this.#done
  }

  /**
   * What failed, with the line from which another import can go on.
   *
   * @param {unknown} error
   */
  #explained (error) {
    if (isOwn(error)) Object.assign(error, { resume: this.#done.lines })
    return error
  }

  /** @param {Buffer} bytes a line, with its end */
  async #take (bytes) {
    this.#line++
    if (this.#line === 1) {
      await this.#begin(this.#readable(bytes, readHeader))
      this.#hash.update(bytes)
      return
    }
    const read = this.#readable(bytes, readLine)
    if ('sha256' in read) {
      await this.#end(read)
      return
    }
    this.#hash.update(bytes)
    this.#read++
    if (this.#line <= this.#resume) {
      this.#done.lines = this.#line
      await this.#passed(bytes.length)
      return
    }
    if (!this.#stores.has(read.store)) throw inLine(this.#line, unknownStore(read.store))
    this.#batch.push({ line: this.#line, row: read })
    this.#batchBytes += bytes.length
    if (this.#batch.length >= BATCH_DOCUMENTS_MAX || this.#batchBytes >= BATCH_BYTES_MAX) await this.#write()
  }

  /**
   * Lets the event loop turn now and then, as it does while a batch is written.
   *
   * @param {number} bytes of a line that is passed over
   */
  async #passed (bytes) {
    this.#passedBytes += bytes
    if (this.#passedBytes < BATCH_BYTES_MAX) return
    this.#passedBytes = 0
    await turn()
  }

  /**
   * @template T
   * @param {Buffer} bytes
   * @param {(line: string) => T} read
   * @returns {T}
   */
  #readable (bytes, read) {
    try {
      if (this.#isEnded) throw bad('it stands behind the last line of an export')
      return read(textOf(bytes.at(-1) === NEW_LINE ? bytes.subarray(0, -1) : bytes))
    } catch (error) {
      throw inLine(this.#line, asBad(error))
    }
  }

  /**
   * Creates the stores and indexes that are missing.
   *
   * @param {ReturnType<typeof readHeader>} header
   */
  async #begin ({ schemaVersion, stores }) {
    for (const { indexes, lastKey = 0, ...store } of stores) {
      const name = nameBytes('store', store.name)
      this.#stores.add(store.name)
      await this.#create(VERB.CREATE_STORE, store, (run) => run)
      if (lastKey > 0) {
        // Before any document, so that no key of one that was deleted is given to another.
        await this.#session.issue(VERB.PASS_GENERATED, { isWrite: true }, (run) => run.bytes32(name).i64(lastKey))
      }
      for (const index of indexes) {
        this.#ending.check()
        await this.#create(VERB.CREATE_INDEX, index, (run) => run.bytes32(name))
      }
    }
    this.#done.schemaVersion = schemaVersion
    this.#done.lines = 1
  }

  /**
   * @param {number} verb
   * @param {object} definition of a store or an index
   * @param {(run: import('./run.js').Run) => import('./run.js').Run} pack what stands before it
   */
  async #create (verb, definition, pack) {
    const text = JSON.stringify(definition)
    try {
      await this.#session.issue(verb, { isWrite: true }, (run) => pack(run).text(text))
    } catch (error) {
      const described = asBad(error)
      throw described === error ? error : inLine(this.#line, described)
    }
  }

  /** @param {{ documents: number, sha256: string }} last what the last line says */
  async #end ({ documents, sha256 }) {
    await this.#write()
    this.#isEnded = true
    if (documents !== this.#read) {
      throw damaged(`its last line tells of ${documents} documents, and there were ${this.#read}`)
    }
    if (sha256 !== this.#hash.digest('hex')) throw damaged('its lines are not those that were exported: the checksum differs')
    this.#done.lines = this.#line
  }

  /** Writes the batch. */
  async #write () {
    const batch = this.#batch
    if (batch.length === 0) return
    this.#batch = []
    this.#batchBytes = 0
    const answer = await this.#session.issue(VERB.RESTORE, { isWrite: true }, (run) => {
      run.u32(batch.length)
      for (const { row } of batch) packRow(run, row)
    })
    if (answer.failed !== undefined) throw refused(batch[answer.failed].line, answer.error)
    this.#done.documents += answer.stored
    this.#done.expired += batch.length - answer.stored
    this.#done.lines = batch[batch.length - 1].line
    this.#onProgress({ ...this.#done })
  }
}

/**
 * @param {import('./run.js').Run} run
 * @param {import('./exchange.js').Line} row
 */
function packRow (run, { store, key, format, document, version, updatedAt, expiresAt }) {
  run.bytes32(nameBytes('store', store)).bytes32(key).u8(format)
  if (typeof document === 'string') run.text(document)
  else run.bytes32(document)
  run.i64(version).i64(updatedAt).i64(expiresAt)
}

/**
 * @param {number} line
 * @param {unknown} error
 */
function inLine (line, error) {
  if (!isOwn(error)) return error
  const described = new FlowDBError(error.code, `line ${line} of the import: ${error.message}`, { cause: error.cause })
  return Object.assign(described, { line })
}

/**
 * What was refused as an argument was read from a line, and is no argument of the caller's.
 *
 * @param {unknown} error
 * @returns {unknown}
 */
function asBad (error) {
  return isOwn(error) && error.code === 'FLOWDB_INVALID_ARGUMENT' ? bad(error.message) : error
}

/**
 * @param {number} line
 * @param {{ code: string, message: string }} error as the addon describes it
 */
function refused (line, { code, message }) {
  return inLine(line, new FlowDBError(code, message))
}

/** @param {string} store */
function unknownStore (store) {
  return new FlowDBError('FLOWDB_NOT_FOUND', `the store ${kindOf(store)} is not among those of the first line`)
}

/** @param {string} how */
function damaged (how) {
  return new FlowDBError('FLOWDB_CORRUPTION', `what is imported is not whole: ${how}`)
}

exports.importFrom = importFrom
