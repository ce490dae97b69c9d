'use strict'

/*
 * Which Keyv use an adapter, and for which namespaces, as far as they show it.
 *
 * No Keyv says who it is, but each touches the adapter in an order of its own while it is made, in one turn of the
 * event loop. Version 6 reads `capabilities`, listens for errors, and sets its namespace where it has one. Version 5
 * listens, sets its namespace, reads `opts`, and then takes `iterator`. Whoever does a part of that is no Keyv.
 *
 * Invariant: with version 5 a key tells whose it is. No namespace in use begins another one up to its separator, and
 * none is empty beside another; a Keyv that would change that is refused before anything has changed.
 */

const { FlowDBError } = require('./errors.js')
const { invalid, kindOf } = require('./names.js')

/** Between a namespace and a key, as version 5 writes them. */
const SEPARATOR = ':'

/**
 * What has been seen of a Keyv that may be being made in this turn.
 *
 * @typedef {'asked' | 'listened' | 'isSix' | 'looked' | undefined} Step
 */

class KeyvUsers {
  #own
  /** @type {string | undefined} */
  #namespace
  /** Those that Keyv of version 5 have. @type {Set<string | undefined>} */
  #inUse = new Set()
  #count = 0
  #isSix = false
  /** Whether version 5 has come with a key before which it had written no namespace. */
  #isBare = false
  /** @type {Step} */
  #step
  /** How it was before the Keyv that may be being made. */
  #before = this.#state()

  /** @param {unknown} namespace which the adapter has before a Keyv sets one */
  constructor (namespace) {
    this.#own = checkNamespace(namespace)
    this.#namespace = this.#own
  }

  /** The namespace that was set last; the empty one is none. */
  get namespace () {
    return this.#namespace
  }

  /** Whether it is version 6 that asks. */
  get isSix () {
    return this.#isSix
  }

  /** Somebody reads what the adapter can do. */
  asked () {
    this.#stepTo('asked')
  }

  /** Somebody listens for errors: a Keyv of version 6 where it has just asked, else perhaps one of version 5. */
  listened () {
    this.#before = this.#state()
    if (this.#step !== 'asked') return this.#stepTo('listened')
    if (this.#count > 0 && !this.#isSix) throw this.#versions()
    this.#isSix = true
    this.#count++
    this.#stepTo('isSix')
  }

  /**
   * A Keyv sets the namespace: the first time, or another one.
   *
   * @param {unknown} given
   */
  named (given) {
    const namespace = checkNamespace(given)
    const isShared = this.#count > 1 && namespace !== this.#namespace
    if (isShared && this.#isSix) {
      const error = this.#shared(`it can't be used for the namespace ${name(namespace)} too`)
      if (this.#step === 'isSix') this.#restore(this.#before)
      throw error
    }
    // Which of several has got another name is not told: each of the names may be that of one.
    if (this.#count > 1) this.#add(namespace)
    else this.#inUse = new Set(this.#count === 1 && !this.#isSix ? [namespace] : [])
    this.#namespace = namespace
  }

  /** Somebody reads `opts`. */
  looked () {
    // Whoever asked what the adapter can do may have been somebody before it.
    if (this.#step === 'listened' || this.#step === 'isSix') this.#stepTo('looked')
  }

  /** Somebody takes the iterator: where that comes after the rest, a Keyv of version 5 has been made. */
  taken () {
    if (this.#step !== 'looked') return
    const namespace = this.#namespace
    this.#step = undefined
    this.#restore(this.#before)
    if (this.#isSix) throw this.#versions()
    if (this.#own !== undefined && namespace !== this.#own) {
      throw invalid(`the adapter was made for the namespace ${name(this.#own)}, and version 5 of keyv sets that of each ` +
        `Keyv, here ${name(namespace)}: give both the same, or the adapter none`)
    }
    if (this.#isBare && !this.#inUse.has(namespace)) throw this.#shared('keys come without it (useKeyPrefix: false)')
    this.#add(namespace)
    this.#count++
    this.#namespace = namespace
  }

  /**
   * The namespace and the rest of a key as the version at hand gives it.
   *
   * @param {string} key
   * @returns {{ namespace: string | undefined, rest: string, isBare: boolean }} `isBare` where version 5 should have
   *   written the namespace before it, and has not
   */
  read (key) {
    if (this.#isSix) return { namespace: this.#namespace, rest: key, isBare: false }
    const namespace = this.#inUse.size > 1 ? this.#beginningOf(key) : this.#namespace
    if (namespace === undefined) return { namespace, rest: key, isBare: false }
    const beginning = namespace + SEPARATOR
    if (key.startsWith(beginning)) return { namespace, rest: key.slice(beginning.length), isBare: false }
    this.#isBare ||= this.#count > 0
    return { namespace, rest: key, isBare: true }
  }

  /** @param {string} key */
  #beginningOf (key) {
    for (const namespace of this.#inUse) {
      if (key.startsWith(namespace + SEPARATOR)) return namespace
    }
    throw this.#shared('a key comes without any of them (useKeyPrefix: false)')
  }

  /**
   * A key as the version at hand gives it.
   *
   * @param {string | undefined} namespace
   * @param {string} rest
   * @returns {string}
   */
  write (namespace, rest) {
    return this.#isSix || namespace === undefined ? rest : namespace + SEPARATOR + rest
  }

  /** Throws where it can't be told whose entries a clearing is about. */
  checkClear () {
    if (this.#inUse.size > 1) throw this.#shared('it can\'t tell which of them is to be cleared')
  }

  /**
   * Throws where a Keyv can't be given its entries: version 5 asks for those of the namespace that was set last.
   *
   * @param {string | undefined} namespace that it had when it was made
   */
  checkIterator (namespace) {
    if (this.#inUse.size > 1 && namespace !== this.#namespace) throw this.#shared('keyv iterates over the last of them only')
  }

  /** @param {string | undefined} namespace */
  #add (namespace) {
    for (const other of this.#inUse) {
      if (!areApart(other, namespace)) {
        throw this.#shared(`keys of the namespace ${name(namespace)} can't be told from those`)
      }
    }
    this.#inUse.add(namespace)
  }

  /** @param {Step} step */
  #stepTo (step) {
    this.#step = step
    queueMicrotask(() => { this.#step = undefined })
  }

  #state () {
    return { namespace: this.#namespace, inUse: new Set(this.#inUse), count: this.#count, isSix: this.#isSix }
  }

  /** @param {{ namespace: string | undefined, inUse: Set<string | undefined>, count: number, isSix: boolean }} state */
  #restore ({ namespace, inUse, count, isSix }) {
    this.#namespace = namespace
    this.#inUse = new Set(inUse)
    this.#count = count
    this.#isSix = isSix
  }

  #versions () {
    return this.#shared('the versions 5 and 6 of keyv can\'t use one adapter')
  }

  /** @param {string} trouble */
  #shared (trouble) {
    const names = [...this.#isSix || this.#inUse.size === 0 ? [this.#namespace] : this.#inUse].map(name).join(', ')
    const advice = 'make each its own with new KeyvFlowDB(adapter), which uses the same database'
    return new FlowDBError('FLOWDB_UNSUPPORTED', `this adapter is used for the namespace ${names}, and ${trouble}: ${advice}`)
  }
}

/**
 * @param {unknown} namespace
 * @returns {string | undefined} none for the empty one, as in Keyv
 */
function checkNamespace (namespace) {
  if (namespace === undefined || namespace === '') return undefined
  if (typeof namespace !== 'string') throw invalid(`namespace is a string, not ${kindOf(namespace)}`)
  return namespace
}

/**
 * Whether no key of version 5 can be of both namespaces.
 *
 * @param {string | undefined} one
 * @param {string | undefined} other
 */
function areApart (one, other) {
  if (one === other) return true
  if (one === undefined || other === undefined) return false
  const [first, second] = [one + SEPARATOR, other + SEPARATOR]
  return !first.startsWith(second) && !second.startsWith(first)
}

/** @param {string | undefined} namespace */
const name = (namespace) => namespace === undefined ? '(none)' : JSON.stringify(namespace)

exports.KeyvUsers = KeyvUsers
exports.checkNamespace = checkNamespace
