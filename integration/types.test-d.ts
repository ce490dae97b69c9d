/* Checked by `tsc` and never run: what these packages declare takes our adapters as they are declared. */

import { KeyvFlowDB } from 'flowdb/keyv'
import flowdbDriver from 'flowdb/unstorage'
import { Keyv as Keyv5, KeyvStoreAdapter } from 'keyv'
import { Keyv as Keyv6, KeyvStorageAdapter } from 'keyv6'
import { createStorage, Driver } from 'unstorage'

const adapter = new KeyvFlowDB({ dataDir: 'cache', durability: 'relaxed', namespace: 'a' })
const five: KeyvStoreAdapter = adapter
const six: KeyvStorageAdapter = new KeyvFlowDB(adapter)
new Keyv5({ store: five, namespace: 'b' })
new Keyv6({ store: six, namespace: 'b' })

const driver: Driver = flowdbDriver({ dataDir: 'data', base: 'a', ttl: 60 })
createStorage({ driver })

// @ts-expect-error there is no such option
new KeyvFlowDB({ dataDir: 'cache', tableau: 1 })
// @ts-expect-error seconds are a number
flowdbDriver({ dataDir: 'data', ttl: 'soon' })
