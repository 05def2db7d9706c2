// Pages in a headless browser that must behave: no error in the console, no
// request to another host.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium } from 'playwright-core';

let browser = null;
let axe = null;

/** CHROMIUM, or what there is in PATH. */
function program() {
  const names = process.env.CHROMIUM ? [process.env.CHROMIUM] : ['chromium', 'chromium-browser'];
  const folders = process.env.PATH.split(path.delimiter);
  const found = names.flatMap((name) => folders.map((folder) => path.resolve(folder, name))).find(existsSync);
  assert.ok(found, `there is no ${names.join(' or ')} in PATH: install it or set CHROMIUM`);
  return found;
}

export async function launch() {
  // The tests may run as root, where Chromium's sandbox does not.
  browser ??= await chromium.launch({ executablePath: program(), args: ['--no-sandbox'] });
  return browser;
}

export async function close() {
  await browser?.close();
  browser = null;
}

/** A page of its own context; `done()` judges how it behaved. */
export async function open(base, hash = '#/', { colorScheme = 'light', locale = 'en-GB', viewport = { width: 1280, height: 900 }, expected = [], before, ...more } = {}) {
  const context = await (await launch()).newContext({ colorScheme, locale, viewport, ...more });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const wrong = [];
  const elsewhere = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && !expected.some((pattern) => pattern.test(message.text()))) wrong.push(message.text());
  });
  page.on('pageerror', (error) => wrong.push(error.stack));
  page.on('dialog', (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  const host = new URL(base).host;
  const leaves = (url) => { if (new URL(url).host !== host) elsewhere.push(url); };
  context.on('request', (request) => leaves(request.url()));
  page.on('websocket', (socket) => leaves(socket.url()));
  await before?.(page);
  await page.goto(`${base}/${hash}`);
  const done = async () => {
    await context.close();
    // Both at once: what the page's policy forbids is an error in the console too.
    assert.deepEqual({ errors: wrong, requestsToOtherHosts: elsewhere }, { errors: [], requestsToOtherHosts: [] });
  };
  return { page, done };
}

/** What axe-core finds wrong, in words. */
export async function violations(page) {
  axe ??= await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${help}\n  ${target.join(' ')}\n  ${failureSummary}`));
}
