'use strict'

/* `npm run format`: writes the style that `npm run check` asks for. */

const { main, run, tool } = require('./steps')
const { setUp } = require('./setup')

main(() => {
  setUp({ rust: true })
  run('Rust formatting', 'cargo', ['fmt', '--all'])
  tool('JavaScript style', 'eslint/bin/eslint.js', ['--fix'])
})
