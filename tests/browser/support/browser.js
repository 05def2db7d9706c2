// Pages in a headless browser that must behave: no error in the console, no
// request to another host.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

let browser = null;
let axe = null;

export async function launch() {
  // The tests may run as root, where Chromium's sandbox does not.
  browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
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
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(base).origin) elsewhere.push(request.url());
  });
  await before?.(page);
  await page.goto(`${base}/${hash}`);
  const done = async () => {
    await context.close();
    assert.deepEqual(wrong, [], 'errors in the console');
    assert.deepEqual(elsewhere, [], 'requests to other hosts');
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
