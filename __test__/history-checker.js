'use strict'

/*
 * Whether what concurrent transactions have read can be: a model of the documents, on which they run again.
 *
 * Commits have one order, which a watch tells. At serializable isolation each transaction that wrote has to have read
 * what those before it in that order left; at snapshot isolation, and where it wrote nothing, what some prefix of the
 * order left, with no write of a document of its own between that and its commit. Nothing that had been acknowledged
 * before it began may be missing there.
 *
 * Documents expire by the machine's clock. An operation ran somewhen between the two times that are noted with it.
 * What expires in between may be there or not; before that it has to be there, and after that it must not be.
 *
 * A history is an array of `{ id, begun, ended, place, steps }`: `begun` and `ended` count one clock for all, and
 * `place` is that in the order of commits, where anything was written. Each step has a `kind`, the times `from` and
 * `to`, and:
 *
 * | kind | asked | seen |
 * |---|---|---|
 * | get | k | by |
 * | entry | k | `{ by, version, expiresAt }` |
 * | range | first, last | by … |
 * | index | first, last: of n | by … |
 * | count | first, last | how many |
 * | put | k, n, by, expires | then: the entry behind it |
 * | touch | k, expires | was, then: the entry behind it |
 * | delete | k | was |
 *
 * A document is told by who wrote it, `by`, which no two writes share. `expires` is `[earliest, latest]` or `null`, and
 * with it `isMoment` says that it was given as one and not as a span from the write on.
 */

/** Says why a step can't have seen what it did. */
class Impossible extends Error {}

/** One transaction, running again on the documents of some moment. */
class Run {
  #before
  #seen
  /** What it has written: documents, and `undefined` for what it has deleted. */
  written = new Map()

  /**
   * @param {Map<number, object>} before
   * @param {{ expired: number, unsure: number }} seen counts what was met
   */
  constructor (before, seen) {
    this.#before = before
    this.#seen = seen
  }

  /** The documents as they are for it, those that have expired too, in the order of keys. */
  #documents () {
    const all = new Map([...this.#before, ...this.written])
    return [...all.values()].filter((one) => one !== undefined).sort((a, b) => a.k - b.k)
  }

  #get (k) {
    return this.written.has(k) ? this.written.get(k) : this.#before.get(k)
  }

  /** Whether a document is there for a step: `undefined` where its time comes within that. */
  #isThere (document, { from, to }) {
    if (document === undefined) return false
    if (document.expires === null || document.expires[0] > to) return true
    const isGone = document.expires[1] <= from
    this.#seen[isGone ? 'expired' : 'unsure']++
    return isGone ? false : undefined
  }

  /** Checks that of some documents a step has seen those that it must, and no others. */
  #expect (step, documents, seen) {
    let at = 0
    for (const document of documents) {
      const isThere = this.#isThere(document, step)
      if (isThere !== false && seen[at] === document.by) at++
      else if (isThere === true) throw new Impossible(`${document.by} is missing`)
    }
    if (at < seen.length) throw new Impossible(`${seen[at]} should not be there`)
  }

  /** Checks that a document that is there or not was found to be so. */
  #expectWas (step) {
    const isThere = this.#isThere(this.#get(step.k), step)
    if (isThere === !step.was) throw new Impossible(`it was ${isThere ? '' : 'not '}there`)
  }

  #expectEntry (step) {
    const { k, seen } = step
    const document = this.#get(k)
    this.#expect(step, document === undefined ? [] : [document], seen === null ? [] : [seen.by])
    if (seen === null) return
    const { version, expires } = document
    if (version !== seen.version) throw new Impossible(`the version is ${version}`)
    if (expires?.[0] !== seen.expiresAt) throw new Impossible(`it expires at ${expires?.[0]}`)
  }

  /** Runs a step, or throws where it can't have seen what it did. */
  step (step) {
    const within = (value) => value >= step.first && value <= step.last
    switch (step.kind) {
      case 'get': return this.#expect(step, [this.#get(step.k)].filter(Boolean), step.seen === null ? [] : [step.seen])
      case 'entry': return this.#expectEntry(step)
      case 'range': return this.#expect(step, this.#documents().filter(({ k }) => within(k)), step.seen)
      case 'index': return this.#expect(step, this.#documents().filter(({ n }) => within(n)).sort((a, b) => a.n - b.n), step.seen)
      case 'count': return this.#expectCount(step, this.#documents().filter(({ k }) => within(k)))
      case 'put': return this.#put(step)
      case 'touch': return this.#touch(step)
      case 'delete':
        this.#expectWas(step)
        if (step.was) this.written.set(step.k, undefined)
        return undefined
      default: throw new TypeError(`there is no step ${step.kind}`)
    }
  }

  #expectCount (step, documents) {
    const there = documents.map((document) => this.#isThere(document, step))
    const [least, most] = [there.filter((is) => is === true).length, there.filter((is) => is !== false).length]
    if (step.seen < least || step.seen > most) throw new Impossible(`there are ${least} to ${most}`)
  }

  #put (step) {
    const before = this.#get(step.k)
    const isThere = this.#isThere(before, step)
    const versions = [...isThere === true ? [] : [1], ...isThere === false ? [] : [before.version + 1]]
    const { k, n, by, then } = step
    if (then.seen !== null && !versions.includes(then.seen.version)) throw new Impossible(`the version is one of ${versions}`)
    this.#write(step, { k, n, by, version: then.seen?.version })
  }

  #touch (step) {
    this.#expectWas(step)
    if (!step.was) {
      this.#expectEntry(step.then)
      return
    }
    const [before, isFirst] = [this.#get(step.k), !this.written.has(step.k)]
    this.#write(step, before)
    const after = this.written.get(step.k)
    if (after === undefined) return
    // Who touches a document with the expiry that it has writes nothing.
    if (isFirst && String(before.expires) === String(after.expires)) after.isUnsure = true
  }

  /** Writes a document with the expiry that the entry behind it tells, which has to be the one that was asked for. */
  #write (step, document) {
    const { k, then, expires } = step
    if (then.seen === null) {
      const expired = expiredAlready(step)
      const before = this.#get(k)
      // What may have found nothing in its place has written nothing, or what was gone at once. Who reads with an
      // earlier clock what was there before, and commits later, would have conflicted otherwise.
      if (expired.isUnsure && before !== undefined && this.#isThere(before, step) !== true) return
      this.written.set(k, { ...document, ...expired })
      return
    }
    const { expiresAt } = then.seen
    const isAsked = expires === null ? expiresAt === undefined : expiresAt >= expires[0] && expiresAt <= expires[1]
    if (!isAsked) throw new Impossible(`it expires at ${expiresAt}`)
    this.written.set(k, { ...document, isUnsure: false, expires: expires === null ? null : [expiresAt, expiresAt] })
    this.#expectEntry(then)
  }

  /** The keys of the documents that it has written for certain. */
  get keys () {
    return [...this.written].filter(([, document]) => !document?.isUnsure).map(([k]) => k)
  }
}

/**
 * The expiry of a document that had expired when it was looked at, behind the write. Where its moment may have been
 * there at the write already, that has written nothing, and at most deleted what was there.
 */
function expiredAlready ({ expires, isMoment, to, then }) {
  if (expires === null || expires[0] > then.to) throw new Impossible('what was just written is missing')
  const isUnsure = isMoment && expires[0] <= to
  return { isUnsure, expires: [isUnsure ? 0 : expires[0], Math.min(expires[1], then.to)] }
}

/** Runs a transaction again from some moment on: what it writes, or why it can't have seen what it did. */
function runFrom (before, { steps }, seen) {
  const run = new Run(before, seen)
  for (const step of steps) {
    try {
      run.step(step)
    } catch (error) {
      if (!(error instanceof Impossible)) throw error
      return { reason: error.message, step }
    }
  }
  return { written: run.written, keys: run.keys }
}

/**
 * The first anomaly in a history, or `undefined`.
 *
 * @param {object[]} history
 * @param {'serializable' | 'snapshot'} isolation
 * @param {{ expired: number, unsure: number }} [seen] counts how often expired documents were passed over, and how
 *   often one expired just then
 * @returns {{ id: string, reason: string, step?: object } | undefined}
 */
function anomalyOf (history, isolation, seen = { expired: 0, unsure: 0 }) {
  const writers = history.filter(({ place }) => place !== undefined).sort((a, b) => a.place - b.place)
  /** The documents before the nth commit. */
  const states = [new Map()]
  const written = []
  const check = (transaction, [earliest, latest]) => {
    let first
    for (let at = latest; at >= earliest; at--) {
      const ran = runFrom(states[at], transaction, seen)
      first ??= ran
      if (ran.written === undefined) continue
      const theirs = written.slice(at, latest).findIndex((keys) => ran.keys.some((k) => keys.includes(k)))
      if (transaction.place === undefined || theirs === -1) return ran
      first = { reason: `${writers[at + theirs].id} has written what it wrote` }
    }
    return { reason: 'there is no moment that it can have seen', ...first, written: undefined }
  }
  for (const [at, transaction] of writers.entries()) {
    const earliest = isolation === 'serializable' ? at : acknowledgedBefore(transaction, writers)
    const ran = check(transaction, [earliest, at])
    if (ran.written === undefined) return { ...ran, id: transaction.id }
    written.push(ran.keys)
    states.push(new Map([...states[at], ...ran.written]))
  }
  for (const transaction of history) {
    if (transaction.place !== undefined) continue
    const begunAfter = writers.findIndex(({ begun }) => begun > transaction.ended)
    const latest = begunAfter === -1 ? writers.length : begunAfter
    const ran = check(transaction, [acknowledgedBefore(transaction, writers), latest])
    if (ran.written === undefined) return { ...ran, id: transaction.id }
  }
  return undefined
}

/** How many of the commits a transaction has to see, because the last of them was acknowledged before it began. */
function acknowledgedBefore ({ begun }, writers) {
  return writers.findLastIndex(({ ended }) => ended < begun) + 1
}

exports.anomalyOf = anomalyOf
