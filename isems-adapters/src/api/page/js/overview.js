// All nodes, the worst first.

import { ago, bdi, h, put, setAgo, spoken, text } from './dom.js';
import { byUrgency, FIELDS, levelOf, LEVELS, measured, nodeLink, sign, words } from './describe.js';
import { refresh, sparkline } from './sparkline.js';
import { i18n } from './i18n.js';
import { store } from './store.js';

/** What the operator looks for; it outlives a visit to another view. */
const wish = { text: '', level: 'all', all: false };

export function overview(main) {
  const texts = i18n.texts.overview;
  const rows = new Map();
  const list = h('ul', { class: 'rows', 'aria-label': texts.title });
  const count = h('p', { class: 'count', role: 'status' });
  const summary = h('p', { class: 'lead' });
  const message = h('div', { class: 'message' });
  const chips = new Map(['all', ...LEVELS].map((level) => [level, chip(level)]));
  const active = h('option', { value: 'active' });
  const activity = h('select', { id: 'activity', 'aria-label': texts.activity, onchange: () => choose({ all: activity.value === 'all' }) },
    active, h('option', { value: 'all' }, texts.every));
  activity.value = wish.all ? 'all' : 'active';
  const search = h('input', {
    type: 'search', id: 'search', 'aria-label': texts.search, placeholder: texts.placeholder, autocomplete: 'off', spellcheck: 'false',
    oninput: () => choose({ text: search.value }),
  });
  search.value = wish.text;

  put(main,
    h('div', { class: 'head' }, h('h1', null, texts.title), summary),
    h('div', { class: 'filters' },
      search,
      h('div', { class: 'chips', role: 'group', 'aria-label': texts.states }, [...chips.values()].map((entry) => entry.button)),
      activity),
    h('div', { class: 'columns', 'aria-hidden': 'true' },
      h('span', null, texts.name), h('span', null, texts.charge), h('span', null, texts.voltage), h('span', null, texts.temperature), h('span', null, texts.heard)),
    list, message, count);

  function chip(level) {
    const number = h('span', { class: 'chip-count' });
    const name = level === 'all' ? texts.all : i18n.texts.levels[level];
    const button = h('button', { type: 'button', class: 'chip', 'data-level': level, onclick: () => choose({ level }) },
      level === 'all' ? null : sign(level), h('span', null, name), number);
    return { button, number };
  }

  function choose(change) {
    Object.assign(wish, change);
    arrange();
  }

  function fits(node) {
    try {
      if (wish.level !== 'all' && levelOf(node) !== wish.level) return false;
      const sought = wish.text.trim().toLocaleLowerCase();
      return sought === '' || `${node.name}\n${words(node, i18n.texts)}`.toLocaleLowerCase().includes(sought);
    } catch {
      // An odd node is rather shown than lost.
      return true;
    }
  }

  function row(node) {
    const old = rows.get(node.id);
    let entry = old;
    try {
      if (!entry || entry.odd) entry = makeRow(node);
      if (entry.node !== node) entry.update(node);
      entry.node = node;
    } catch {
      entry = old?.odd ? old : oddRow(node);
    }
    if (entry !== old) {
      old?.element.remove();
      rows.set(node.id, entry);
    }
    return entry;
  }

  /** Puts the right rows into the right order, touching only what moves. */
  function arrange() {
    const nodes = [...store.nodes.values()].filter((node) => wish.all || node.active !== false);
    const found = nodes.filter(fits).sort(byUrgency);
    const focused = document.activeElement;
    // All of them before the first is placed: a row that is made anew takes its
    // element out of the list.
    const elements = found.map((node) => row(node).element);
    let place = list.firstChild;
    for (const element of elements) {
      if (element === place) place = place.nextSibling;
      else list.insertBefore(element, place);
    }
    while (place) {
      const after = place.nextSibling;
      place.remove();
      place = after;
    }
    if (focused instanceof HTMLElement && focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
    for (const id of [...rows.keys()]) if (!store.nodes.has(id)) rows.delete(id);
    tell(nodes, found.length);
  }

  function tell(nodes, shown) {
    const levels = nodes.map((node) => (LEVELS.includes(node.state?.level) ? node.state.level : 'error'));
    const bad = levels.filter((level) => level !== 'info').length;
    for (const [level, { button, number }] of chips) {
      const many = level === 'all' ? nodes.length : levels.filter((one) => one === level).length;
      text(number, i18n.number(many));
      button.setAttribute('aria-pressed', String(wish.level === level));
    }
    text(active, texts.active(store.days));
    const ready = store.phase === 'ready';
    text(summary, ready && nodes.length > 0 ? `${texts.notOk(bad)} ${i18n.texts.zone(i18n.zone)}.` : '');
    text(count, ready && nodes.length > 0 ? texts.shown(shown, nodes.length) : '');
    main.classList.toggle('bare', shown === 0);
    put(message, shown > 0 ? null : nothing(nodes.length));
  }

  function nothing(active) {
    if (store.phase === 'loading') return h('p', { class: 'loading' }, i18n.texts.loading);
    if (store.phase === 'failed') {
      return h('div', { class: 'notice bad', role: 'alert' },
        h('p', null, i18n.texts.failed), h('p', { class: 'quiet', lang: 'en' }, store.error),
        h('button', { type: 'button', onclick: () => store.retry() }, i18n.texts.retry));
    }
    if (active > 0) {
      const reset = () => {
        search.value = '';
        choose({ text: '', level: 'all' });
        search.focus();
      };
      return h('div', { class: 'notice' }, h('p', null, texts.noMatch), h('button', { type: 'button', onclick: reset }, texts.reset));
    }
    if (store.nodes.size > 0) {
      const every = () => {
        activity.value = 'all';
        choose({ all: true });
        activity.focus();
      };
      return h('div', { class: 'notice' }, h('p', null, texts.emptyActive(store.days)), h('button', { type: 'button', onclick: every }, texts.showAll));
    }
    return h('div', { class: 'notice' }, h('p', null, texts.empty), h('p', { class: 'quiet' }, texts.emptyHint));
  }

  arrange();
  let due = 0;
  const changed = () => {
    // Many events of one round make one pass.
    due ||= setTimeout(() => {
      due = 0;
      arrange();
    }, 50);
  };
  const aging = setInterval(() => {
    for (const { element, heard, node } of rows.values()) if (heard && element.isConnected) setAgo(heard, node.lastHeard, i18n);
  }, 15_000);
  store.addEventListener('nodes', arrange);
  store.addEventListener('node', changed);
  return {
    title: texts.title,
    close() {
      store.removeEventListener('nodes', arrange);
      store.removeEventListener('node', changed);
      clearTimeout(due);
      clearInterval(aging);
    },
  };
}

function makeRow(node) {
  const { texts } = i18n;
  const t = texts.overview;
  const state = h('span', { class: 'state' });
  const link = h('a', { class: 'name', href: nodeLink(node.id) }, bdi(node.name));
  const fill = h('span', { class: 'bar-fill' });
  const percent = h('span', { class: 'figure' });
  const volts = h('span', { class: 'figure' });
  const spark = sparkline(node.id);
  const degrees = h('span', { class: 'figure' });
  const heard = ago(null, i18n);
  const at = h('span', { class: 'at' });
  const signs = h('span', { class: 'signs' });
  const element = h('li', { class: 'row' },
    signs,
    h('div', { class: 'who' }, link, state),
    h('div', { class: 'cell charge' }, spoken(`${t.charge}: `), h('span', { class: 'bar', 'aria-hidden': 'true' }, fill), percent),
    h('div', { class: 'cell voltage' }, spoken(`${t.voltage}: `), volts, spark),
    h('div', { class: 'cell temperature' }, spoken(`${t.temperature}: `), degrees),
    h('div', { class: 'cell heard' }, spoken(`${t.heard}: `), heard, at));

  function update(now) {
    const level = levelOf(now);
    element.dataset.level = level;
    put(signs, sign(level));
    put(state, spoken(`${texts.level[level]}: `), words(now, texts));
    const charge = measured(now, 'batteryChargeEstimate');
    fill.style.width = `${Math.max(0, Math.min(100, charge ?? 0))}%`;
    fill.dataset.charge = charge === null ? 'none' : charge < 20 ? 'low' : charge < 40 ? 'middle' : 'good';
    for (const [place, field] of [[percent, 'batteryChargeEstimate'], [volts, 'batteryVoltage'], [degrees, 'batteryTemperature']]) {
      text(place, i18n.quantity(measured(now, field), ...FIELDS[field]));
    }
    setAgo(heard, now.lastHeard, i18n);
    text(at, i18n.brief(now.lastHeard));
    refresh(spark);
  }

  return { element, heard, update, node: null };
}

function oddRow(node) {
  const element = h('li', { class: 'row odd', 'data-level': 'error' },
    h('span', { class: 'signs' }, sign('error')),
    h('div', { class: 'who' }, h('a', { class: 'name', href: nodeLink(node.id) }, bdi(node.id)), h('span', { class: 'state' }, i18n.texts.overview.oddRow)));
  return { element, odd: true, node: null, update() {} };
}
