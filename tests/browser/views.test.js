// What an operator sees in each view.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { close, open, violations } from './support/browser.js';
import { collector } from './support/collector.js';
import { day, line, nodes } from './support/nodes.js';
import { scope } from './support/scope.js';

const SCRIPT = '<script>alert(1)</script><img src=x onerror=alert(2)>';
const RIGHT_TO_LEFT = 'שמש \u202Eמהפך\u202C على السطح';
const LONG = 'Ü'.repeat(64);

const shared = scope();
let isems;

before(async () => {
  const net = await nodes(shared);
  const logs = [
    net.add(day('Rathaus-Dach')),
    net.add(line('Funkmast', { age: 30 * 3600, status: '500', battery: 12.4 })),
    net.add(day('Mit Lücke').filter((_, at) => at < 60 || at > 100)),
    net.add(line('Abgelegen', { age: 40 * 86_400 })),
    net.add(line('Werkhof', { status: '920' })),
    net.add(line('Keller', { status: '908', temperature: 71, latitude: 0, longitude: 0 })),
    net.add(line('Steg', { status: '0B2', battery: 0, charge: 0, health: 0, temperature: 0, openCircuit: 0, mpp: 0, firmware: '' })),
    net.add(line('Balkon', { firmware: 'ESP_2.0', shutdown: 240, status: 'A00', health: -905 })),
    net.add(line(SCRIPT, { latitude: 52.48 })),
    net.add(line(RIGHT_TO_LEFT, { latitude: 52.49 })),
    net.add(line(LONG, { latitude: 52.51 })),
    net.add('Kaputt;1;zwölf', line('Kaputt')),
  ];
  isems = await collector(shared, { nodes: [...logs.map((log) => log.address), net.missing()] });
  await isems.knows(12);
});

after(async () => {
  await close();
  await shared.end();
});

async function visit(hash, options, look) {
  const { page, done } = await open(isems.base, hash, options);
  await look(page);
  await done();
}

const names = (page) => page.locator('.row .name').allTextContents();
const row = (page, name) => page.locator('.row', { has: page.getByRole('link', { name, exact: true }) });
const has = (locator, words) => locator.filter({ hasText: words }).first().waitFor();

describe('the overview', () => {
  it('shows the worst first, in words, with its values', () => visit('#/', {}, async (page) => {
    await page.locator('.row').nth(10).waitFor();
    const order = await names(page);
    assert.deepEqual(order.slice(0, 4), ['Funkmast', 'Steg', 'Keller', 'Werkhof']);
    await has(row(page, 'Funkmast'), 'Silent for more than a day');
    await has(row(page, 'Steg'), 'Charge controller does not answer');
    await has(row(page, 'Keller'), 'Overheating');
    await has(row(page, 'Keller'), '71.0 °C');
    await has(row(page, 'Rathaus-Dach'), '12.60 V');
    await has(row(page, 'Rathaus-Dach'), '83 %');
    await has(row(page, 'Rathaus-Dach'), /\d+ (second|minute)s? ago/);
    await has(page.locator('.lead'), 'Times in Europe/Berlin');
  }));

  it('shows no value that is no measurement', () => visit('#/', {}, async (page) => {
    await row(page, 'Steg').waitFor();
    assert.deepEqual(await row(page, 'Steg').locator('.figure').allTextContents(), ['–', '–', '–']);
    assert.equal(await row(page, 'Werkhof').locator('.temperature .figure').textContent(), '–', 'without a sensor');
  }));

  it('draws the last 24 hours of the battery', () => visit('#/', {}, async (page) => {
    const spark = row(page, 'Rathaus-Dach').locator('.spark');
    await spark.locator('.spark-line').waitFor();
    assert.match(await spark.getAttribute('aria-label'), /^24 hours: 12\.5\sV to 13\.\d\sV$/);
  }));

  it('filters by text and by state', () => visit('#/', {}, async (page) => {
    await row(page, 'Keller').waitFor();
    await page.getByLabel('Search nodes').fill('overHEAT');
    await row(page, 'Steg').waitFor({ state: 'detached' });
    assert.deepEqual(await names(page), ['Keller']);
    await page.getByLabel('Search nodes').fill('nobody');
    await has(page.locator('.notice'), 'No node matches.');
    await page.getByRole('button', { name: 'Clear search and filter' }).click();
    await page.getByRole('button', { name: /^Critical/ }).click();
    await row(page, 'Keller').waitFor({ state: 'detached' });
    assert.deepEqual(await names(page), ['Funkmast', 'Steg']);
    await has(page.locator('.count'), '2 of 11 nodes');
  }));

  it('shows the active nodes, or all ever heard', () => visit('#/', {}, async (page) => {
    await row(page, 'Keller').waitFor();
    assert.equal(await row(page, 'Abgelegen').count(), 0);
    await page.getByLabel('Activity').selectOption('all');
    await row(page, 'Abgelegen').waitFor();
  }));

  it('shows hostile names as what they are', () => visit('#/', {}, async (page) => {
    for (const name of [SCRIPT, RIGHT_TO_LEFT, LONG]) {
      await row(page, name).waitFor();
      assert.equal(await row(page, name).locator('bdi').textContent(), name);
    }
    assert.equal(await page.locator('main script, main img').count(), 0, 'nothing of a name became an element');
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} pixels wider than the window`);
  }));

  it('keeps all other rows when one node is odd', () => visit('#/', {
    before: (page) => page.route('**/api/v1/nodes', async (route) => {
      const answer = await (await route.fetch()).json();
      Object.assign(answer.nodes.find(({ id }) => id === 'Keller'), { state: null, checks: 7, values: 'x', measured: null, name: { a: 1 }, lastHeard: [] });
      await route.fulfill({ json: answer });
    }),
  }, async (page) => {
    await row(page, 'Steg').waitFor();
    await has(page.locator('.row.odd'), 'Keller');
    const all = await page.locator('.row .name').allTextContents();
    assert.equal(all.length, 11);
    assert.notEqual(all.indexOf('Keller'), 10, 'others come after it');
    // And: so it stays whenever they are arranged anew.
    for (const everything of [' ', '']) {
      await page.getByRole('searchbox').fill(everything);
      assert.deepEqual(await page.locator('.row .name').allTextContents(), all);
    }
  }));

  it('says so when nothing has been heard, or the collector fails', async () => {
    const answer = { now: new Date().toISOString(), timeZone: 'UTC', hideInactiveAfterDays: 30, nodes: [], next: null };
    await visit('#/', { before: (page) => page.route('**/api/v1/nodes', (route) => route.fulfill({ json: answer })) }, async (page) => {
      await has(page.locator('.notice'), 'No node has been heard yet.');
    });
    const problem = { title: 'Broken', detail: 'The disk is gone', status: 500 };
    await visit('#/', {
      expected: [/status of 500/],
      before: (page) => page.route('**/api/v1/nodes', (route) => route.fulfill({ status: 500, json: problem })),
    }, async (page) => {
      await has(page.getByRole('alert'), 'The disk is gone');
      await page.unroute('**/api/v1/nodes');
      await page.getByRole('button', { name: 'Try again' }).click();
      await row(page, 'Keller').waitFor();
    });
  });

  it('is used by keyboard', () => visit('#/', {}, async (page) => {
    await row(page, 'Keller').waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
    await page.getByLabel('Search nodes').focus();
    await page.keyboard.type('Keller');
    await row(page, 'Steg').waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Keller', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Keller' }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  }));
});

describe('a node', () => {
  const at = (name) => `#/node/${encodeURIComponent(name)}`;

  it('shows all values with units, what its bits mean, and where it is', () => visit(at('Rathaus-Dach'), {}, async (page) => {
    await page.getByRole('heading', { level: 1, name: 'Rathaus-Dach' }).waitFor();
    const values = page.locator('.values tbody tr');
    await values.nth(10).waitFor();
    for (const words of ['12.60 V', '83 %', '97 %', '17.0 °C', '21.03 V', '16.84 V', '11.70 V', '14.20 V', '7.0 Ah', '20 W', '9,940 min']) await has(values, words);
    await has(page.locator('.bits li'), 'The battery is being charged.');
    await has(page.locator('.bits li'), 'The battery is healthy.');
    await has(page.locator('.facts'), '52.50731°, 13.45864°');
    await has(page.locator('.facts'), 'ATmega8_A_1');
    await has(page.locator('.tiles'), '6 days 21 hours');
  }));

  it('tells measurements from what only looks like some', () => visit(at('Balkon'), {}, async (page) => {
    const values = page.locator('.values tbody tr');
    await has(values, '-905 % sent, but no measurement');
    await has(values, '240 cycles of 15 s (1 hour)');
  }));

  it('draws its history, which can be zoomed by keys and read as a table', () => visit(at('Rathaus-Dach'), {}, async (page) => {
    const canvas = page.getByRole('img', { name: /^Battery voltage: lowest 12\.\d+\sV, highest 13\.\d+\sV, last 12\.6\d?\sV$/ });
    await canvas.waitFor();
    assert.equal(await page.locator('.uplot').count(), 4);
    await has(page.locator('.hint'), 'Times in Europe/Berlin');
    await has(page.locator('.key'), /disconnect 11\.70\sV/);
    await has(page.locator('.key'), /charge end 14\.20\sV/);
    const asked = () => page.waitForRequest((request) => request.url().includes('/history') && request.url().includes('mppVoltage'));
    const [year] = await Promise.all([asked(), page.getByRole('button', { name: 'Year' }).click()]);
    const span = ({ searchParams }) => searchParams.get('to') - searchParams.get('from');
    assert.equal(span(new URL(year.url())), 365 * 86_400);
    const [zoomed] = await Promise.all([asked(), page.getByRole('button', { name: 'Zoom in' }).press('Enter')]);
    assert.ok(Math.abs(span(new URL(zoomed.url())) - 182.5 * 86_400) < 3);
    await page.getByRole('button', { name: '24 h' }).click();
    await page.getByText('The same as a table').click();
    await has(page.locator('.scroll tbody tr'), /12\.60 \(12\.60–12\.60\)/);
  }));

  it('leaves gaps as gaps', () => visit(at('Mit Lücke'), {}, async (page) => {
    await page.locator('.uplot').first().waitFor();
    // How many pixels of colour there are in a column of the battery's chart.
    const drawn = (hoursAgo) => page.evaluate((part) => {
      const canvas = document.querySelector('.uplot canvas');
      const over = document.querySelector('.u-over').getBoundingClientRect();
      const x = Math.round(((over.left - canvas.getBoundingClientRect().left + over.width * part) * canvas.width) / canvas.clientWidth);
      const top = Math.round(((over.top - canvas.getBoundingClientRect().top) * canvas.height) / canvas.clientHeight);
      const { data } = canvas.getContext('2d').getImageData(x, top, 1, Math.round((over.height * canvas.height) / canvas.clientHeight));
      let count = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 100 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 40) count += 1;
      return count;
    }, 1 - hoursAgo / 24);
    await page.waitForFunction(() => document.querySelector('.charts [aria-label^="Battery voltage: lowest"]'));
    // A line each 10 minutes but for those between 16 and 9.2 hours ago.
    assert.equal(await drawn(12.5), 0);
    assert.notEqual(await drawn(19.1), 0);
    assert.notEqual(await drawn(5.1), 0);
  }));

  it('draws thresholds, and the band from lowest to highest', () => visit(at('Rathaus-Dach'), {}, async (page) => {
    // How many pixels of the battery's chart have a theme's colour, at about that opacity.
    const drawn = (name, opacity) => page.evaluate(([colour, alpha]) => {
      const [red, green, blue] = [1, 3, 5].map((from) => Number.parseInt(getComputedStyle(document.documentElement).getPropertyValue(colour).trim().slice(from, from + 2), 16));
      const canvas = document.querySelector('.uplot canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (Math.abs(data[i + 3] - alpha * 255) < 12 && Math.abs(data[i] - red) < 6 && Math.abs(data[i + 1] - green) < 6 && Math.abs(data[i + 2] - blue) < 6) count += 1;
      }
      return count;
    }, [name, opacity]);
    // In a month, a point is made of several measurements that differ.
    await page.getByRole('button', { name: '30 days' }).click();
    await has(page.locator('.chart-line'), /hours?$/);
    await page.locator('.charts:not([aria-busy])').waitFor();
    for (const threshold of ['--critical', '--ok']) assert.ok(await drawn(threshold, 1) >= 5, threshold);
    assert.ok(await drawn('--line-a', 0.2) > 20, 'band');
  }));

  it('zooms in where a chart is dragged across, and shows one moment in all charts', () => visit(at('Rathaus-Dach'), {}, async (page) => {
    const over = page.locator('.u-over').first();
    await over.waitFor();
    const box = await over.boundingBox();
    const middle = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width * 0.5, middle);
    await has(page.locator('.chart-line'), /\d\d:\d\d/);
    const shown = await page.locator('.u-cursor-x').evaluateAll((lines) => lines.filter((one) => !one.classList.contains('u-off')).length);
    assert.equal(shown, 4);
    const asked = page.waitForRequest((request) => request.url().includes('/history'));
    await page.mouse.move(box.x + box.width * 0.25, middle);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, middle, { steps: 4 });
    await page.mouse.up();
    const { searchParams } = new URL((await asked).url());
    assert.ok(Math.abs(searchParams.get('to') - searchParams.get('from') - 43_200) < 900);
  }));

  it('offers its measurements as CSV', () => visit(at('Rathaus-Dach'), { acceptDownloads: true }, async (page) => {
    await page.locator('.uplot').first().waitFor();
    const csv = async () => {
      const link = page.getByRole('link', { name: 'Download CSV' });
      const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
      assert.match(download.suggestedFilename(), /\.csv$/);
      const [head, ...rows] = (await readFile(await download.path(), 'utf8')).trim().split(/\r?\n/).map((row) => row.split(','));
      return rows.map((row) => Object.fromEntries(head.map((name, at) => [name, row[at]])));
    };
    const rows = await csv();
    assert.deepEqual([...new Set(rows.map((row) => row.nodeId))], ['Rathaus-Dach']);
    const { batteryVoltage, batteryChargeEstimate, status } = rows[0];
    assert.deepEqual({ batteryVoltage, batteryChargeEstimate, status }, { batteryVoltage: '12.6', batteryChargeEstimate: '83', status: '0x900' }, 'the newest');
    // A line each ten minutes: those of the range that is shown.
    const ages = rows.map((row) => (Date.now() - Date.parse(row.observed)) / 3_600_000);
    assert.ok(ages[0] < 0.1 && ages.at(-1) > 23.8 && ages.at(-1) < 24.1, `${rows.length} rows, ${ages[0]} to ${ages.at(-1)} hours old`);
    assert.ok(rows.length >= 143 && rows.length <= 145, `${rows.length} rows`);
    await page.getByRole('button', { name: 'Year' }).click();
    await page.locator('.charts:not([aria-busy])').waitFor();
    assert.equal((await csv()).length, 26 * 6 + 1, 'of a year');
  }));

  it('has names of any kind in its address', async () => {
    for (const name of [SCRIPT, RIGHT_TO_LEFT, LONG]) {
      await visit(at(name), {}, async (page) => {
        await page.locator('.values').waitFor();
        assert.equal(await page.locator('h1').textContent(), name);
      });
    }
  });

  it('that does not exist is said not to', () => visit(at('nobody'), { expected: [/status of 404/] }, async (page) => {
    await has(page.getByRole('alert'), 'There is no node of this name.');
  }));
});

describe('the map', () => {
  it('shows each node that has a position, by state, and lists the others', () => visit('#/map', {}, async (page) => {
    const mark = page.getByRole('link', { name: 'Funkmast – critical: Silent for more than a day' });
    await mark.waitFor();
    assert.equal(await page.locator('.mark').count(), 10);
    assert.equal(await mark.locator('.sign.critical').count(), 1);
    await has(page.locator('.plain li'), 'Keller');
    await has(page.locator('.grid'), /° N/);
    const { width, height } = await page.locator('.map-frame').boundingBox();
    for (const one of await page.locator('.mark').all()) {
      const [, x, y] = /translate\(([\d.-]+) ([\d.-]+)\)/.exec(await one.getAttribute('transform')).map(Number);
      assert.ok(x > 0 && y > 0 && x < width && y < height, 'fitted to the frame');
    }
  }));

  it('is moved and zoomed by keys, wheel and dragging', () => visit('#/map', {}, async (page) => {
    const mark = page.locator('.mark').last();
    await mark.waitFor();
    const place = () => mark.getAttribute('transform');
    const moved = async (act) => {
      const was = await place();
      await act();
      await page.waitForFunction((before) => [...document.querySelectorAll('.mark')].at(-1)?.getAttribute('transform') !== before, was);
    };
    const frame = page.locator('.map-frame');
    await frame.focus();
    const start = await place();
    for (const key of ['ArrowLeft', 'ArrowDown', '+', '-']) await moved(() => page.keyboard.press(key));
    await moved(() => page.keyboard.press('0'));
    assert.equal(await place(), start, '0 shows all again');
    const box = await frame.boundingBox();
    await page.mouse.move(box.x + 200, box.y + 200);
    await moved(() => page.mouse.wheel(0, -120));
    await moved(async () => {
      await page.mouse.down();
      await page.mouse.move(box.x + 300, box.y + 240, { steps: 3 });
      await page.mouse.up();
    });
    await moved(() => page.getByRole('button', { name: 'Show all nodes' }).click());
  }));

  it('leads to a node, and from a node back to its place', () => visit('#/map', {}, async (page) => {
    await page.getByRole('link', { name: /^Steg – critical/ }).press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Steg' }).waitFor();
    await page.getByRole('link', { name: 'Show on the map' }).click();
    await page.locator('.mark.wanted').waitFor();
  }));
});

describe('the sources', () => {
  it('say how polling goes, in words', () => visit('#/sources', {}, async (page) => {
    await page.locator('.source').nth(12).waitFor();
    const failing = page.locator('.source').first();
    await has(failing, 'Fails');
    await has(failing.locator('.error-text'), '404');
    const rejecting = page.locator('.source', { has: page.locator('.reasons') });
    await has(rejecting, 'Rejected');
    await has(page.locator('.source', { hasText: 'Answers' }), /Last success.*ago/);
  }));

  it('say what came, how many bytes of it, and how far a clock is off', () => visit('#/sources', {
    before: (page) => page.route('**/api/v1/sources', async (route) => {
      const answer = await (await route.fetch()).json();
      Object.assign(answer.sources[0], {
        clockOffsetSeconds: -7_200, bytesToday: 2_500_000,
        stored: 1_234, duplicate: 5, retimed: 6, conflict: 7, expired: 8, rejected: { 'a reason': 9, another: 1_000 },
      });
      // Of our clock, behind which this one is.
      Object.assign(answer.sources[1], { clockOffsetSeconds: 180, bytesToday: 999 });
      await route.fulfill({ json: answer });
    }),
  }, async (page) => {
    const source = page.locator('.source', { hasText: '1,234' });
    await has(source, /Clock\s*2 hours ahead/);
    await has(source, /Today\s*2\.5\sMB/);
    assert.deepEqual(await source.locator('.counts > div').allInnerTexts().then((texts) => texts.map((text) => text.replaceAll(/\s+/g, ' '))), [
      'Stored 1,234', 'Known already 5', 'Time corrected 6', 'In conflict 7', 'Too old to keep 8', 'Rejected 1,009',
    ]);
    assert.deepEqual(await source.locator('.reasons li').allInnerTexts(), ['9 × a reason', '1,000 × another']);
    await has(page.locator('.source', { hasText: '999' }), /Clock\s*3 minutes behind/);
  }));
});

describe('languages and themes', () => {
  it('speaks German where the browser does, and can be switched', () => visit('#/', { locale: 'de-DE' }, async (page) => {
    await has(row(page, 'Funkmast'), 'Seit mehr als einem Tag still');
    assert.equal(await page.getAttribute('html', 'lang'), 'de');
    await has(row(page, 'Rathaus-Dach'), '12,60 V');
    await page.getByLabel('Sprache').selectOption('en');
    await has(row(page, 'Funkmast'), 'Silent for more than a day');
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await page.reload();
    await has(row(page, 'Funkmast'), 'Silent for more than a day');
  }));

  it('speaks German only, in every view', async () => {
    for (const [hash, ready] of [['#/', '.spark-end'], ['#/node/Steg', '.uplot'], ['#/map', '.mark'], ['#/sources', '.source']]) {
      await visit(hash, { locale: 'de-DE' }, async (page) => {
        await page.locator(ready).first().waitFor();
        const left = await page.evaluate(async () => {
          const leaves = (value) => (typeof value === 'string' ? [value] : typeof value === 'object' ? Object.values(value).flatMap(leaves) : []);
          const [en, de] = await Promise.all(['en', 'de'].map(async (code) => leaves((await import(`./js/texts.${code}.js`)).default)));
          const said = [...document.querySelectorAll('body, [aria-label], [title], [placeholder]')].flatMap((one) => [
            one === document.body ? one.innerText : '', ...['aria-label', 'title', 'placeholder'].map((name) => one.getAttribute(name) ?? ''),
          ]).join('\n');
          // Short words are in both languages, or within others.
          return en.filter((text) => text.length > 7 && text !== 'English' && !de.includes(text) && said.includes(text));
        });
        assert.deepEqual(left, [], `English in ${hash}`);
      });
    }
  });

  it('has the same texts in both languages', () => visit('#/', {}, async (page) => {
    const shapes = await page.evaluate(async () => {
      const shape = (value, at) => (typeof value === 'object' ? Object.entries(value).flatMap(([name, inner]) => shape(inner, `${at}.${name}`)) : [`${at}: ${typeof value}`]);
      const [en, de] = await Promise.all(['en', 'de'].map((code) => import(`./js/texts.${code}.js`)));
      return [shape(en.default, ''), shape(de.default, '')];
    });
    assert.deepEqual(shapes[0], shapes[1]);
  }));

  it('is dark where the system is, and can be switched', () => visit('#/', { colorScheme: 'dark' }, async (page) => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await background();
    await page.getByLabel('Theme').selectOption('light');
    const light = await background();
    assert.notEqual(dark, light);
    await page.reload();
    assert.equal(await background(), light, 'remembered');
    await page.getByLabel('Theme').selectOption('dark');
    assert.equal(await background(), dark);
  }));

  for (const colorScheme of ['light', 'dark']) {
    for (const [view, hash, ready] of [
      ['overview', '#/', '.spark-end'],
      ['node', '#/node/Rathaus-Dach', '.uplot'],
      ['critical node', '#/node/Steg', '.uplot'],
      ['map', '#/map', '.mark'],
      ['sources', '#/sources', '.source'],
    ]) {
      it(`axe-core finds nothing wrong with the ${view}, ${colorScheme}`, () => visit(hash, { colorScheme }, async (page) => {
        await page.locator(ready).first().waitFor();
        assert.deepEqual(await violations(page), []);
      }));
    }
  }

  it('fits a phone in every view', async () => {
    for (const hash of ['#/', '#/node/Rathaus-Dach', `#/node/${encodeURIComponent(LONG)}`, '#/map', '#/sources']) {
      await visit(hash, { viewport: { width: 360, height: 740 }, locale: 'de-DE', isMobile: true, hasTouch: true }, async (page) => {
        await page.locator('.row, .uplot, .mark, .source').first().waitFor();
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(wide <= 0, `${hash} is ${wide} pixels too wide`);
        assert.deepEqual(await violations(page), []);
      });
    }
  });
});
