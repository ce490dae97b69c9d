'use strict'

/*
 * Reads of a keyspace that are answered in the call where what they read lies in memory: src/binding/raw.rs says how.
 *
 * The keys stand in a buffer of their own and not in that of documents (key-buffer.js), where others may be gathered.
 */

const { KEY_BYTES_MAX } = require('./key.js')
const native = require('./native.js')

/** @type {any} */
const NOT_AT_HAND = native.NOT_AT_HAND

const LENGTH_BYTES = 2
/** Many keys have so much room, behind that of one. */
const MANY_BYTES = 64 * 1024

/** So many keys are read together at most. */
const TOGETHER_MAX = 256

/** Shorter texts are written byte by byte, as long as they are ASCII. */
const SHORT_TEXT = 48

const room = Buffer.allocUnsafeSlow(KEY_BYTES_MAX + MANY_BYTES)

/**
 * Writes a key, which has to have room.
 *
 * @param {import('./keyspace-range.js').Bytes} key
 * @param {number} start
 * @returns {number} its end
 */
function put (key, start) {
  if (typeof key !== 'string') {
    room.set(key, start)
    return start + key.length
  }
  if (key.length > SHORT_TEXT) return start + room.write(key, start)
  for (let at = 0; at < key.length; at++) {
    const unit = key.charCodeAt(at)
    if (unit > 0x7f) return start + room.write(key, start)
    room[start + at] = unit
  }
  return start + key.length
}

/**
 * How many bytes a key takes at most.
 *
 * @param {import('./keyspace-range.js').Bytes} key
 */
const roomOf = (key) => typeof key === 'string' ? key.length * 3 : key.length

class KeyspaceReader {
  #connection
  #name
  /** Made when it is first needed. @type {import('./native.js').Reader | undefined} */
  #read

  /**
   * @param {import('./connection.js').Connection} connection
   * @param {Uint8Array} name
   */
  constructor (connection, name) {
    this.#connection = connection
    this.#name = name
  }

  get #reader () {
    this.#read ??= this.#connection.keyspaceReader(this.#name, room)
    return this.#read
  }

  /**
   * @param {import('./keyspace-range.js').Bytes} key
   * @param {boolean} isText
   * @returns {any} the value, `undefined` where there is none, or `NOT_AT_HAND`
   */
  get (key, isText) {
    if (this.#connection.hasPendingWrites || roomOf(key) > KEY_BYTES_MAX) return NOT_AT_HAND
    return native.tryValue(this.#reader, put(key, 0), isText)
  }

  /**
   * @param {import('./keyspace-range.js').Bytes} key
   * @returns {any} whether it is there, or `NOT_AT_HAND`
   */
  has (key) {
    const length = this.#connection.hasPendingWrites || roomOf(key) > KEY_BYTES_MAX ? 0 : put(key, 0)
    // The sign says what is asked, so an empty key can't be asked for so.
    return length === 0 ? NOT_AT_HAND : native.tryHas(this.#reader, length)
  }

  /**
   * @param {readonly import('./keyspace-range.js').Bytes[]} keys
   * @param {boolean} isText
   * @returns {any[] | undefined} `undefined` where any of them is not at hand
   */
  getMany (keys, isText) {
    if (keys.length > TOGETHER_MAX || !this.#connection.mayReadInCall(keys.length)) return undefined
    let at = KEY_BYTES_MAX
    for (const key of keys) {
      if (roomOf(key) > KEY_BYTES_MAX || at + LENGTH_BYTES + roomOf(key) > room.length) return undefined
      const end = put(key, at + LENGTH_BYTES)
      room.writeUInt16LE(end - at - LENGTH_BYTES, at)
      at = end
    }
    const values = native.tryValues(this.#reader, keys.length, isText)
    return values.includes(NOT_AT_HAND) ? undefined : values
  }
}

exports.KeyspaceReader = KeyspaceReader
