// What every visit of these tests is judged by.

import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { close, open } from './support/browser.js';
import { collector } from './support/collector.js';

/** Nobody listens there, and it is another host than the collector's. */
const ELSEWHERE = 'http://127.0.0.2:9';

after(close);

/** What a visit is said to have done wrong if the page holds this as well. */
async function judged(t, html, { policy = true } = {}) {
  const isems = await collector(t);
  const { page, done } = await open(isems.base, '#/', {
    before: (page) => page.route(`${isems.base}/`, async (route) => {
      const answer = await route.fetch();
      const headers = answer.headers();
      if (!policy) delete headers['content-security-policy'];
      await route.fulfill({ response: answer, headers, body: (await answer.text()).replace('</body>', `${html}</body>`) });
    }),
  });
  await page.locator('.notice').first().waitFor();
  await page.waitForLoadState('load');
  return done().then(() => null, (error) => error.actual);
}

it('a page that does nothing else is fine', async (t) => {
  assert.equal(await judged(t, '<p>Hello</p>'), null);
});

it('a request to another host is noticed, also where a policy forbids it', async (t) => {
  for (const policy of [false, true]) {
    const { requestsToOtherHosts } = await judged(t, `<img src="${ELSEWHERE}/x">`, { policy });
    assert.deepEqual(requestsToOtherHosts, [`${ELSEWHERE}/x`], `with a policy: ${policy}`);
  }
});

it('a socket to another host is noticed', async (t) => {
  const url = ELSEWHERE.replace('http', 'ws');
  const { requestsToOtherHosts } = await judged(t, `<script>new WebSocket('${url}')</script>`, { policy: false });
  assert.deepEqual(requestsToOtherHosts, [`${url}/`]);
});

it('an error of a script is noticed', async (t) => {
  const { errors } = await judged(t, '<script>throw new Error("by mistake")</script>', { policy: false });
  assert.match(errors.join(), /by mistake/);
});

it('a dialog is noticed', async (t) => {
  const { errors } = await judged(t, '<script>alert("look")</script>', { policy: false });
  assert.deepEqual(errors, ['a dialog: look']);
});
