// A large fleet.

import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { close, open } from './support/browser.js';
import { collector } from './support/collector.js';
import { line, nodes } from './support/nodes.js';

const MANY = 1_000;

/** How many times slower than a usual one this machine may be. */
const SLOWNESS = Number(process.env.ISEMS_TEST_SLOWNESS ?? 1);

after(close);

it('shows 1,000 nodes in under 2 seconds', async (t) => {
  const net = await nodes(t);
  const log = net.add(Array.from({ length: MANY }, (_, at) => line(`Knoten ${String(at).padStart(4, '0')}`, {
    age: 20, status: ['900', '500', '480', '908'][at % 4], charge: at % 101, latitude: (52.3 + (at % 40) / 100).toFixed(4), longitude: (13.1 + Math.floor(at / 40) / 40).toFixed(4),
  })));
  const isems = await collector(t, { nodes: [log.address], settings: { ISEMS_POLL_INTERVAL: '1h' } });
  await isems.knows(MANY);

  // The best of three: other work on the machine is no property of the page.
  let best = Infinity;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const { page, done } = await open(isems.base, '#/', {
      before: (fresh) => fresh.addInitScript(() => {
        const seen = new MutationObserver(() => {
          if (!document.querySelector('.row')) return;
          seen.disconnect();
          // After the frame that shows it.
          requestAnimationFrame(() => setTimeout(() => { globalThis.firstList = performance.now(); }));
        });
        seen.observe(document, { childList: true, subtree: true });
      }),
    });
    const took = await (await page.waitForFunction(() => globalThis.firstList)).jsonValue();
    assert.equal(await page.locator('.row').count(), MANY);
    best = Math.min(best, took);
    await page.goto(`${isems.base}/#/map`);
    await page.locator('.mark').nth(MANY - 1).waitFor();
    await done();
  }
  console.log(`first list of ${MANY} nodes after ${Math.round(best)} ms`);
  assert.ok(best < 2_000 * SLOWNESS, `${best} ms`);
});
