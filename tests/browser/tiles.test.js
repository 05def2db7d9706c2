// What the map is drawn on.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { after, it } from 'node:test';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { close, open } from './support/browser.js';
import { collector } from './support/collector.js';
import { line, nodes } from './support/nodes.js';

/** One pixel, which is enough of a tile. */
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64');

after(close);

it('tiles come from a folder of the collector, and only from there', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'isems-tiles-'));
  for (const column of [0, 1]) {
    await mkdir(path.join(folder, '1', String(column)), { recursive: true });
    // The southern half is not there: maps end somewhere.
    await writeFile(path.join(folder, '1', String(column), '0.png'), PNG);
  }
  const net = await nodes();
  const isems = await collector({ nodes: [net.add(line('Dach')).address], settings: { ISEMS_MAP_TILES: folder } });
  await isems.knows(1);
  const tile = (response) => response.url().endsWith('/tiles/1/1/0.png') && response.status() === 200;
  const { page, done } = await open(isems.base, '#/sources');
  const [answer] = await Promise.all([page.waitForResponse(tile), page.getByRole('link', { name: 'Map' }).click()]);
  assert.equal(answer.headers()['content-type'], 'image/png');
  await page.locator('.map-drawing image').first().waitFor();
  await done();
  await isems.stop();
  await net.stop();
  await rm(folder, { recursive: true });
});

it('OpenStreetMap is asked only if the operator turned it on', async () => {
  for (const [settings, allowed] of [[{}, false], [{ ISEMS_MAP_TILES: 'osm' }, true]]) {
    const isems = await collector({ settings });
    const answer = await fetch(isems.base);
    const policy = answer.headers.get('content-security-policy');
    assert.equal(policy.includes('https://tile.openstreetmap.org'), allowed, policy);
    const { tiles } = await isems.json('/map.json');
    assert.equal(tiles !== null, allowed);
    await isems.stop();
  }
});
