// What changes is seen without a reload.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { after, it } from 'node:test';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { close, open } from './support/browser.js';
import { collector } from './support/collector.js';
import { day, line, nodes } from './support/nodes.js';
import { proxy } from './support/proxy.js';
import { until } from './support/wait.js';

const DAY = 86_400;
const row = (page, name) => page.locator('.row', { has: page.getByRole('link', { name, exact: true }) });
const has = (locator, words) => locator.filter({ hasText: words }).first().waitFor({ timeout: 30_000 });

after(close);

it('a node that goes silent, comes back and runs low is seen to do so', async (t) => {
  const net = await nodes(t);
  // Given: a node that will have been silent for a day in some seconds.
  const log = net.add(line('Dach', { age: DAY - 12, battery: 12.6 }));
  const other = net.add(line('Anderer', { status: 'A00' }));
  const isems = await collector(t, { nodes: [log.address, other.address] });
  await isems.knows(2);
  const { page, done } = await open(isems.base);
  await page.evaluate(() => { globalThis.mark = 'not reloaded'; });
  const dach = row(page, 'Dach');
  const first = () => page.locator('.row .name').first().textContent();
  await has(dach, 'Charging');
  assert.equal(await first(), 'Anderer', 'fully charged comes before charging');

  // Then: it goes silent by the mere passing of time, and moves up.
  await has(dach, 'Silent for more than a day');
  assert.equal(await first(), 'Dach');

  // When it comes back
  log.append(line('Dach', { battery: 12.9 }));
  await has(dach, 'Charging');
  await has(dach, '12.90 V');
  assert.equal(await first(), 'Anderer');

  // When it runs low
  log.append(line('Dach', { age: -1, status: '480', battery: 11.8, charge: 14 }));
  await has(dach, 'Battery low');
  await has(dach, '14 %');
  await has(dach, '11.80 V');
  assert.equal(await first(), 'Dach');
  await has(page.locator('.lead'), '1 node needs attention.');

  // And: its own view is as live.
  await page.getByRole('link', { name: 'Dach', exact: true }).click();
  await has(page.locator('.badge'), 'Battery low');
  log.append(line('Dach', { age: -2, status: '940', battery: 12.1 }));
  await has(page.locator('.badge'), 'Battery too small for its load');
  await has(page.locator('.tiles'), '12.10 V');

  assert.equal(await page.evaluate(() => globalThis.mark), 'not reloaded');
  await done();
});

it('a lost connection is said to be lost, and found again', async (t) => {
  const net = await nodes(t);
  const log = net.add(line('Dach'));
  const isems = await collector(t, { nodes: [log.address] });
  await isems.knows(1);
  const { page, done } = await open(isems.base, '#/', { expected: [/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/] });
  await row(page, 'Dach').waitFor();
  assert.equal(await page.locator('#banner').isVisible(), false);

  // When the collector is gone
  await isems.stop({ keep: true });
  await has(page.getByRole('status'), 'No connection to the collector.');
  assert.equal(await row(page, 'Dach').count(), 1, 'what was known stays');

  // When it is there again, with news
  log.append(line('Dach', { age: -1, battery: 13.33 }));
  const again = await collector(t, { nodes: [log.address], folder: isems.folder, settings: { ISEMS_LISTEN: isems.base.replace('http://', '') } });
  await page.locator('#banner').waitFor({ state: 'hidden', timeout: 30_000 });
  await has(row(page, 'Dach'), '13.33 V');
  await done();
});

it('where events cannot be followed, the page asks', async (t) => {
  const net = await nodes(t);
  const log = net.add(line('Dach'));
  const isems = await collector(t, { nodes: [log.address] });
  await isems.knows(1);
  const { page, done } = await open(isems.base, '#/', {
    expected: [/status of 503/],
    before: (page) => page.route('**/api/v1/events', (route) => route.fulfill({ status: 503, body: '' })),
  });
  await row(page, 'Dach').waitFor();
  log.append(line('Dach', { age: -1, battery: 13.44 }));
  await has(row(page, 'Dach'), '13.44 V');
  assert.equal(await page.locator('#banner').isVisible(), false, 'the connection is not lost');
  await done();
});

/** The page behind a proxy, with one node. */
async function behindProxy(t, before) {
  const net = await nodes(t);
  const log = net.add(line('Dach', { age: 60 }));
  const isems = await collector(t, { nodes: [log.address] });
  await isems.knows(1);
  const between = await proxy(isems.base);
  t.after(() => between.stop());
  const { page, done } = await open(between.base, '#/', { before });
  await row(page, 'Dach').waitFor();
  let age = 30;
  return {
    page,
    between,
    async stored(battery) {
      // No two at the same second.
      log.append(line('Dach', { age: age -= 1, battery }));
      await until('it is stored', async () => (await isems.json('/api/v1/nodes/Dach')).values.batteryVoltage === battery);
    },
    done,
  };
}

it('a tab that nobody looks at holds no connection, and misses nothing', async (t) => {
  const turn = (hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
  };
  // Given: a tab that was opened in the background. It has its nodes.
  const { page, between, stored, done } = await behindProxy(t, (page) => page.addInitScript(turn, true));
  assert.equal(between.asked(), 0);

  // When it is looked at
  await page.evaluate(turn, false);
  await until('it follows', () => between.following() === 1);

  // When it is not, and something happens
  await page.evaluate(turn, true);
  await until('it follows no more', () => between.following() === 0);
  await stored(13.66);

  // Then: who looks again sees it, and what comes then.
  await page.evaluate(turn, false);
  await has(row(page, 'Dach'), '13.66 V');
  await until('it follows again', () => between.following() === 1);
  await stored(13.67);
  await has(row(page, 'Dach'), '13.67 V');
  await done();
});

it('a connection that died silently is noticed, and one that only has nothing to tell is kept', async (t) => {
  const { page, between, stored, done } = await behindProxy(t, (page) => page.clock.install());
  await until('it follows', () => between.following() === 1);

  // Given: minutes without news, but with signs of life.
  for (let seconds = 0; seconds < 120; seconds += 15) {
    between.beat();
    await page.evaluate(() => fetch('healthz'));
    await page.clock.fastForward(15_000);
  }
  assert.equal(between.asked(), 1);

  // When the connection dies without a word
  between.silence();
  await stored(13.77);
  await page.clock.fastForward(50_000);

  // Then: it is followed anew, and nothing is missed.
  await has(row(page, 'Dach'), '13.77 V');
  await until('events are asked for again', () => between.asked() === 2);
  assert.equal(await page.locator('#banner').isVisible(), false);
  await done();
});

it('beside isems-app, the page at /dashboard/ is the same', async (t) => {
  const app = await mkdtemp(path.join(tmpdir(), 'isems-app-'));
  t.after(() => rm(app, { recursive: true }));
  await writeFile(path.join(app, 'index.html'), '<!doctype html><title>isems-app</title>');
  const net = await nodes(t);
  const log = net.add(line('Dach'));
  const isems = await collector(t, { nodes: [log.address], settings: { ISEMS_APP_DIR: app } });
  await isems.knows(1);
  assert.match(await (await fetch(isems.base)).text(), /<title>isems-app/);
  const { page, done } = await open(`${isems.base}/dashboard`);
  await row(page, 'Dach').waitFor();
  log.append(line('Dach', { age: -1, battery: 13.22 }));
  await has(row(page, 'Dach'), '13.22 V');
  await page.getByRole('link', { name: 'Dach', exact: true }).click();
  await page.locator('.uplot').first().waitFor();
  await done();
});

it('what happens between the list and the events is not missed', async (t) => {
  const net = await nodes(t);
  const log = net.add(line('Dach', { age: 60, battery: 12.6 }));
  const isems = await collector(t, { nodes: [log.address] });
  await isems.knows(1);
  let asked = 0;
  const { page, done } = await open(isems.base, '#/', {
    before: (page) => page.route('**/api/v1/events', async (route) => {
      asked += 1;
      // Given: events that are joined late, when something has happened.
      log.append(line('Dach', { battery: 13.55 }));
      await until('it is stored', async () => {
        const { values } = await isems.json('/api/v1/nodes/Dach');
        return values.batteryVoltage === 13.55;
      });
      await route.continue();
    }),
  });
  await has(row(page, 'Dach'), '13.55 V');
  assert.equal(asked, 1);
  await done();
});

it('a node that is removed goes from the page', async (t) => {
  const net = await nodes(t);
  const logs = [net.add(line('Dach')), net.add(line('Anderer'))];
  const isems = await collector(t, { nodes: logs.map(({ address }) => address), settings: { ISEMS_POLL_INTERVAL: '1h' } });
  await isems.knows(2);
  const { page, done } = await open(isems.base);
  await row(page, 'Anderer').waitFor();
  await promisify(execFile)(process.env.ISEMS_BIN, ['forget', 'Anderer', '--yes'], {
    env: { PATH: process.env.PATH, DATABASE_URL: `sqlite:///${isems.folder}/isems.db` },
  });
  await row(page, 'Anderer').waitFor({ state: 'detached', timeout: 30_000 });
  assert.equal(await row(page, 'Dach').count(), 1);
  await done();
});

it('nodes that are called . and .. have their own views', async (t) => {
  const net = await nodes(t);
  const logs = ['.', '..'].map((name) => net.add(day(name, { hours: 3 })));
  const isems = await collector(t, { nodes: logs.map(({ address }) => address) });
  await isems.knows(2);
  const { page, done } = await open(isems.base);
  for (const name of ['.', '..']) {
    await page.getByRole('link', { name, exact: true }).click();
    await page.locator('h1', { hasText: name }).waitFor();
    await page.locator('figure.chart canvas').first().waitFor();
    const csv = page.locator('a[href*="export.csv"]').first();
    const answer = await page.evaluate(async (href) => (await (await fetch(href)).text()), await csv.getAttribute('href'));
    assert.match(answer.split('\n')[1], new RegExp(`^${name.replaceAll('.', '\\.')},`));
    await page.goto(`${isems.base}/#/`);
  }
  await done();
});
