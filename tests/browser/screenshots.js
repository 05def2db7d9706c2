// The pictures of the README, taken of `isems demo`.

import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { close, open } from './support/browser.js';
import { collector } from './support/collector.js';
import { scope } from './support/scope.js';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots', import.meta.url));
const LARGEST = 150_000;

const run = scope();
await mkdir(FOLDER, { recursive: true });

async function take(name, hash, ready, options = {}, prepare = async () => {}) {
  const { page, done } = await open(isems.base, hash, options);
  await page.locator(ready).first().waitFor();
  await prepare(page);
  await page.waitForLoadState('load');
  const file = path.join(FOLDER, `${name}.png`);
  await page.screenshot({ path: file, animations: 'disabled' });
  await done();
  const { size } = await stat(file);
  assert.ok(size <= LARGEST, `${file}: ${size} bytes`);
  console.log(`${file}: ${size} bytes`);
}

const desk = { width: 1200, height: 820 };
const sparks = (page) => page.waitForFunction(() => [...document.querySelectorAll('.spark')].every((spark) => spark.firstChild || spark.getBoundingClientRect().top > innerHeight));

let isems;
try {
  isems = await collector(run, { command: 'demo' });
  await isems.says('Ctrl-C ends it');
  await take('overview', '#/', '.spark-end', { viewport: desk }, sparks);
  await take('overview-dark', '#/', '.spark-end', { viewport: desk, colorScheme: 'dark' }, sparks);
  await take('node', '#/node/Rathaus-Dach', '.uplot', { viewport: { width: 1200, height: 980 } }, async (page) => {
    const box = await page.locator('.u-over').first().boundingBox();
    await page.mouse.move(box.x + box.width * 0.45, box.y + box.height * 0.5);
  });
  await take('map', '#/map', '.mark', { viewport: desk }, async (page) => {
    // Closer to the town in which most of the nodes are.
    const places = await Promise.all(['Rathaus-Dach', 'Funkmast Süd', 'Bootshaus-Steg', 'Werkhof-Giebel'].map((name) => page.getByRole('link', { name }).boundingBox()));
    const middle = (of) => places.map(of).reduce((sum, at) => sum + at, 0) / places.length;
    await page.mouse.move(middle(({ x, width }) => x + width / 2), middle(({ y, height }) => y + height / 2));
    for (let turn = 0; turn < 11; turn += 1) await page.mouse.wheel(0, -120);
    await page.waitForFunction(() => document.querySelectorAll('.mark.named').length >= 5);
    const frame = await page.locator('.map-frame').boundingBox();
    const around = await page.locator('.mark a').evaluateAll((links) => links.map((link) => link.getBoundingClientRect()).map(({ x, y }) => ({ x, y })));
    const centre = (name) => (Math.min(...around.map((at) => at[name])) + Math.max(...around.map((at) => at[name]))) / 2;
    await page.mouse.move(frame.x + 20, frame.y + 20);
    await page.mouse.down();
    await page.mouse.move(frame.x + 20 + frame.x + frame.width / 2 - centre('x'), frame.y + 20 + frame.y + frame.height / 2 - centre('y'), { steps: 3 });
    await page.mouse.up();
    await page.mouse.move(0, 0);
  });
  await take('phone', '#/', '.spark-end', { viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true, locale: 'de-DE' }, sparks);
} finally {
  await close();
  await run.end();
}
