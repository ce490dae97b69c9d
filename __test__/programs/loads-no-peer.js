'use strict'

/* Writes which packages of others the package has loaded. */

require('flowdb')

const loaded = Object.keys(require.cache).filter((file) => /node_modules[\\/](?!flowdb)/.test(file))
if (loaded.length > 0) console.log(loaded.join('\n'))
