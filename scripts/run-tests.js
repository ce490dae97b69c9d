'use strict'

/*
 * `npm test`: sets up what is missing, then runs the Rust tests and the Node tests, those of integration/ among
 * them.
 *
 * The name is not test.js because `node --test` would take that for a test and start it again, without end.
 */

const { main, run } = require('./steps')
const { runSchedules } = require('./schedules')
const { setUp } = require('./setup')

main(() => {
  setUp({ rust: true, integration: true })
  console.log('Rust tests (cargo test) …')
  run('Rust tests', 'cargo', ['test', '--locked', '--workspace'])
  const ofBinding = ['binding::', 'fuzzing::tests::operations']
  run('Rust tests of the binding', 'cargo', ['test', '--locked', '--features', 'node', '--lib', '--', ...ofBinding])
  console.log('\nSchedules of threads (cargo test in schedules/) …')
  runSchedules()
  console.log('\nNode tests (node --test) …')
  run('Node tests', process.execPath, ['--test'])
})
