// One node: what it says now, and its history.

import { fetchJson, nodePath, store } from './store.js';
import { ago, bdi, h, put, setAgo, spoken } from './dom.js';
import { BITS, FIELDS, levelOf, measured, sign } from './describe.js';
import { charts } from './chart.js';
import { i18n } from './i18n.js';

export function node(main, id) {
  const { texts } = i18n;
  const top = h('div', { class: 'node-top' });
  const now = h('div', { class: 'tiles' });
  const history = h('section', { class: 'card charts', 'aria-labelledby': 'history' });
  const values = h('section', { class: 'card', 'aria-labelledby': 'values' });
  const bits = h('section', { class: 'card', 'aria-labelledby': 'bits' });
  const details = h('section', { class: 'card', 'aria-labelledby': 'details' });
  const heard = ago(null, i18n);
  let drawn = null;
  let closed = false;
  let shown = null;

  put(main, h('a', { class: 'back', href: '#/' }, `← ${texts.node.back}`), top, now, history, h('div', { class: 'two' }, values, h('div', null, bits, details)));
  put(top, h('h1', null, bdi(id)), h('p', { class: 'loading' }, texts.loading));

  function show(found) {
    if (found === shown) return;
    shown = found;
    for (const part of [() => showTop(found), () => showNow(found), () => showValues(found), () => showBits(found), () => showDetails(found)]) {
      try {
        part();
      } catch {
        // What is odd is left out; the rest stands.
      }
    }
    drawn ??= charts(history, found);
    drawn.update(found);
  }

  function showTop(found) {
    const checks = found.checks.length > 0 ? found.checks : [{ check: null, level: levelOf(found) }];
    setAgo(heard, found.lastHeard, i18n);
    put(top,
      h('h1', null, bdi(found.name)),
      h('ul', { class: 'badges', 'aria-label': texts.node.state }, checks.map(({ check, level }) =>
        h('li', { class: 'badge', 'data-level': level }, sign(level), spoken(`${texts.level[level] ?? level}: `), check === null ? texts.noCheck : texts.check[check] ?? check))),
      h('p', { class: 'heard-line' }, `${texts.node.heard}: `, heard, h('span', { class: 'quiet' }, ` · ${i18n.moment(found.lastHeard)} (${i18n.zone})`)));
  }

  function showNow(found) {
    const tile = (field, extra) => h('div', { class: 'tile' },
      h('dt', null, texts.fields[field][0]),
      h('dd', null, i18n.quantity(measured(found, field), ...FIELDS[field]), extra ?? null));
    const charge = measured(found, 'batteryChargeEstimate');
    const fill = h('span', { class: 'bar-fill', 'data-charge': charge === null ? 'none' : charge < 20 ? 'low' : charge < 40 ? 'middle' : 'good' });
    fill.style.width = `${Math.max(0, Math.min(100, charge ?? 0))}%`;
    put(now, h('h2', { class: 'spoken' }, texts.node.now), h('dl', null,
      tile('batteryVoltage'),
      tile('batteryChargeEstimate', h('span', { class: 'bar', 'aria-hidden': 'true' }, fill)),
      tile('batteryTemperature'),
      tile('mppVoltage'),
      h('div', { class: 'tile' }, h('dt', null, texts.node.shutdown), h('dd', null, shutdown(found)))));
  }

  function shutdown(found) {
    const count = measured(found, 'timeToShutdown');
    if (count === null) return '–';
    // An ESP32 counts its measurements, one each 15 seconds.
    return i18n.duration(count * (isEsp(found) ? 15 : 60));
  }

  function showValues(found) {
    const rows = Object.entries(FIELDS).map(([field, [unit, digits]]) => {
      const [name, meaning] = texts.fields[field];
      const value = measured(found, field);
      const sent = found.values[field];
      let said = i18n.quantity(value, unit, digits);
      if (field === 'timeToShutdown' && value !== null && isEsp(found)) said = texts.node.cycles(i18n.number(value), i18n.duration(value * 15));
      const odd = value === null && Number.isFinite(sent) ? h('small', null, `${i18n.quantity(sent, unit, digits)} ${texts.node.notMeasured}`) : null;
      return h('tr', null, h('th', { scope: 'row' }, name, h('small', null, meaning)), h('td', { class: 'figure' }, said, odd));
    });
    put(values, h('h2', { id: 'values' }, texts.node.values), h('table', { class: 'values' },
      h('thead', { class: 'spoken' }, h('tr', null, h('th', { scope: 'col' }, texts.node.meaning), h('th', { scope: 'col' }, texts.node.value))),
      h('tbody', null, rows)));
  }

  function showBits(found) {
    const status = Number.parseInt(String(found.status).replace(/^0x/i, ''), 16) || 0;
    const set = BITS.filter((bit) => status & Number.parseInt(bit, 16));
    put(bits, h('h2', { id: 'bits' }, texts.node.statusBits, h('code', null, String(found.status))), set.length > 0
      ? h('ul', { class: 'bits' }, set.map((bit) => h('li', null, h('code', null, bit), h('span', null, texts.bits[bit]))))
      : h('p', { class: 'quiet' }, texts.node.noBits));
  }

  function showDetails(found) {
    const place = found.position;
    const line = (name, ...what) => h('div', null, h('dt', null, name), h('dd', null, what));
    const at = (time) => (time ? i18n.moment(time) : texts.unknown);
    const where = place
      ? [h('span', { class: 'figure' }, `${i18n.number(place.latitude, 5)}°, ${i18n.number(place.longitude, 5)}°`), h('span', { class: 'links' },
        h('a', { href: `#/map/${encodeURIComponent(id)}` }, texts.node.onMap),
        h('a', { href: `geo:${place.latitude},${place.longitude}` }, texts.node.openGeo))]
      : [texts.node.noPosition];
    put(details, h('h2', { id: 'details' }, texts.node.details), h('dl', { class: 'facts' },
      line(texts.node.firmware, found.firmware ? bdi(found.firmware) : texts.unknown),
      line(texts.node.revision, found.revision ? bdi(found.revision) : texts.unknown),
      line(texts.node.powerSave, found.powerSave ? texts.node.on : texts.node.off),
      line(texts.node.position, ...where),
      line(texts.node.received, at(found.receivedAt)),
      line(texts.node.reported, at(found.reportedAt)),
      line(texts.node.clock, texts.node.clocks[found.clock] ?? String(found.clock))));
  }

  function gone(error) {
    if (closed || shown) return;
    const unknown = error.status === 404;
    put(top, h('h1', null, bdi(id)), h('div', { class: 'notice bad', role: 'alert' },
      h('p', null, unknown ? texts.node.missing : texts.failed),
      unknown ? null : h('p', { class: 'quiet', lang: 'en' }, error.message),
      unknown ? null : h('button', { type: 'button', onclick: ask }, texts.retry)));
  }

  function ask() {
    fetchJson(nodePath(id)).then((found) => {
      if (!closed) show(found);
    }, gone);
  }

  // The list tells the time zone as well: one waits for it.
  const listed = () => {
    const found = store.nodes.get(id);
    if (found) show(found);
    else if (!shown && store.phase !== 'loading') ask();
  };
  const event = ({ detail }) => {
    if (detail.id === id) show(detail);
  };
  listed();
  store.addEventListener('nodes', listed);
  store.addEventListener('node', event);
  const aging = setInterval(() => {
    if (shown) setAgo(heard, shown.lastHeard, i18n);
  }, 15_000);
  return {
    title: id,
    close() {
      closed = true;
      store.removeEventListener('nodes', listed);
      store.removeEventListener('node', event);
      clearInterval(aging);
      drawn?.close();
    },
  };
}

function isEsp(found) {
  return /^esp/i.test(String(found.firmware));
}
