'use strict'

/*
 * Measuring: how long an engine takes for its calls, and how long the event loop waits meanwhile.
 *
 * Only the engine is on the clock. Keys and values are made, and answers checked, while it stands still. Work is done
 * in chunks, and behind each the event loop gets a turn, as in a program that is called by events; so an engine that
 * answers in the call holds the loop up for a chunk at the most.
 */

const { monitorEventLoopDelay } = require('node:perf_hooks')

/** How often the delay of the event loop is looked at, in milliseconds. */
const RESOLUTION_MS = 1

/** This part of a line's time, or of its operations, goes before it, so that code is compiled and caches are warm. */
const WARM_UP = 0.25

/** A line ends after so many times its time, too: where an answer takes less time than to check it. */
const WALL_MAX = 5

/** So long something is made or checked before the event loop gets a turn: its delay shall be the engine's. */
const SLICE_MS = 0.4

/** So long nothing is done before an opening is on the clock. */
const REST_MS = 200

const turn = () => new Promise((resolve) => setImmediate(resolve))

/**
 * Waits until what loading modules and making data left behind has been collected. V8 does that in the turns of the
 * event loop after the start of a process, for ten milliseconds or so: more than many an opening takes.
 */
const rest = () => new Promise((resolve) => setTimeout(resolve, REST_MS))

/**
 * Does something with each item, in slices.
 *
 * @template T
 * @template R
 * @param {Iterable<T>} items
 * @param {(item: T, at: number) => R} each
 * @returns {Promise<R[]>}
 */
async function inSlices (items, each) {
  const results = []
  let start = performance.now()
  for (const item of items) {
    results.push(each(item, results.length))
    if (performance.now() - start < SLICE_MS) continue
    await turn()
    start = performance.now()
  }
  return results
}

class Clock {
  milliseconds = 0

  /**
   * Runs something on the clock.
   *
   * @template T
   * @param {() => T} work
   * @returns {Promise<Awaited<T>>}
   */
  async time (work) {
    const start = performance.now()
    try {
      return await work()
    } finally {
      this.milliseconds += performance.now() - start
    }
  }

  /**
   * The same for what is done when it returns.
   *
   * @template T
   * @param {() => T} work
   * @returns {T}
   */
  timeSync (work) {
    const start = performance.now()
    try {
      return work()
    } finally {
      this.milliseconds += performance.now() - start
    }
  }
}

/**
 * What was measured: `value` in the line's unit, and the delay of the event loop.
 *
 * @typedef {{ value: number, delayP99Ms?: number, delayMaxMs?: number }} Figure
 */

/**
 * Does chunks of work until the time is over or no work is left, and tells how many operations a second that makes.
 *
 * @param {{ seconds: number, operations?: number, isCold?: boolean }} limits `isCold`: without a warm-up
 * @param {(clock: Clock) => Promise<number>} doChunk tells how many operations it did
 * @returns {Promise<Figure>}
 */
async function rate ({ seconds, operations = Infinity, isCold = false }, doChunk) {
  const warmUp = isCold ? 0 : WARM_UP
  const warm = await work(seconds * warmUp, operations * warmUp, doChunk)
  return await watchLoop(async () => {
    const { done, milliseconds } = await work(seconds, operations - warm.done, doChunk)
    if (done === 0) throw new Error('nothing was left to be measured')
    return done / (milliseconds / 1000)
  })
}

/**
 * @param {number} seconds
 * @param {number} operations
 * @param {(clock: Clock) => Promise<number>} doChunk
 */
async function work (seconds, operations, doChunk) {
  const clock = new Clock()
  const end = performance.now() + seconds * 1000 * WALL_MAX
  let done = 0
  while (done < operations && clock.milliseconds < seconds * 1000 && (done === 0 || performance.now() < end)) {
    done += await doChunk(clock)
    await turn()
  }
  return { done, milliseconds: clock.milliseconds }
}

/**
 * Looks at the delay of the event loop while something is measured.
 *
 * @param {() => Promise<number>} measure
 * @returns {Promise<Figure>}
 */
async function watchLoop (measure) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  const value = await measure()
  // What holds the loop up now is told by the timer's next round only.
  await new Promise((resolve) => setTimeout(resolve, 2 * RESOLUTION_MS))
  delay.disable()
  // What was over before the first look has no delay.
  return delay.count === 0 ? { value } : { value, delayP99Ms: delay.percentile(99) / 1e6, delayMaxMs: delay.max / 1e6 }
}

exports.Clock = Clock
exports.inSlices = inSlices
exports.rate = rate
exports.rest = rest
exports.turn = turn
exports.watchLoop = watchLoop
