'use strict'

/*
 * Calls everything that a program can call (`hostile/places.js`) with a hostile value (`hostile/values.js`) in place of
 * each argument, of each property of an argument, and of several at once, drawn from a seed; and on what it is not
 * made for. Prints `at …` before the calls of a method, so that one that crashes or hangs is known, and behind all what
 * came out, as JSON.
 */

const { mkdirSync } = require('node:fs')
const { join } = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { inspect } = require('node:util')
const { isNativeError, isPromise, isProxy } = require('node:util/types')
const { placesIn } = require('../hostile/places')
const { Trap, VALUES } = require('../hostile/values')
const { randomSource } = require('../../__test__/support')

const [folder, seed, drawnOfAMethod, part, parts] = process.argv.slice(2)
const NAMES = Object.keys(VALUES)
/** Other packages make strings of arrays, however long those say they are, and take their time. */
const FINITE = NAMES.filter((name, place) => place % 3 === 0 && !/2\^32 - 1 holes|lies about its length/.test(name))
/** For methods that take nothing, and where others would take long. */
const SOME = FINITE.filter((_, place) => place % 3 === 0)
/** No call takes longer: it hangs. */
const CALL_MS_MAX = 30_000
const STEPS_MAX = 3
/** So deep in arguments is replaced: an element of an array, and its properties. */
const DEPTH_MAX = 3
const WRONG_MAX = 20
/** Of these classes are the methods of an object that are not a place's own. */
const FOREIGN = new Set([Object.prototype, require('node:events').prototype, Function.prototype])

const random = randomSource(Number(seed))
const tally = { calls: 0, refused: 0, answered: 0, codes: {}, wrong: [] }
const trap = new Trap()
let where = ''

function wrong (what) {
  if (tally.wrong.length < WRONG_MAX) tally.wrong.push(`${where}: ${what}`)
}

// Functions of a program that reject are its own.
process.on('unhandledRejection', (error) => trap.thrown.has(error) || wrong(`nobody was told of ${told(error)}`))
process.on('uncaughtException', (error) => wrong(`thrown at nobody: ${told(error)}`))

function told (error) {
  try {
    return isNativeError(error) ? `${error.code} ${error.stack.slice(0, 500)}` : String(error)
  } catch {
    return 'what can\'t be shown'
  }
}

/** The methods of an object, and what it can be given: `[name, call]`. */
function methodsOf (it) {
  const methods = new Map()
  for (let of = it; of !== null && !FOREIGN.has(of); of = Object.getPrototypeOf(of)) {
    for (const name of Reflect.ownKeys(of)) {
      const { get, set, value } = Object.getOwnPropertyDescriptor(of, name)
      // What shows an object is called by Node.js alone.
      if (name === 'constructor' || name === inspect.custom || methods.has(name)) continue
      if (typeof value === 'function') methods.set(name, (on, args, it) => Reflect.apply(it[name], on, args))
      if (get !== undefined) methods.set(name, (on) => Reflect.apply(get, on, []))
      if (set !== undefined) methods.set(`set ${String(name)}`, (on, args) => Reflect.apply(set, on, args))
    }
  }
  return methods
}

/** Whether a refusal of `name` says what it has to: a typed error, or what a function of the arguments has thrown. */
function isTyped (error, name) {
  if (trap.thrown.has(error) || name === 'throw') return true
  if (!isNativeError(error)) return false
  return CODE.test(error.code) || (error instanceof TypeError && OF_A_FUNCTION.test(error.message))
}

const CODE = /^(FLOWDB|LEVEL)_[A-Z_]+$/
/** What JavaScript says of a function that can't be called. */
const OF_A_FUNCTION = /^Class constructors? .*cannot be invoked|^Cannot perform 'apply' on a proxy that has been revoked/

/** Waits for a promise, but for so long only. */
async function within (promise, ms) {
  const timer = new AbortController()
  const late = pause(ms, LATE, { signal: timer.signal, ref: true }).catch(() => LATE)
  const value = await Promise.race([promise, late])
  timer.abort()
  return value
}

const LATE = Symbol('late')

/** Uses what a call gave, as a program would, until nothing more comes of it. */
async function use (result, isPending, step = 0) {
  if (step > STEPS_MAX || result === null || typeof result !== 'object' || isProxy(result)) return
  if (isPromise(result)) {
    const value = await within(result, isPending ? 1 : CALL_MS_MAX)
    if (value === LATE && !isPending) wrong('it hangs')
    return value === LATE ? undefined : await use(value, isPending, step + 1)
  }
  const name = nameOf(result)
  if (name === 'Watch') return await result.return()
  for (const [method, args] of FOLLOWING[name] ?? []) await use(result[method](...args), false, step + 1)
  if (FOLLOWING[name] === undefined && typeof result.next === 'function') {
    await use(result.next(), isPending, step + 1)
    await (result.return ?? result.close)?.call(result)
  }
}

/** What a program does with what calls give. */
const FOLLOWING = {
  FlowDB: [['storeNames', []], ['close', []]],
  FlashStore: [['getAllKeys', [{ limit: 1 }]], ['close', []]],
  FlashStoreSync: [['flush', []], ['close', []]],
  FlowLevel: [['open', []], ['close', []]],
  KeyvFlowDB: [['get', ['key']], ['disconnect', []]],
  Query: [['explain', []], ['toArray', []]],
  Series: [['latest', [1]]],
  FlashNamespace: [['count', []]],
  Transaction: [['abort', []]],
  Atomic: [['commit', []]],
  KeyRange: [['includes', [1]]]
}

function nameOf (result) {
  try {
    const { name } = result.constructor
    return name === 'Watch' || Object.hasOwn(FOLLOWING, name) ? name : ''
  } catch {
    return ''
  }
}

/** A place, and the object in it that is called. */
class Called {
  constructor (place) {
    this.place = place
    this.it = undefined
  }

  /** Makes the object where there is none. */
  async object () {
    if (this.it === undefined) {
      const it = this.it = await this.place.make()
      trap.reenter = () => this.#reenter(it)
    }
    return this.it
  }

  /** What code in an argument does: it uses the object, and closes it. */
  #reenter (it) {
    this.isHarmed = true
    this.place.reenter?.()
    const ways = ['get', 'put', 'set', 'next', 'commit', 'write', 'close', 'disconnect', 'abort', 'dispose']
    for (const way of ways.filter((way) => typeof it[way] === 'function')) {
      try {
        Promise.resolve(it[way]('rows', 1)).catch(() => {})
      } catch (error) {
        if (!isTyped(error)) wrong(`${way} within the call: ${told(error)}`)
      }
    }
    return 1
  }

  async end () {
    if (this.it === undefined) return
    const { it, isHarmed } = this
    this.it = undefined
    this.isHarmed = false
    const closed = await within(Promise.resolve(this.place.close(it, isHarmed)).catch((error) => {
      if (!isTyped(error)) wrong(`closing: ${told(error)}`)
    }), CALL_MS_MAX)
    if (closed === LATE) wrong('closing hangs')
  }

  /** One call, and what comes of it. */
  async call (name, call, args, on) {
    const it = await this.object()
    const isPending = this.place.pending?.includes(name) ?? false
    tally.calls++
    try {
      const result = call(on === undefined ? it : on.it, args, it)
      if (result !== it || nameOf(it) === 'Atomic' || nameOf(it) === 'Query') await use(result, isPending)
      tally.answered++
    } catch (error) {
      tally.refused++
      const code = isNativeError(error) ? error.code ?? error.name : 'no error'
      tally.codes[code] = (tally.codes[code] ?? 0) + 1
      // What is no object of ours may throw what it likes when our methods ask it.
      if (on === undefined && !isTyped(error, name) && !(this.place.isForeign && isNativeError(error))) wrong(`refused with ${told(error)}`)
    }
    if (this.place.isOnce || this.isHarmed || ENDING.test(name)) await this.end()
  }
}

const SLOW = /^(compact|compactRange|checkpoint|backup|repair|keyEncoding|valueEncoding)$/
const ENDING = /close|destroy|dispose|disconnect|drop|return|throw|commit|abort|write/i

/** The ways to everything in arguments that can be another: places of arguments, their elements and properties. */
function waysIn (value, depth = 0) {
  if (depth > DEPTH_MAX || typeof value !== 'object' || value === null || value instanceof AbortSignal) return [[]]
  const inside = Object.keys(value).flatMap((name) => waysIn(value[name], depth + 1).map((way) => [name, ...way]))
  return depth === 0 ? inside : [[], ...inside]
}

/** A copy of `value` with another at the end of a way. */
function withOther (value, [name, ...way], other) {
  if (name === undefined) return other
  const copy = Array.isArray(value) ? [...value] : { ...value }
  copy[name] = withOther(value?.[name], way, other)
  return copy
}

const isWithin = (way, other) => other.every((name, place) => name === way[place])

const hostile = (name) => VALUES[name](trap)

/** All arguments for a method: each value at the end of each way, then several at once. */
function * argumentsFor (lists, names) {
  for (const list of lists) {
    const ways = [...waysIn(list), [list.length]]
    for (const way of ways) {
      for (const name of SLOW.test(way.at(-1)) ? SOME : names) yield [`${way.join('.')}: ${name}`, () => withOther(list, way, hostile(name))]
    }
    for (let drawn = 0; drawn < Number(drawnOfAMethod); drawn++) {
      const drawnChanges = Array.from({ length: 2 + random.below(2) }, () => [random.pick(ways), random.pick(names)])
      // Nothing is changed inside of what is hostile.
      const changes = drawnChanges.filter(([way], place) => !drawnChanges.some(([other], at) =>
        at !== place && isWithin(way, other) && (at < place || other.length < way.length)))
      const description = changes.map(([way, name]) => `${way.join('.')}: ${name}`).join(', ')
      yield [description, () => changes.reduce((args, [way, name]) => withOther(args, way, hostile(name)), list)]
    }
  }
}

/** What a method is not made for. */
async function strangersTo (called) {
  const it = await called.object()
  return {
    'nothing at all': undefined,
    'a number': 1,
    'an object': {},
    'its prototype': Object.getPrototypeOf(it),
    'what inherits from it': Object.create(it),
    'a proxy of it': new Proxy(it, {}),
    'a revoked object': hostile('a revoked object'),
    'traps that throw': hostile('traps that throw')
  }
}

/** Lets a place take all of them, in each of its methods. */
async function tryPlace (place) {
  const called = new Called(place)
  for (const [method, call] of methodsOf(await called.object())) {
    const name = String(method)
    if (place.own?.test(name)) continue
    process.stdout.write(`at ${place.name}.${name}\n`)
    const lists = place.calls[method] ?? [[undefined]]
    const names = place.calls[method] === undefined || SLOW.test(name) ? SOME : place.isForeign ? FINITE : NAMES
    for (const [description, make] of argumentsFor(lists, names)) {
      where = `${place.name}.${name}(${description})`
      await called.call(name, call, make())
    }
    for (const [what, on] of Object.entries(await strangersTo(called))) {
      where = `${place.name}.${name} of ${what}`
      await called.call(name, call, lists[0], { it: on })
    }
    where = `behind ${place.name}.${name}`
    await called.end()
    await place.check().catch((error) => wrong(told(error)))
  }
  await called.end()
  await place.end?.()
}

async function main () {
  const places = await placesIn(folder)
  // What a hostile word makes of a path stays in the folder.
  const work = join(folder, 'work', 'a', 'b')
  mkdirSync(join(work, 'copies'), { recursive: true })
  process.chdir(work)
  const properties = Object.getOwnPropertyNames(Object.prototype)
  const counts = {}
  for (const place of places.filter((_, number) => number % Number(parts) === Number(part))) {
    const before = tally.calls
    const start = performance.now()
    await tryPlace(place)
    counts[place.name] = [tally.calls - before, Math.round(performance.now() - start)]
  }
  where = 'behind all'
  await pause(20)
  if (Object.getOwnPropertyNames(Object.prototype).join() !== properties.join()) wrong('Object.prototype was changed')
  process.stdout.write(JSON.stringify({ ...tally, counts }))
  process.exit()
}

/** Ends the process where nothing goes on. */
function watchProgress () {
  let [lastWhere, lastCalls] = ['', 0]
  setInterval(() => {
    if (where === lastWhere && tally.calls === lastCalls) {
      process.stderr.write(`it hangs at, or behind, ${where}\n`)
      process.exit(1)
    }
    [lastWhere, lastCalls] = [where, tally.calls]
  }, CALL_MS_MAX + 1000).unref()
}

watchProgress()
main().catch((error) => {
  process.stderr.write(`${where}: ${told(error)}\n`)
  process.exit(1)
})
