'use strict'

/* `npm run demo`: sets up what is missing, then runs the demo with the arguments given after `--`. */

const { main, root } = require('./steps')
const { setUp } = require('./setup')
const { join } = require('node:path')

main(() => {
  setUp()
  // In this process, so that the demo owns the terminal and its exit code is ours.
  require(join(root, 'examples', 'demo.js'))
})
