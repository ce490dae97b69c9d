'use strict'

/*
 * Where an export goes: a file, or a stream of the caller's.
 *
 * Both take a chunk when there is room for it, so that whoever writes to them is as slow as they are. A file gets its
 * name when it is whole.
 */

const { randomBytes } = require('node:crypto')
const { open, rename, rm } = require('node:fs/promises')
const { resolve } = require('node:path')
const { FlowDBError, cut, reasonOf } = require('./errors.js')
const { checkText, invalid, kindOf } = require('./names.js')

const ignore = () => {}

/**
 * @typedef {object} Sink
 * @property {(chunk: Buffer, signal: AbortSignal | undefined) => Promise<void>} write
 * @property {() => Promise<void>} finish makes what was written whole
 * @property {() => Promise<void>} abandon what was written is not whole, and stays so
 */

/**
 * @param {unknown} target
 * @returns {Promise<Sink>}
 */
async function sinkOf (target) {
  if (typeof target === 'string') return await fileSink(readPath('the file of an export', target))
  if (isWritable(target)) return new StreamSink(target)
  throw invalid(`export takes the path of a file or a writable stream, not ${kindOf(target)}`)
}

/**
 * @param {string} what
 * @param {string} path
 * @returns {string}
 */
function readPath (what, path) {
  if (path === '') throw invalid(`${what} can't be named by an empty path`)
  if (path.includes('\0')) throw invalid(`the path of ${what} can't have a NUL in it`)
  return resolve(checkText(`the path of ${what}`, path))
}

/**
 * @param {any} target
 * @returns {target is import('node:stream').Writable}
 */
function isWritable (target) {
  try {
    return typeof target?.write === 'function' && typeof target.end === 'function' && typeof target.on === 'function'
  } catch {
    return false
  }
}

/**
 * @param {string} path
 * @returns {Promise<Sink>}
 */
async function fileSink (path) {
  const unfinished = `${path}.${randomBytes(6).toString('hex')}.part`
  const file = await tried('creating', unfinished, open(unfinished, 'wx'))
  return {
    async write (chunk) {
      await tried('writing', unfinished, file.writeFile(chunk))
    },
    async finish () {
      await tried('syncing', unfinished, file.sync())
      await tried('closing', unfinished, file.close())
      await tried('naming', path, rename(unfinished, path))
    },
    async abandon () {
      await file.close().catch(ignore)
      await rm(unfinished, { force: true }).catch(ignore)
    }
  }
}

/**
 * @template T
 * @param {string} doing
 * @param {string} path
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
async function tried (doing, path, work) {
  try {
    return await work
  } catch (error) {
    throw new FlowDBError('FLOWDB_IO', `${doing} ${cut(path)}: ${reasonOf(error)}`, { cause: error })
  }
}

/** @implements {Sink} */
class StreamSink {
  #stream
  /** @type {FlowDBError | undefined} */
  #failure
  /** Told when there is room again, or none ever. */
  #wake = ignore

  /** @param {import('node:stream').Writable} stream */
  constructor (stream) {
    this.#stream = stream
    if (stream.destroyed || stream.writableEnded) this.#fail(new Error('it had ended before'))
    stream.on('error', this.#onError).on('close', this.#onClose).on('drain', this.#onDrain)
  }

  #onError = (/** @type {unknown} */ error) => this.#fail(error)
  #onClose = () => this.#fail(new Error('it was closed'))
  #onDrain = () => this.#wake()

  /** @param {unknown} error */
  #fail (error) {
    const message = `writing the export to its stream: ${reasonOf(error)}`
    this.#failure ??= new FlowDBError('FLOWDB_IO', message, { cause: error })
    this.#wake()
  }

  /**
   * @param {Buffer} chunk
   * @param {AbortSignal | undefined} signal
   */
  async write (chunk, signal) {
    if (this.#failure !== undefined) throw this.#failure
    if (!this.#stream.write(chunk)) await this.#woken(signal)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** @param {AbortSignal | undefined} signal */
  async #woken (signal) {
    if (signal?.aborted) return
    await new Promise((resolve) => {
      this.#wake = () => resolve(undefined)
      signal?.addEventListener('abort', this.#wake)
    })
    signal?.removeEventListener('abort', this.#wake)
    this.#wake = ignore
  }

  async finish () {
    if (this.#failure !== undefined) throw this.#failure
    const finished = new Promise((resolve) => { this.#wake = () => resolve(undefined) })
    this.#stream.off('close', this.#onClose).off('drain', this.#onDrain)
    this.#stream.end((/** @type {Error | null | undefined} */ error) => {
      if (error) this.#fail(error)
      this.#wake()
    })
    await finished
    this.#letGo()
    if (this.#failure !== undefined) throw this.#failure
  }

  async abandon () {
    this.#letGo()
  }

  #letGo () {
    this.#stream.off('close', this.#onClose).off('drain', this.#onDrain)
    // An error that comes later belongs to a write of ours, and was told or is of no interest any more.
    if (this.#failure === undefined) this.#stream.off('error', this.#onError)
  }
}

exports.readPath = readPath
exports.sinkOf = sinkOf
exports.tried = tried
