'use strict'

/* fake-indexeddb: IndexedDB in memory, on no disk at all. */

const load = () => require('fake-indexeddb')

/** @param {any} request */
const answer = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result)
  request.onerror = () => reject(request.error)
})

async function openRequests () {
  const asked = new (load().IDBFactory)().open('people', 1)
  asked.onupgradeneeded = () => {
    asked.result.createObjectStore('people', { keyPath: 'id' }).createIndex('score', 'score')
  }
  const db = await answer(asked)
  const people = () => db.transaction('people').objectStore('people')
  return {
    putAll: (/** @type {any[]} */ all) => new Promise((resolve, reject) => {
      const tx = db.transaction('people', 'readwrite')
      tx.oncomplete = resolve
      tx.onabort = () => reject(tx.error)
      for (const person of all) tx.objectStore('people').put(person)
    }),
    get: (/** @type {number} */ id) => answer(people().get(id)),
    cursor: () => new Promise((resolve, reject) => {
      /** @type {any[]} */
      const read = []
      const request = people().index('score').openCursor()
      request.onerror = () => reject(request.error)
      request.onsuccess = () => {
        const cursor = request.result
        if (cursor === null) return resolve(read)
        read.push(cursor.value)
        cursor.continue()
      }
    }),
    close: async () => db.close()
  }
}

/** @type {import('./index.js').Adapter} */
module.exports = {
  name: 'fake-indexeddb',
  package: 'fake-indexeddb',
  durability: {},
  cannot: { strict: 'it is in memory only', relaxed: 'it is in memory only' },
  load,
  openRequests
}
