'use strict'

/*
 * What dates and buffers hold, by the platform's own methods: an override of a user's is not called.
 */

const { types } = require('node:util')
const { Fault } = require('./key-format.js')

const TypedArray = Object.getPrototypeOf(Uint8Array)

/**
 * @param {object} prototype
 * @param {string} name
 * @returns {(target: object) => any}
 */
function getterOf (prototype, name) {
  const get = /** @type {() => unknown} */ (Object.getOwnPropertyDescriptor(prototype, name)?.get)
  return (target) => Reflect.apply(get, target, [])
}

const getTime = Date.prototype.getTime
/** @type {(date: Date) => number} */
const timeOf = (date) => Reflect.apply(getTime, date, [])
/** @type {(array: Uint8Array) => number} */
const lengthOf = getterOf(TypedArray.prototype, 'length')
const [arrayBuffer, arrayOffset, arrayLength] =
  ['buffer', 'byteOffset', 'byteLength'].map((name) => getterOf(TypedArray.prototype, name))
const [viewBuffer, viewOffset, viewLength] =
  ['buffer', 'byteOffset', 'byteLength'].map((name) => getterOf(DataView.prototype, name))

/**
 * @param {object} value an ArrayBuffer or a view
 * @returns {Uint8Array}
 */
function bytesOf (value) {
  if (types.isUint8Array(value) && lengthOf(value) > 0) return value
  try {
    if (types.isAnyArrayBuffer(value)) return new Uint8Array(value)
    return types.isDataView(value)
      ? new Uint8Array(viewBuffer(value), viewOffset(value), viewLength(value))
      : new Uint8Array(arrayBuffer(value), arrayOffset(value), arrayLength(value))
  } catch {
    throw new Fault('can\'t be a detached buffer')
  }
}

exports.bytesOf = bytesOf
exports.lengthOf = lengthOf
exports.timeOf = timeOf
