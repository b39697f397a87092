// Makes the calls of a file with the unmodified @segment/analytics-node.
//
// Usage: node send.mjs CALLS HOST WRITE_KEY

import { readFileSync } from 'node:fs'
import { Analytics } from '@segment/analytics-node'

const [path, host, writeKey] = process.argv.slice(2)
const calls = JSON.parse(readFileSync(path, 'utf8'))
const analytics = new Analytics({ host, writeKey })
const failures = []
analytics.on('error', (error) => failures.push(error))

for (const { type, ...call } of calls) {
  analytics[type]({ ...call, timestamp: new Date(call.timestamp) })
}
await analytics.closeAndFlush({ timeout: 60_000 })
if (failures.length > 0) {
  console.error(failures[0])
  process.exit(1)
}
console.log(calls.length)
