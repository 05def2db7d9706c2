// What `isems demo` promises to show by itself. It takes as long as the demo's
// story does: some three minutes.

import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { close, open } from './support/browser.js';
import { collector } from './support/collector.js';

const NAME = 'Imkerei Britz';
const MINUTES = 60_000;

after(close);

it('a node of the demo goes silent, comes back and runs low while one watches', { timeout: 6 * MINUTES }, async (t) => {
  const isems = await collector(t, { command: 'demo' });
  await isems.says('Ctrl-C ends it');
  const { page, done } = await open(isems.base);
  await page.evaluate(() => { globalThis.mark = 'not reloaded'; });
  const row = page.locator('.row', { has: page.getByRole('link', { name: NAME, exact: true }) });
  const seen = (words) => row.locator('.state', { hasText: words }).waitFor({ timeout: 2 * MINUTES });

  await seen('Discharging');
  await seen('Silent for more than a day');
  await seen('Discharging');
  await row.locator('.heard', { hasText: /second|minute|now/ }).waitFor();
  await seen('Battery low');
  assert.equal(await page.evaluate(() => globalThis.mark), 'not reloaded');
  await done();
});
