// A day of battery voltage in the space of a word.

import { fetchJson, nodePath } from './store.js';
import { i18n } from './i18n.js';
import { put, svg } from './dom.js';

const STEP = 900;
const DAY = 86_400;
const FRESH = 15 * 60_000;
const AT_ONCE = 4;
const WIDTH = 96;
const HEIGHT = 26;

const waiting = [];
let busy = 0;

/** Draws what is in sight, few at a time. */
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.inSight = isIntersecting;
    if (isIntersecting) refresh(target);
  }
}, { rootMargin: '100px' });

/** An element for the day of a node; it fills itself when it is seen. */
export function sparkline(id) {
  const element = svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': i18n.texts.overview.spark });
  element.nodeId = id;
  element.drawnAt = 0;
  seen.observe(element);
  return element;
}

/** Draws it anew if it is in sight and no longer fresh. */
export function refresh(element) {
  if (!element.inSight || element.queued || Date.now() - element.drawnAt < FRESH) return;
  element.queued = true;
  waiting.push(element);
  next();
}

function next() {
  while (busy < AT_ONCE && waiting.length > 0) {
    const element = waiting.shift();
    element.queued = false;
    if (!element.isConnected || !element.inSight) continue;
    busy += 1;
    draw(element).finally(() => {
      busy -= 1;
      next();
    });
  }
}

async function draw(element) {
  try {
    const to = Math.floor(i18n.now() / 1000);
    const from = to - DAY;
    const history = await fetchJson(nodePath(element.nodeId, '/history'), { from, to, step: STEP, fields: 'batteryVoltage' });
    const points = history.buckets
      .map((bucket) => [Date.parse(bucket.begin) / 1000 + STEP / 2, bucket.values.batteryVoltage?.mean])
      .filter(([, volts]) => Number.isFinite(volts));
    show(element, points, from);
    element.drawnAt = Date.now();
  } catch {
    // The row is complete without; it is tried again when it is next seen.
  }
}

function show(element, points, from) {
  const texts = i18n.texts.overview;
  if (points.length === 0) {
    put(element, svg('path', { class: 'spark-none', d: `M0 ${HEIGHT / 2}H${WIDTH}` }));
    element.setAttribute('aria-label', texts.sparkNone);
    return;
  }
  const volts = points.map((point) => point[1]);
  const low = Math.min(...volts);
  const high = Math.max(...volts);
  // A steady battery is to look steady.
  const span = Math.max(high - low, 0.8);
  const middle = (high + low) / 2;
  const x = (time) => ((time - from) / DAY) * (WIDTH - 4) + 1;
  const y = (value) => HEIGHT / 2 - ((value - middle) / span) * (HEIGHT - 6);
  let path = '';
  let before = -Infinity;
  for (const [time, value] of points) {
    // Gaps stay gaps; a lone point is a short dash.
    const gap = time - before > STEP * 2.5;
    path += `${gap ? 'M' : 'L'}${x(time).toFixed(1)} ${y(value).toFixed(1)}${gap ? 'h.6' : ''}`;
    before = time;
  }
  const [time, value] = points.at(-1);
  put(element, svg('path', { class: 'spark-line', d: path }), svg('circle', { class: 'spark-end', cx: x(time).toFixed(1), cy: y(value).toFixed(1), r: 2 }));
  element.setAttribute('aria-label', texts.sparkRange(i18n.quantity(low, 'V', 1), i18n.quantity(high, 'V', 1)));
}
