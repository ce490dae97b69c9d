'use strict'

/* Writes which packages of others the package has loaded, with all of it but flowdb/level. */

for (const name of ['flowdb', 'flowdb/keyv', 'flowdb/unstorage']) require(name)

const loaded = Object.keys(require.cache).filter((file) => /node_modules[\\/](?!flowdb)/.test(file))
if (loaded.length > 0) console.log(loaded.join('\n'))
