'use strict'

/*
 * Exporting: schema and documents of one moment as lines of JSON, page by page, as fast as they are taken.
 */

const { createHash } = require('node:crypto')
const { Ending, checkListeners } = require('./ending.js')
const { isOwn } = require('./errors.js')
const { documentLine, headerLine, lastLine } = require('./exchange.js')
const { checkName, checkOptions, eachOf, invalid, nameBytes } = require('./names.js')
const { VERB } = require('./packing.js')
const { Rows } = require('./cursor.js')
const { sinkOf } = require('./sinks.js')
const { TransactionSession } = require('./transaction.js')

/** Lines are gathered up to so many characters before they are written. */
const CHUNK_CHARACTERS = 64 * 1024

/** The stores may change so often between the look at them and the snapshot. */
const LOOKS_MAX = 100

const ignore = () => {}

/**
 * @typedef {object} Exported
 * @property {number} stores
 * @property {number} documents
 * @property {number} bytes
 */

/**
 * @param {import('./session.js').Session} session
 * @param {unknown} target
 * @param {unknown} options
 * @returns {Promise<Exported>}
 */
async function exportTo (session, target, options) {
  const asked = checkOptions('export', options, { stores: 'any', signal: 'any', onProgress: 'any' })
  const { signal, onProgress } = checkListeners('export', asked)
  const stores = asked.stores === undefined ? undefined : namesOf(asked.stores)
  const ending = new Ending('export', session, signal)
  try {
    const sink = await sinkOf(target, ending)
    try {
      const exported = await new Export(session, sink, ending, onProgress).run(stores)
      await sink.finish()
      return exported
    } catch (error) {
      await sink.abandon()
      throw error
    }
  } finally {
    ending.forget()
  }
}

/** @param {unknown} stores */
function namesOf (stores) {
  const names = eachOf('stores of export', stores, (name) => checkName('store', name))
  if (names === undefined || names.length === 0) throw invalid('stores of export is an array of at least one name')
  return [...new Set(names)]
}

/** One export on its way. */
class Export {
  #session
  #sink
  #ending
  #onProgress
  #hash = createHash('sha256')
  #gathered = ''
  /** Whether the checksum has been taken. */
  #isSealed = false
  /** @type {Exported} */
  #done = { stores: 0, documents: 0, bytes: 0 }

  /**
   * @param {import('./session.js').Session} session
   * @param {import('./sinks.js').Sink} sink
   * @param {Ending} ending
   * @param {(progress: any) => void} onProgress
   */
  constructor (session, sink, ending, onProgress) {
    this.#session = session
    this.#sink = sink
    this.#ending = ending
    this.#onProgress = onProgress
  }

  /**
   * @param {string[] | undefined} stores
   * @returns {Promise<Exported>}
   */
  async run (stores) {
    const { moment, schema } = await this.#begin(stores)
    try {
      const names = schema.map(({ name }) => nameBytes('store', name))
      const asked = (moment ?? this.#session).issue(VERB.MOMENT, {}, (run) => {
        run.u32(names.length)
        for (const name of names) run.bytes32(name)
      })
      const { schemaVersion, lastKeys } = await asked
      this.#gathered = headerLine(schemaVersion, schema, lastKeys)
      for (const { name } of schema) await this.#store(/** @type {TransactionSession} */ (moment), name)
    } finally {
      if (moment?.isActive) await moment.abort()
    }
    await this.#flush()
    this.#isSealed = true
    this.#gathered = lastLine(this.#done.documents, this.#hash.digest('hex'))
    await this.#flush()
    return this.#done
  }

  /**
   * Takes a snapshot of the stores that were asked for, or of all that there are in it.
   *
   * @param {string[] | undefined} stores
   * @returns {Promise<{ moment?: TransactionSession, schema: any[] }>}
   */
  async #begin (stores) {
    if (stores !== undefined) return await this.#snapshot(stores)
    for (let look = 1; ; look++) {
      const before = await this.#names()
      if (before.length === 0) return { schema: [] }
      let found
      try {
        found = await this.#snapshot(before)
      } catch (error) {
        const isGone = isOwn(error) && error.code === 'FLOWDB_NOT_FOUND'
        if (!isGone || look >= LOOKS_MAX) throw error
        continue
      }
      // A store that came between is in the snapshot and would be missing.
      const after = await this.#names()
      if (look >= LOOKS_MAX || after.every((name) => before.includes(name))) return found
      await found.moment.abort()
    }
  }

  /** @returns {Promise<string[]>} */
  async #names () {
    const schema = await this.#session.issue(VERB.SCHEMA, {}, ignore)
    return schema.map((/** @type {{ name: string }} */ { name }) => name)
  }

  /** @param {string[]} stores */
  async #snapshot (stores) {
    const moment = new TransactionSession(this.#session, stores, true, false)
    try {
      return { moment, schema: await moment.issue(VERB.SCHEMA, {}, ignore) }
    } catch (error) {
      if (moment.isActive) await moment.abort()
      throw error
    }
  }

  /**
   * @param {TransactionSession} moment
   * @param {string} name
   */
  async #store (moment, name) {
    const store = nameBytes('store', name)
    const scan = { verb: VERB.OPEN_ROWS, pack: (/** @type {any} */ run) => run.bytes32(store), limit: Infinity }
    const select = (/** @type {import('./packing.js').Page} */ page) => page.documents
    const label = JSON.stringify(name)
    for await (const row of new Rows(moment, scan, name, select)) {
      this.#ending.check()
      for (const part of documentLine(label, /** @type {import('./packing.js').StoredRow} */ (row))) {
        // A long document is not copied into a longer text, which might not be one any more.
        if (this.#gathered.length + part.length > CHUNK_CHARACTERS) await this.#flush()
        this.#gathered += part
      }
      this.#done.documents++
    }
    await this.#flush()
    this.#done.stores++
    this.#onProgress({ ...this.#done, store: name })
  }

  async #flush () {
    if (this.#gathered === '') return
    const chunk = Buffer.from(this.#gathered)
    const isFull = this.#gathered.length > CHUNK_CHARACTERS / 2
    this.#gathered = ''
    this.#ending.check()
    await this.#sink.write(chunk)
    this.#ending.check()
    this.#done.bytes += chunk.length
    if (!this.#isSealed) this.#hash.update(chunk)
    if (isFull) this.#onProgress({ ...this.#done })
  }
}

exports.exportTo = exportTo
