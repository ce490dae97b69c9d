'use strict'

/* What a disk, or whoever copies files, can do to them: each kind changes some of the files, given as a Map. */

const RUN_BYTES_MAX = 4096

/** The files that hold anything of a database; `LOCK` is empty. */
const damageable = (files) => [...files.keys()].filter((name) => files.get(name).length > 0)

/** A file at random: half of the time any, else by how long they are, as a failing disk chooses. */
function anyFile (files, random) {
  const names = damageable(files)
  if (random.below(2) === 0) return random.pick(names)
  let at = random.below(names.reduce((sum, name) => sum + files.get(name).length, 0))
  return names.find((name) => (at -= files.get(name).length) < 0)
}

/** A run of bytes in a file: `[start, length]`. */
function anyRun (bytes, random) {
  const length = 1 + random.below(Math.min(bytes.length, random.pick([16, 512, RUN_BYTES_MAX])))
  return [random.below(bytes.length - length + 1), length]
}

/** Changes a copy of one file. */
const inFile = (change) => (files, random) => {
  const name = anyFile(files, random)
  const bytes = Buffer.from(files.get(name))
  files.set(name, change(bytes, random) ?? bytes)
  return name
}

/** @type {Record<string, (files: Map<string, Buffer>, random: any) => string>} each gives which files it has changed */
const KINDS = {
  'flipped bits': inFile((bytes, random) => {
    for (let left = 1 + random.below(8); left > 0; left--) bytes[random.below(bytes.length)] ^= 1 << random.below(8)
  }),
  'a zeroed run': inFile((bytes, random) => {
    const [start, length] = anyRun(bytes, random)
    bytes.fill(0, start, start + length)
  }),
  'a run of noise': inFile((bytes, random) => {
    const [start, length] = anyRun(bytes, random)
    for (let at = start; at < start + length; at++) bytes[at] = random.next()
  }),
  'a cut end': inFile((bytes, random) => bytes.subarray(0, random.below(bytes.length))),
  'more at the end': inFile((bytes, random) => {
    const [start, length] = anyRun(bytes, random)
    return Buffer.concat([bytes, bytes.subarray(start, start + length)])
  }),
  'two runs swapped': inFile((bytes, random) => {
    const [first, length] = anyRun(bytes, random)
    const second = random.below(bytes.length - length + 1)
    const run = Buffer.from(bytes.subarray(first, first + length))
    bytes.copy(bytes, first, second, second + length)
    run.copy(bytes, second)
  }),
  'a run over another place': inFile((bytes, random) => {
    const [start, length] = anyRun(bytes, random)
    bytes.copy(bytes, random.below(bytes.length - length + 1), start, start + length)
  }),
  'a run that is missing': inFile((bytes, random) => {
    const [start, length] = anyRun(bytes, random)
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + length)])
  }),
  'a run of another file': (files, random) => {
    const [from, to] = [anyFile(files, random), anyFile(files, random)]
    const [start, length] = anyRun(files.get(from), random)
    const bytes = Buffer.from(files.get(to))
    files.get(from).copy(bytes, random.below(bytes.length), start, start + length)
    files.set(to, bytes)
    return `${from} over ${to}`
  },
  'two files exchanged': (files, random) => {
    const first = anyFile(files, random)
    const ending = (name) => /\.\w+$/.exec(name)?.[0]
    const alike = damageable(files).filter((name) => name !== first && ending(name) === ending(first))
    const others = damageable(files).filter((name) => name !== first)
    const second = random.pick(alike.length > 0 ? alike : others)
    const bytes = files.get(first)
    files.set(first, files.get(second))
    files.set(second, bytes)
    return `${first} and ${second}`
  }
}

module.exports = { KINDS }
