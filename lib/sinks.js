'use strict'

/*
 * Where an export goes: a file, or a stream of the caller's.
 *
 * Both take a chunk when there is room for it, so that whoever writes to them is as slow as they are. A file gets its
 * name when it is whole.
 */

const { randomBytes } = require('node:crypto')
const { open, realpath, rename, rm, stat } = require('node:fs/promises')
const { resolve } = require('node:path')
const { FlowDBError, cut, reasonOf } = require('./errors.js')
const { checkText, invalid, kindOf } = require('./names.js')

const ignore = () => {}

/** @typedef {import('./ending.js').Ending} Ending */

/**
 * @typedef {object} Sink
 * @property {(chunk: Buffer) => Promise<void>} write
 * @property {() => Promise<void>} finish makes what was written whole
 * @property {() => Promise<void>} abandon what was written is not whole, and stays so
 */

/**
 * @param {unknown} target
 * @param {Ending} ending
 * @returns {Promise<Sink>}
 */
async function sinkOf (target, ending) {
  if (typeof target === 'string') return await pathSink(readPath('the file of an export', target), ending)
  if (isWritable(target)) return new StreamSink(target, ending)
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
    return ['write', 'end', 'on', 'off'].every((name) => typeof target?.[name] === 'function')
  } catch {
    return false
  }
}

/**
 * @param {string} path
 * @param {Ending} ending
 * @returns {Promise<Sink>}
 */
async function pathSink (path, ending) {
  const found = await tried('looking at', path, stat(path).catch(ignoreMissing))
  if (found === undefined) return await fileSink(path)
  if (found.isDirectory()) throw new FlowDBError('FLOWDB_IO', `writing to ${cut(path)}: it is a directory`)
  // The link stays, and what it leads to is replaced.
  if (found.isFile()) return await fileSink(await tried('looking at', path, realpath(path)), found.mode)
  return await deviceSink(path, ending)
}

/** @param {NodeJS.ErrnoException} error */
function ignoreMissing (error) {
  if (error.code !== 'ENOENT') throw error
  return undefined
}

/**
 * A file that is replaced, or made, when the export is whole.
 *
 * @param {string} path
 * @param {number} [mode] that of the file that it replaces: what only some may read stays so
 * @returns {Promise<Sink>}
 */
async function fileSink (path, mode) {
  const unfinished = `${path}.${randomBytes(6).toString('hex')}.part`
  const file = await tried('creating', unfinished, open(unfinished, 'wx', mode))
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
 * A terminal, a pipe or another device. It is there before and afterwards, so it is written to as it is.
 *
 * @param {string} path
 * @param {Ending} ending
 * @returns {Promise<Sink>}
 */
async function deviceSink (path, ending) {
  const device = await tried('opening', path, open(path, 'w'))
  return {
    async write (chunk) {
      // A pipe may be full for ever.
      await ending.before(tried('writing', path, device.writeFile(chunk)))
    },
    async finish () {
      await tried('closing', path, device.close())
    },
    async abandon () {
      device.close().catch(ignore)
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
  #ending
  /** @type {FlowDBError | undefined} */
  #failure
  /** Told when there is room again, or none ever. */
  #wake = ignore

  /**
   * @param {import('node:stream').Writable} stream
   * @param {Ending} ending
   */
  constructor (stream, ending) {
    this.#stream = stream
    this.#ending = ending
    if (stream.destroyed || stream.writableEnded) this.#fail(new Error('it had ended before'))
    stream.on('error', this.#onError)
    stream.on('close', this.#onClose)
    stream.on('drain', this.#onDrain)
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

  /** @param {Buffer} chunk */
  async write (chunk) {
    await this.#call((done) => {
      if (this.#stream.write(chunk)) done()
    })
  }

  async finish () {
    await this.#call((done) => {
      this.#stream.off('close', this.#onClose)
      this.#stream.off('drain', this.#onDrain)
      this.#stream.end((/** @type {Error | null | undefined} */ error) => {
        if (error) this.#fail(error)
        done()
      })
    })
    this.#letGo()
  }

  /**
   * Calls the stream, and waits until that is done, there is room again, or none will ever be.
   *
   * @param {(done: () => void) => void} work may throw
   */
  async #call (work) {
    if (this.#failure !== undefined) throw this.#failure
    const done = new Promise((resolve) => { this.#wake = () => resolve(undefined) })
    try {
      work(this.#wake)
    } catch (error) {
      this.#fail(error)
    }
    await this.#ending.before(done)
    if (this.#failure !== undefined) throw this.#failure
  }

  async abandon () {
    this.#letGo()
  }

  #letGo () {
    this.#stream.off('close', this.#onClose)
    this.#stream.off('drain', this.#onDrain)
    // An error that comes later belongs to a write of ours, and was told or is of no interest any more.
    if (this.#failure === undefined) this.#stream.off('error', this.#onError)
  }
}

exports.readPath = readPath
exports.sinkOf = sinkOf
