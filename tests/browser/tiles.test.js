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

/** Tiles of zooms 0 to 3 around Berlin and nowhere else, by someone with a name. */
const ARCHIVE = path.join(import.meta.dirname, '..', 'fixtures', 'map', 'mitteleuropa.pmtiles');

after(close);

/** The map on an archive, and which tiles it asked for. */
async function archived(t, node, prepare) {
  const net = await nodes(t);
  const isems = await collector(t, { nodes: [net.add(node).address], settings: { ISEMS_MAP_TILES: ARCHIVE } });
  await isems.knows(1);
  const asked = [];
  const before = (page) => {
    page.on('request', (request) => asked.push(/\/tiles\/(.*)\.png$/.exec(request.url())?.[1]));
    return prepare?.(page);
  };
  const { page, done } = await open(isems.base, '#/map', { before });
  return { page, asked: () => asked.filter(Boolean), done };
}

/** Zooms out step by step, each of them drawn, until there is what is wished. */
async function outUntil(page, what, there) {
  for (let clicks = 0; !await there(); clicks += 1) {
    assert.ok(clicks < 40, `zoomed out in vain for ${what}`);
    await page.getByRole('button', { name: 'Zoom out' }).click();
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
  }
}

it('tiles come from a folder of the collector, and only from there', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'isems-tiles-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const column of [0, 1]) {
    await mkdir(path.join(folder, '1', String(column)), { recursive: true });
    // The southern half is not there: maps end somewhere.
    await writeFile(path.join(folder, '1', String(column), '0.png'), PNG);
  }
  const net = await nodes(t);
  const isems = await collector(t, { nodes: [net.add(line('Dach')).address], settings: { ISEMS_MAP_TILES: folder } });
  await isems.knows(1);
  const tile = (response) => response.url().endsWith('/tiles/1/1/0.png') && response.status() === 200;
  const { page, done } = await open(isems.base, '#/sources');
  const [answer] = await Promise.all([page.waitForResponse(tile), page.getByRole('link', { name: 'Map' }).click()]);
  assert.equal(answer.headers()['content-type'], 'image/png');
  await page.locator('.map-drawing image').first().waitFor();
  await done();
});

it('an archive is drawn without internet, enlarged beyond its zooms and only where it has tiles', async (t) => {
  const { page, asked, done } = await archived(t, line('Dach'));
  await page.locator('image[data-key="3/4/2"]').waitFor();
  const credit = page.locator('.credit');
  await credit.waitFor();
  assert.equal(await credit.textContent(), '© Surveyors & Sons');
  // Farther out, where most of the world has no tiles.
  for (const key of ['2/2/1', '1/1/0']) await outUntil(page, key, () => page.locator(`image[data-key="${key}"]`).count());
  // Whatever was seen first: the world, before the nodes were known, or them.
  assert.deepEqual(asked().filter((tile) => !['0/0/0', '1/1/0', '2/2/1', '3/4/2'].includes(tile)), []);
  await done();
});

it('an archive is a grid where its tiles would be too small, and its makers are named without markup', async (t) => {
  const said = '<b>Surveyors</b> <img src=x onerror=alert(1)>';
  const prepare = (page) => page.route('**/map.json', async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ json: { ...await answer.json(), minZoom: 3, attribution: said } });
  });
  const { page, asked, done } = await archived(t, line('Dach'), prepare);
  await page.locator('image[data-key="3/4/2"]').waitFor();
  assert.equal(await page.locator('.credit').textContent(), said);
  // From the whole world all tiles of zoom 3 would be seen, small.
  await outUntil(page, 'a mere grid', async () => await page.locator('.map-drawing image').count() === 0);
  assert.ok(await page.locator('.grid path').count() > 0);
  assert.deepEqual([...new Set(asked())], ['3/4/2']);
  await done();
});

it('OpenStreetMap is asked only if the operator turned it on', async (t) => {
  for (const [settings, allowed] of [[{}, false], [{ ISEMS_MAP_TILES: 'osm' }, true]]) {
    const isems = await collector(t, { settings });
    const answer = await fetch(isems.base);
    const policy = answer.headers.get('content-security-policy');
    assert.equal(policy.includes('https://tile.openstreetmap.org'), allowed, policy);
    const { tiles } = await isems.json('/map.json');
    assert.equal(tiles !== null, allowed);
    await isems.stop();
  }
});
