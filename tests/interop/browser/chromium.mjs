// How every test here runs headless Chromium.

import { spawn } from 'node:child_process'
import { chromium } from 'playwright-core'

const PATIENCE = 60_000
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--password-store=basic',
  '--remote-debugging-port=0',
]

/**
 * Starts a browser on a profile's folder, which keeps its cookies. Not by Playwright's own launch, which makes every page
 * visible and focused for ever, also behind another tab.
 */
export async function launch(profile, flags = []) {
  const program = spawn('/usr/bin/chromium', [...FLAGS, ...flags, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = new Promise((resolve) => program.on('exit', resolve))
  let said = ''
  program.stderr.on('data', (part) => (said += part))
  const address = () => said.match(/DevTools listening on (ws:\S+)/)?.[1]
  await until('Chromium listens', () => {
    if (program.exitCode !== null) throw new Error(said)
    return address()
  })
  const browser = await chromium.connectOverCDP(address(), { noDefaults: true })
  const close = async () => {
    // Asked to end, it writes its cookies down.
    const client = await browser.newBrowserCDPSession()
    await client.send('Browser.close')
    await ended
  }
  return { context: browser.contexts()[0], close }
}

export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
