'use strict'

/*
 * The copy of the repository that faults are put into, with a target folder of its own.
 *
 * Invariant: nothing outside the folder is written, so that whoever ends the script at any moment finds the repository
 * as it was. Files that are the same already are left alone, or cargo would build everything anew.
 */

const { spawn, spawnSync } = require('node:child_process')
const { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } = require('node:fs')
const { dirname, join } = require('node:path')
const { Failure, root } = require('../steps')
const { PROFILE } = require('./tests')

/** What a program has printed is kept up to so many characters, the last ones. */
const OUTPUT_MAX = 4 << 20

/** What the addon is built into, beside the library itself. */
const ADDON_FILES = ['--js', 'native.js', '--dts', 'native.d.ts']

class Workshop {
  #folder
  /** Of what state of the sources the addon is; `undefined` where that is not known. @type {string | undefined} */
  #addonOf

  /** @param {string} folder */
  constructor (folder) {
    this.#folder = folder
  }

  get #copy () {
    return join(this.#folder, 'repository')
  }

  /** Copies what git knows and what it does not ignore. */
  fill () {
    const { status, stdout } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root, encoding: 'utf8', maxBuffer: OUTPUT_MAX
    })
    if (status !== 0) throw new Failure('the files of the repository are asked of git, which failed: this needs a clone')
    const files = stdout.split('\0').filter((file) => file !== '' && existsSync(join(root, file)))
    for (const file of files) this.#bring(file)
    this.#forget(new Set(files))
    const packages = join(this.#copy, 'node_modules')
    if (!existsSync(packages)) symlinkSync(join(root, 'node_modules'), packages, 'junction')
  }

  /** @param {string} file */
  #bring (file) {
    const [from, to] = [join(root, file), join(this.#copy, file)]
    if (existsSync(to) && readFileSync(to).equals(readFileSync(from))) return
    mkdirSync(dirname(to), { recursive: true })
    copyFileSync(from, to)
  }

  /**
   * Removes sources and tests that are no longer in the repository.
   *
   * @param {Set<string>} files
   */
  #forget (files) {
    for (const folder of ['src', 'tests', 'lib', '__test__']) {
      for (const entry of readdirSync(join(this.#copy, folder), { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath ?? entry.path, entry.name)
        const file = path.slice(this.#copy.length + 1).replaceAll('\\', '/')
        if (entry.isFile() && !files.has(file)) rmSync(path)
      }
    }
  }

  /** @param {string} file */
  read (file) {
    return readFileSync(join(this.#copy, file), 'utf8')
  }

  /**
   * @param {string} file
   * @param {string} text
   */
  write (file, text) {
    writeFileSync(join(this.#copy, file), text)
  }

  /**
   * Builds what a test needs, and gives what was printed where that fails.
   *
   * @param {import('./tests').Test} test
   * @param {string} state which state of the sources this is
   * @param {number} seconds
   * @returns {Promise<string | undefined>}
   */
  async build ({ build, needsAddon }, state, seconds) {
    if (build !== undefined) return failureOf(await this.run(build, seconds))
    if (!needsAddon || this.#addonOf === state) return undefined
    this.#addonOf = undefined
    const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
    const args = [cli, 'build', '--platform', '--features', 'node', ...ADDON_FILES, '--', '--locked']
    const failure = failureOf(await this.run([process.execPath, ...args], seconds))
    if (failure === undefined) this.#addonOf = state
    return failure
  }

  /**
   * Runs a program in the copy. One that takes too long is ended, with all that it has started.
   *
   * @param {[string, ...string[]]} command
   * @param {number} seconds
   * @returns {Promise<{ code: number | null, output: string, isLate: boolean }>}
   */
  run ([program, ...args], seconds) {
    const env = { ...process.env, ...PROFILE, CARGO_TARGET_DIR: join(this.#folder, 'target') }
    // A test that is run by a test would answer to that, in another form.
    delete env.NODE_TEST_CONTEXT
    const isGroup = process.platform !== 'win32'
    const child = spawn(program, args, { cwd: this.#copy, env, detached: isGroup, stdio: ['ignore', 'pipe', 'pipe'] })
    running = () => end(child, isGroup)
    let output = ''
    let isLate = false
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { output = (output + text).slice(-OUTPUT_MAX) })
    }
    const timer = setTimeout(() => {
      isLate = true
      end(child, isGroup)
    }, seconds * 1000)
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        clearTimeout(timer)
        running = undefined
        resolve({ code, output, isLate })
      })
    })
  }
}

/** Ends the program that runs at the moment. @type {(() => void) | undefined} */
let running

/** Ends what runs at the moment, before this process goes. */
function endRunning () {
  running?.()
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {boolean} isGroup
 */
function end (child, isGroup) {
  try {
    if (isGroup && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    else child.kill('SIGKILL')
  } catch {
    // It has just ended.
  }
}

/** @param {{ code: number | null, output: string, isLate: boolean }} done */
function failureOf ({ code, output, isLate }) {
  if (isLate) return `the build has not ended in time\n${output}`
  return code === 0 ? undefined : output
}

module.exports = { Workshop, endRunning }
