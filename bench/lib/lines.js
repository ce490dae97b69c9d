'use strict'

/* The lines of a family on one engine: which are wanted, how each ends, and telling it. */

const { inspect } = require('node:util')
const { Cannot, WrongAnswer } = require('./answers.js')

/**
 * How much work is done.
 *
 * @typedef {{ entries: number, valueBytes: number, seconds: number, fillSeconds: number }} Scale
 */

/**
 * One line: a figure, or why there is none.
 *
 * @typedef {import('./clock.js').Figure | { cannot: string } | { failed: string } | { wrong: string }} Outcome
 * @typedef {{ line: string } & Outcome} Told
 */

class Lines {
  #tell
  #only

  /**
   * @param {object} work
   * @param {import('../adapters/index.js').Adapter} work.adapter
   * @param {Scale} work.scale
   * @param {string} work.dir where the engine may write
   * @param {readonly string[]} work.only parts of names of lines; empty for all
   * @param {(told: Told) => void} work.tell
   */
  constructor ({ adapter, scale, dir, only, tell }) {
    this.adapter = adapter
    this.scale = scale
    this.dir = dir
    this.#only = only
    this.#tell = tell
  }

  /** @param {string} line */
  wants (line) {
    return this.#only.length === 0 || this.#only.some((part) => line.includes(part))
  }

  /**
   * Measures a line and tells it. An engine that fails may go on with the next one; one that gave a wrong answer may
   * not.
   *
   * @param {string} line
   * @param {() => Promise<import('./clock.js').Figure>} measure
   */
  async line (line, measure) {
    if (!this.wants(line)) return
    try {
      this.#tell({ line, ...await measure() })
    } catch (error) {
      this.#tell({ line, ...missOf(error) })
      if (error instanceof WrongAnswer) throw error
    }
  }

  /**
   * Tells why there are no figures of lines.
   *
   * @param {readonly string[]} lines
   * @param {unknown} error
   */
  miss (lines, error) {
    for (const line of lines) if (this.wants(line)) this.#tell({ line, ...missOf(error) })
  }

  /**
   * How a store is opened for work that asks for no durability of its own: without a sync for each write, where it can.
   *
   * @returns {import('../adapters/index.js').Durability}
   */
  get fastest () {
    return this.adapter.durability.relaxed === undefined ? 'strict' : 'relaxed'
  }

  /**
   * A call of a store, which must be there.
   *
   * @template {keyof import('../adapters/index.js').Store} Name
   * @param {import('../adapters/index.js').Store} store
   * @param {Name} name
   * @returns {NonNullable<import('../adapters/index.js').Store[Name]>}
   */
  call (store, name) {
    const call = store[name]
    if (call === undefined) throw this.lacks(name)
    return /** @type {any} */ (call)
  }

  /** @param {string} what */
  lacks (what) {
    return new Cannot(this.adapter.cannot?.[what] ?? 'it has no such call')
  }
}

/**
 * Why there is no figure, as it is told.
 *
 * @param {unknown} error
 */
function missOf (error) {
  const reason = reasonOf(error)
  if (error instanceof Cannot) return { cannot: reason }
  return error instanceof WrongAnswer ? { wrong: reason } : { failed: reason }
}

/**
 * What an error says. Some engines throw what is no error, and some come from another thread.
 *
 * @param {any} error
 * @returns {string}
 */
function reasonOf (error) {
  const { code, message } = error ?? {}
  if (typeof message !== 'string') return inspect(error)
  return typeof code === 'string' && !message.includes(code) ? `${code}: ${message}` : message
}

exports.Lines = Lines
exports.missOf = missOf
