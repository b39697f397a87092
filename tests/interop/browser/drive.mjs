// Drives the unmodified @segment/analytics-next in headless Chromium, on a page of another origin than momsflow.
//
// Usage: node drive.mjs calls CALLS HOST WRITE_KEY ORIGIN   makes the calls of a file
//        node drive.mjs leave HOST WRITE_KEY ORIGIN         batches, leaves the page, comes back, sends beacons
//        node drive.mjs stranger HOST WRITE_KEY ORIGIN      the same page on an origin that may not send
//        node drive.mjs snippet FILE ORIGIN                 runs a file as the page's script
//
// HOST is momsflow's address as http://host:port, ORIGIN the host:port that this serves the page on.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { launch, until } from './chromium.mjs'

const SDK = `import { AnalyticsBrowser } from '@segment/analytics-next'; window.AnalyticsBrowser = AnalyticsBrowser`

/** Serves a page with the SDK, or a script of its own, as users' bundlers would make it. */
async function servePage(origin, source = SDK) {
  const bundle = await build({
    stdin: { contents: source, resolveDir: import.meta.dirname },
    bundle: true,
    format: 'iife',
    write: false,
    logLevel: 'error',
  })
  const [host, port] = origin.split(':')
  const server = createServer((request, response) => {
    const isScript = request.url === '/bundle.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8')
    response.end(isScript ? bundle.outputFiles[0].text : '<title>Page</title><script src="/bundle.js"></script>')
  })
  await new Promise((resolve) => server.listen(Number(port), host, resolve))
  return server
}

/** A POST's events, be it one or a batch. */
function messageIds(request) {
  const body = JSON.parse(request.postData() ?? '{}')
  return (body.batch ?? [body]).map((event) => event.messageId)
}

/** Opens the page and keeps the ids of events that were answered with 200. */
async function open(context, origin) {
  const page = await context.newPage()
  const answered = new Set()
  page.on('response', (response) => {
    if (response.ok() && response.request().method() === 'POST') {
      messageIds(response.request()).forEach((id) => answered.add(id))
    }
  })
  await page.goto(`http://${origin}/`)
  return { page, answered }
}

async function makeCalls(context, [path, host, writeKey, origin]) {
  const calls = JSON.parse(readFileSync(path, 'utf8'))
  const { page, answered } = await open(context, origin)
  await page.evaluate(
    async ({ calls, host, writeKey }) => {
      // Where to send comes with the settings.
      const analytics = AnalyticsBrowser.load({ writeKey, cdnURL: host })
      await analytics.setAnonymousId(calls[0].anonymousId)
      const make = {
        track: (call, options) => analytics.track(call.event, call.properties, options),
        identify: (call, options) => analytics.identify(call.userId, call.traits, options),
        page: (call, options) => analytics.page(call.name, call.properties, options),
        screen: (call, options) => analytics.screen(call.name, call.properties, options),
        group: (call, options) => analytics.group(call.groupId, call.traits, options),
        alias: (call, options) => analytics.alias(call.userId, call.previousId, options),
      }
      for (const call of calls) {
        make[call.type](call, { timestamp: new Date(call.timestamp) })
        // A page makes its calls one after the other; the SDK's first 5 s of back-off are for the failed ones.
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
    { calls, host, writeKey },
  )
  await until('all is answered', () => answered.size === calls.length)
  return calls.length
}

/** Loads the SDK with its batching strategy, which sends what is left when the page is left. */
function loadBatching({ host, writeKey }) {
  window.analytics = AnalyticsBrowser.load(
    { writeKey, cdnURL: host },
    {
      integrations: {
        'Segment.io': {
          apiHost: `${new URL(host).host}/v1`,
          protocol: 'http',
          deliveryStrategy: { strategy: 'batching', config: { size: 100, timeout: 3_600_000 } },
        },
      },
    },
  )
  return window.analytics.ready().then(async () => (await window.analytics.user()).anonymousId())
}

async function leave(context, [host, writeKey, origin]) {
  const { page, answered } = await open(context, origin)
  const before = await page.evaluate(loadBatching, { host, writeKey })
  await page.evaluate(async () => {
    for (let n = 0; n < 3; n += 1) analytics.track('Page Left', { n })
    await new Promise((resolve) => setTimeout(resolve, 200))
  })
  if (answered.size > 0) throw new Error('the batch was sent before the page was left')
  // Which is a pagehide.
  await page.goto(`http://${origin}/again`)
  const after = await page.evaluate(loadBatching, { host, writeKey })
  await page.evaluate(
    ({ host, writeKey, anonymousId }) => {
      const event = { type: 'track', event: 'Beacon Sent', anonymousId }
      addEventListener('pagehide', () => {
        navigator.sendBeacon(`${host}/v1/batch`, JSON.stringify({ writeKey, batch: [event] }))
        navigator.sendBeacon(`${host}/v1/t?writeKey=${writeKey}`, JSON.stringify(event))
      })
    },
    { host, writeKey, anonymousId: after },
  )
  await page.goto(`http://${origin}/last`)
  await page.waitForTimeout(500)
  return JSON.stringify({ before, after })
}

async function stranger(context, [host, writeKey, origin]) {
  const { page } = await open(context, origin)
  const refused = []
  page.on('requestfailed', (request) => refused.push(new URL(request.url()).pathname))
  page.on('response', (response) => {
    if (response.status() === 403) refused.push(new URL(response.url()).pathname)
  })
  const outcome = await page.evaluate(
    async ({ host, writeKey }) => {
      const read = (path, options) => fetch(host + path, options).then((answer) => answer.status, () => 'unreadable')
      const analytics = AnalyticsBrowser.load({ writeKey, cdnURL: host }, { integrations: { 'Segment.io': { apiHost: `${new URL(host).host}/v1`, protocol: 'http' } } })
      analytics.track('Stranger Came', {}).catch(() => {})
      const event = { type: 'track', event: 'Stranger Came', anonymousId: 'a-1' }
      navigator.sendBeacon(`${host}/v1/t?writeKey=${writeKey}`, JSON.stringify(event))
      return {
        settings: await read(`/v1/projects/${writeKey}/settings`),
        // A simple request, which browsers send without asking first.
        event: await read(`/v1/t?writeKey=${writeKey}`, { method: 'POST', body: JSON.stringify(event) }),
      }
    },
    { host, writeKey },
  )
  await page.waitForTimeout(1_000)
  return JSON.stringify({ ...outcome, refused: [...new Set(refused)].sort() })
}

/** Runs a page's script and waits until something that it sent was taken. */
async function snippet(context, [, origin]) {
  const { answered } = await open(context, origin)
  await until('the snippet has sent', () => answered.size > 0)
  return answered.size
}

const [mode, ...rest] = process.argv.slice(2)
const modes = { calls: makeCalls, leave, stranger, snippet }
const source = mode === 'snippet' ? readFileSync(rest[0], 'utf8') : SDK
const server = await servePage(rest.at(-1), source)
const profile = mkdtempSync(join(tmpdir(), 'interop-'))
const { context, close } = await launch(profile)
try {
  console.log(await modes[mode](context, rest))
} finally {
  await close()
  server.close()
  server.closeAllConnections()
  rmSync(profile, { recursive: true, force: true })
}
