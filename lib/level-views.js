'use strict'

/*
 * What `flowdb/level` gives in the encoding `view`.
 *
 * Invariant: it has a buffer of its own, of just its bytes. So who takes `view.buffer` has them, and nobody else's.
 */

/**
 * The same bytes; copied where others lie in their buffer.
 *
 * @template T
 * @param {T} value a Buffer, text or nothing
 * @returns {T}
 */
function aloneInBuffer (value) {
  if (!Buffer.isBuffer(value) || value.buffer.byteLength === value.length) return value
  const own = Buffer.allocUnsafeSlow(value.length)
  value.copy(own)
  return /** @type {any} */ (own)
}

/**
 * How what is read in an encoding is given.
 *
 * @param {unknown} encoding
 * @returns {(value: any) => any}
 */
const givenIn = (encoding) => encoding === 'view' ? aloneInBuffer : asItIs

/** @param {any} value */
const asItIs = (value) => value

exports.givenIn = givenIn
