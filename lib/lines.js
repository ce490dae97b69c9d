'use strict'

/*
 * The lines of what is imported, out of a file or of whatever an iterable gives.
 *
 * Invariant: whoever ends the reading, the source is let go of, and is not waited for where it stands still.
 */

const { constants } = require('node:buffer')
const { createReadStream } = require('node:fs')
const { FlowDBError, reasonOf } = require('./errors.js')
const { bad } = require('./exchange.js')
const { invalid, kindOf } = require('./names.js')
const { readPath } = require('./sinks.js')

/** A longer line can't be a text. */
const LINE_BYTES_MAX = constants.MAX_STRING_LENGTH

const NEW_LINE = 0x0a

/** Stands for half a surrogate pair: no UTF-8 has it, so that the line is refused in which it is. */
const NO_UTF8 = Buffer.from([0xff])

const ignore = () => {}

/** @typedef {import('./ending.js').Ending} Ending */

/**
 * @param {any} source
 * @returns {AsyncIterable<unknown>}
 */
function sourceOf (source) {
  if (typeof source === 'string') return createReadStream(readPath('the file of an import', source))
  let isIterable = false
  try {
    isIterable = typeof source === 'object' && typeof source?.[Symbol.asyncIterator] === 'function'
  } catch {
    // Then it is none.
  }
  if (isIterable) return source
  throw invalid(`import takes the path of a file or a readable stream, not ${kindOf(source)}`)
}

/**
 * The lines of a source, each with its end.
 *
 * @param {AsyncIterable<unknown>} source
 * @param {Ending} ending
 * @returns {AsyncGenerator<Buffer>}
 */
async function * linesOf (source, ending) {
  /** @type {Buffer[]} */
  let begun = []
  let length = 0
  for await (const chunk of bytesOf(chunksOf(source, ending))) {
    let start = 0
    for (let end = chunk.indexOf(NEW_LINE); end >= 0; end = chunk.indexOf(NEW_LINE, start)) {
      const part = chunk.subarray(start, end + 1)
      yield begun.length === 0 ? part : Buffer.concat([...begun, part])
      begun = []
      length = 0
      start = end + 1
    }
    if (start === chunk.length) continue
    // A copy: the stream may use its buffer again.
    begun.push(Buffer.from(chunk.subarray(start)))
    length += chunk.length - start
    if (length > LINE_BYTES_MAX) throw bad(`a line of more than ${LINE_BYTES_MAX} bytes, which is more than a text can have`)
  }
  if (begun.length > 0) yield Buffer.concat(begun)
}

/**
 * What a source gives.
 *
 * @param {AsyncIterable<unknown>} source
 * @param {Ending} ending
 * @returns {AsyncGenerator<unknown>}
 */
async function * chunksOf (source, ending) {
  /** @type {AsyncIterator<unknown> | undefined} while there may be more */
  let iterator
  try {
    for (;;) {
      let next
      try {
        iterator ??= source[Symbol.asyncIterator]()
        next = await ending.before(Promise.resolve(iterator.next()))
        if (next.done) iterator = undefined
      } catch (error) {
        ending.check()
        iterator = undefined
        throw new FlowDBError('FLOWDB_IO', `reading what is to be imported: ${reasonOf(error)}`, { cause: error })
      }
      if (next.done) return
      yield next.value
    }
  } finally {
    if (iterator !== undefined) await letGo(source, iterator, ending)
  }
}

/**
 * Closes a file or socket that is read no further.
 *
 * @param {any} source
 * @param {AsyncIterator<unknown>} iterator
 * @param {Ending} ending
 */
async function letGo (source, iterator, ending) {
  try {
    // An iterator that waits for its stream does not hear of its own end; the stream does.
    if (ending.isOver && typeof source.destroy === 'function') source.destroy()
    const returned = Promise.resolve(iterator.return?.())
    returned.catch(ignore)
    await ending.before(returned)
  } catch {
    // Why nothing more is read has been said already, or is about to be.
  }
}

/**
 * @param {AsyncIterable<unknown>} chunks
 * @returns {AsyncGenerator<Buffer>}
 */
async function * bytesOf (chunks) {
  /** The first half of a pair whose second one may come in the next text. */
  let half = ''
  for await (const chunk of chunks) {
    if (typeof chunk === 'string') {
      const text = half + chunk
      half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? ''
      yield encoded(half === '' ? text : text.slice(0, -1))
    } else if (chunk instanceof Uint8Array) {
      if (half !== '') yield NO_UTF8
      half = ''
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    } else {
      throw invalid(`the stream of an import gives bytes or text, not ${kindOf(chunk)}`)
    }
  }
  if (half !== '') yield NO_UTF8
}

/** @param {string} text */
function encoded (text) {
  const [first, ...others] = text.split(/\p{Surrogate}/u)
  if (others.length === 0) return Buffer.from(first)
  return Buffer.concat([Buffer.from(first), ...others.flatMap((part) => [NO_UTF8, Buffer.from(part)])])
}

exports.linesOf = linesOf
exports.sourceOf = sourceOf
