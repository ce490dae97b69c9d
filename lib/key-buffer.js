'use strict'

/*
 * The buffer in which encoded keys are handed to readers (src/binding/raw.rs): one at its beginning, or many behind
 * that, each with its length before it.
 */

const { KEY_BYTES_MAX, writeKey } = require('./key.js')

const LENGTH_BYTES = 2

/** Many keys have so much room. */
const MANY_BYTES = 64 * 1024

/** What is left of it must be as much for one key more. */
const ROOM_BYTES = LENGTH_BYTES + KEY_BYTES_MAX

const buffer = Buffer.allocUnsafeSlow(KEY_BYTES_MAX + MANY_BYTES)

/**
 * Writes the one key.
 *
 * @param {unknown} key from `plainKey`
 * @returns {number} its length
 */
function putKey (key) {
  return writeKey(key, buffer, 0)
}

/**
 * Copies the one key.
 *
 * @param {Uint8Array} key encoded
 * @returns {number} its length
 */
function putEncoded (key) {
  buffer.set(key)
  return key.length
}

/**
 * Writes one of many keys.
 *
 * @param {unknown} key from `plainKey`
 * @param {number} at how many bytes those before it have taken
 * @returns {number} how many they have taken with it, or -1 where there may be no room for another one
 */
function putAnother (key, at) {
  if (at + ROOM_BYTES > MANY_BYTES) return -1
  const start = KEY_BYTES_MAX + at + LENGTH_BYTES
  const end = writeKey(key, buffer, start)
  const length = end - start
  buffer[start - 2] = length & 0xff
  buffer[start - 1] = length >>> 8
  return end - KEY_BYTES_MAX
}

/**
 * The keys that stand there, of which there are so many, each in bytes of its own.
 *
 * @param {number} count
 * @returns {Uint8Array[]}
 */
function keysOf (count) {
  const keys = []
  for (let at = KEY_BYTES_MAX; keys.length < count;) {
    const start = at + LENGTH_BYTES
    at = start + buffer.readUInt16LE(at)
    keys.push(Uint8Array.prototype.slice.call(buffer, start, at))
  }
  return keys
}

exports.buffer = buffer
exports.keysOf = keysOf
exports.putAnother = putAnother
exports.putEncoded = putEncoded
exports.putKey = putKey
