'use strict'

/* What a database says of itself under the names that LevelDB has for its properties. */

const MIB = 1024 * 1024

const FILES_AT_LEVEL = /^leveldb\.num-files-at-level(\d+)$/

/**
 * @param {string} name
 * @param {any} stats from `statsSync`
 * @returns {string} the empty one where there is no such property
 */
function propertyOf (name, stats) {
  const level = FILES_AT_LEVEL.exec(name)
  if (level !== null) return filesAt(Number(level[1]), stats)
  switch (name) {
    case 'leveldb.stats': return table(stats)
    case 'leveldb.sstables': return levels(stats)
    case 'leveldb.approximate-memory-usage': return String(stats.memtableBytes + stats.cacheBytes + stats.pinnedBytes)
    case 'flowdb.stats': return JSON.stringify(stats)
    default: return ''
  }
}

/**
 * @param {number} level
 * @param {any} stats
 */
function filesAt (level, { levelTables }) {
  return level < levelTables.length ? String(levelTables[level]) : ''
}

/** @param {any} stats */
function table ({ levelTables, levelBytes, flushes, flushedBytes, compactions, compactedBytes, stalls }) {
  const rows = levelTables.map((/** @type {number} */ tables, /** @type {number} */ level) => {
    return `${String(level).padStart(5)} ${String(tables).padStart(8)} ${megabytes(levelBytes[level]).padStart(12)}`
  })
  return [
    'Level   Tables     Size(MB)',
    '---------------------------',
    ...rows,
    `Flushes: ${flushes} (${megabytes(flushedBytes)} MB)`,
    `Compactions: ${compactions} (${megabytes(compactedBytes)} MB)`,
    `Stalls: ${stalls}`,
    ''
  ].join('\n')
}

/** @param {any} stats */
function levels ({ levelTables, levelBytes }) {
  const row = (/** @type {number} */ tables, /** @type {number} */ level) => {
    return `--- level ${level} ---\n ${tables} tables, ${levelBytes[level]} bytes\n`
  }
  return levelTables.map(row).join('')
}

/** @param {number} bytes */
const megabytes = (bytes) => (bytes / MIB).toFixed(1)

exports.propertyOf = propertyOf
