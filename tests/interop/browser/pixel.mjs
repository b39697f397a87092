// Visits a site with the pixel in headless Chromium, as its visitors do, behind a proxy with TLS as it is deployed.
//
// Usage: node pixel.mjs MODE SETUP MOMSFLOW PORT CERTIFICATE KEY
//
// SETUP: `same`, the site's own proxy passes the pixel's paths on; `third`, the pixel is on another site's host.
// MOMSFLOW is its address as host:port. PORT is where all hosts are served. The last line printed is JSON for the test.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as ask } from 'node:http'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launch, until } from './chromium.mjs'

const [mode, setup, momsflow, port, certificate, key] = process.argv.slice(2)
const site = `https://www.site.test:${port}`
const pixel = setup === 'same' ? site : `https://pixel.other.test:${port}`
const policy = `default-src 'none'; script-src ${pixel}; connect-src ${pixel}; img-src ${pixel}`

const linked = { '@graph': [{ '@type': 'WebPage' }, { '@type': 'NewsArticle', identifier: 'n-7', headline: 'News' }] }
const HEADS = {
  '/news': `<script type="application/ld+json">${JSON.stringify(linked)}</script>`,
  '/clip': '<meta property="og:type" content="video.other"><meta property="og:url" content="v-9"><meta property="og:title" content="Clip">',
  '/image': `<img src="${pixel}/p.gif?event=Image%20Seen" alt="">`,
}

/** What reached the pixel, and how it was answered. */
const seen = []
const count = (event) => seen.filter((hit) => hit.event === event).length
const arrived = (event, times) => until(`${event} came ${times} times`, () => count(event) >= times)

function pass(request, response) {
  const hit = { method: request.method, path: new URL(request.url, site).pathname, cookie: request.headers.cookie }
  const [host, itsPort] = momsflow.split(':')
  const headers = { ...request.headers, 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.77' }
  const passed = ask({ host, port: itsPort, method: request.method, path: request.url, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers)
    answer.pipe(response)
    answer.on('end', () => seen.push({ ...hit, status: answer.statusCode }))
  })
  let body = ''
  request.on('data', (part) => (body += part))
  request.on('end', () => {
    const said = body && hit.path === '/p' ? JSON.parse(body) : {}
    hit.event = said.event ?? new URL(request.url, site).searchParams.get('event') ?? (hit.path === '/p' ? 'page' : undefined)
    passed.end(body)
  })
}

function serve(request, response) {
  const path = request.url.split('?')[0]
  if (/^\/p(\.gif|\.js|\/optin|\/optout)?$/.test(path)) return pass(request, response)
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy })
  const script = path === '/empty' ? '' : `<script async src="${pixel}/p.js"></script>`
  response.end(`<!doctype html><title>Page ${path}</title>${HEADS[path] ?? ''}${script}<p>text`)
}

/** A browser with a profile, whose pages tell what their policy forbade. */
class Browser {
  faults = []

  async open(profile) {
    // Third-party cookies are blocked, as browsers are about to: a partitioned one holds all the same.
    const flags = [
      '--host-resolver-rules=MAP *.test 127.0.0.1',
      '--ignore-certificate-errors',
      '--test-third-party-cookie-phaseout',
    ]
    const { context, close } = await launch(profile, flags)
    Object.assign(this, { context, close })
    this.context.on('console', (message) => message.type() === 'error' && this.faults.push(message.text()))
    this.context.on('weberror', (error) => this.faults.push(String(error.error())))
    return this
  }

  async visit(path) {
    this.page ??= await this.context.newPage()
    await this.page.goto(site + path)
  }

  /** The pixel's cookies. */
  async cookies() {
    const all = await this.context.cookies(pixel)
    return Object.fromEntries(all.map((cookie) => [cookie.name, cookie]))
  }

  async id() {
    return (await this.cookies())[COOKIE]?.value.split('.')[2]
  }

  choose(method, path) {
    const address = pixel + path
    return this.page.evaluate(
      ({ method, address }) => fetch(address, { method, credentials: 'include' }).then((answer) => answer.json()),
      { method, address },
    )
  }
}

const COOKIE = '__Host-userprint'

/** Reads, shares, navigates and leaves, by a clock that only goes when it is told to. */
async function read(browser) {
  await browser.visit('/empty')
  const { page } = browser
  await page.clock.install({ time: new Date('2026-11-24T06:00:00Z') })
  await page.clock.pauseAt(new Date('2026-11-24T07:00:00Z'))
  const pass = (seconds) => page.clock.runFor(seconds * 1000)
  const move = (x) => page.mouse.move(x, 10)

  await browser.visit('/articles/one')
  await arrived('Article Viewed', 1)
  await pass(15)
  await arrived('Article Read', 1)
  // Nobody does anything any more: 14 s of these count.
  await pass(300)
  await move(20)
  await pass(300)
  await move(30)
  await pass(2)
  await arrived('Article Read', 2)
  await hide(page, true)
  await pass(1)
  await move(40)
  await pass(300)
  await hide(page, false)
  await page.evaluate(() => momsflow.track('Article Shared', { network: 'mail' }))
  await arrived('Article Shared', 1)
  await move(50)
  await pass(5)
  // The last seconds of the first article go before the page event of the second.
  await page.evaluate(() => {
    history.pushState({}, '', '/articles/two?from=one#top')
    document.title = 'Two'
  })
  await pass(0.1)
  await arrived('Article Viewed', 2)
  await page.evaluate(() => history.replaceState({}, '', '/articles/two?from=one#end'))
  await pass(20)
  await page.goBack()
  await pass(0.1)
  await arrived('page', 3)
  await move(60)
  await pass(7)
  // A beacon takes the rest along, on the way out.
  await browser.visit('/news')
  await arrived('Page Engaged', 1)
  await arrived('Article Viewed', 4)
  // What the document says stays behind where an application moves on, and holds again where it comes back.
  await page.evaluate(() => history.pushState({}, '', '/topics'))
  await pass(0.1)
  await arrived('page', 5)
  await page.goBack()
  await pass(0.1)
  await arrived('Article Viewed', 5)
  await browser.visit('/clip')
  await browser.visit('/plain')
  await arrived('page', 8)
  await pass(16)
  await browser.visit('/image')
  await arrived('Image Seen', 1)
  await arrived('page', 9)
  const scripts = await page.evaluate(() => document.cookie)
  await page.close()
  return { scripts }
}

/** Puts another tab before the page, or the page before it. */
async function hide(page, isHidden) {
  if (isHidden) await (await page.context().newPage()).bringToFront()
  else await page.bringToFront()
  await until('the page is hidden or shown', async () => (await page.evaluate(() => document.hidden)) === isHidden)
}

/** Three visits of one visitor: a new page, and a browser that was ended and started between them. */
async function visits(profile) {
  const browser = await new Browser().open(profile)
  const told = await read(browser)
  const first = await browser.cookies()
  browser.page = undefined
  await browser.visit('/second')
  await arrived('page', 10)
  const second = await browser.id()
  await browser.close()
  const later = await new Browser().open(profile)
  await later.visit('/third')
  await arrived('page', 11)
  const third = await later.id()
  const faults = [...browser.faults, ...later.faults]
  await later.close()
  return { ...told, cookie: first[COOKIE], ids: [first[COOKIE]?.value.split('.')[2], second, third], faults }
}

/** Global Privacy Control, opt-out and back, forgotten. */
async function choices(profile) {
  const browser = await new Browser().open(profile)
  const ids = []
  const came = async (path) => {
    const pages = count('page')
    await browser.visit(path)
    await arrived('page', pages + 1)
    ids.push(await browser.id())
  }
  await came('/known')
  await browser.context.setExtraHTTPHeaders({ 'Sec-GPC': '1' })
  await came('/gpc')
  await browser.context.setExtraHTTPHeaders({})
  await came('/back')
  const answers = [await browser.choose('POST', '/p/optout')]
  await came('/out')
  const choice = await browser.page.evaluate(() => document.cookie)
  answers.push(await browser.choose('POST', '/p/optin'))
  await came('/in')
  answers.push(await browser.choose('DELETE', '/p'))
  ids.push(await browser.id())
  await came('/new')
  await browser.close()
  return { ids, answers, choice, faults: browser.faults }
}

/** Nobody is known before consent; then one page is read for fifteen seconds of the real clock. */
async function consent(profile) {
  const browser = await new Browser().open(profile)
  await browser.visit('/before')
  await arrived('page', 1)
  const before = Object.keys(await browser.cookies())
  await browser.choose('POST', '/p/optin')
  await browser.visit('/articles/after')
  await arrived('Article Read', 1)
  const id = await browser.id()
  await browser.close()
  return { before, id, faults: browser.faults }
}

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, serve)
await new Promise((resolve) => server.listen(Number(port), '127.0.0.1', resolve))
const profile = mkdtempSync(join(tmpdir(), 'pixel-'))
try {
  const told = await { visits, choices, consent }[mode](profile)
  console.log(JSON.stringify({ ...told, refused: seen.filter((hit) => hit.status >= 400) }))
} finally {
  server.close()
  server.closeAllConnections()
  rmSync(profile, { recursive: true, force: true })
}
