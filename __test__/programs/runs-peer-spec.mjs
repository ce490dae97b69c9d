/*
 * Runs a spec of another package unchanged, on what takes the place of the package's own modules: `--import` this file
 * before it.
 *
 * The modules that are replaced, and their replacements, are in FLOWDB_REPLACED as JSON.
 */

import { register } from 'node:module'
import { env } from 'node:process'

register('./replaces-modules.mjs', import.meta.url, { data: JSON.parse(env.FLOWDB_REPLACED) })
