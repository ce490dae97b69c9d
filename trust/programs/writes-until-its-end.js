'use strict'

/*
 * Puts the load of `kill-load.js` on a folder until it is killed, or until it ends itself, by `exit` or `throw`, so
 * many acknowledgements and milliseconds behind its opening. Prints a line for what is acknowledged, before anything
 * else is issued; a pipe takes it at once.
 */

const { run } = require('../kill-load')

const [folder, seed, durability, end, endBehind, endMs] = process.argv.slice(2)

function endLater () {
  setTimeout(() => {
    if (end === 'exit') process.exit(7)
    throw new Error('thrown on purpose')
  }, Number(endMs))
}

let told = 0

run(folder, Number(seed), durability, (what, which = '') => {
  process.stdout.write(`${what} ${which}\n`)
  if (end !== undefined && told++ === Number(endBehind)) endLater()
})
