// Where measurements come from, and how well that goes.

import { ago, bdi, h, put, text } from './dom.js';
import { fetchList } from './store.js';
import { i18n } from './i18n.js';
import { sign } from './describe.js';

const REFRESH = 10_000;
/** What fails comes first. */
const ORDER = ['error', 'warning', 'info'];

export function sources(main) {
  const t = i18n.texts.sources;
  const list = h('ul', { class: 'sources', 'aria-label': t.title });
  const message = h('div', { class: 'message' });
  let shown = '';
  put(main, h('div', { class: 'head' }, h('h1', null, t.title), h('p', { class: 'lead' }, t.intro)), list, message);
  put(message, h('p', { class: 'loading' }, i18n.texts.loading));

  async function load() {
    try {
      const found = await fetchList('sources', 'sources');
      const now = JSON.stringify(found);
      if (now === shown && list.childElementCount > 0) return age();
      shown = now;
      put(list, found.map(card).sort((a, b) => ORDER.indexOf(a.dataset.level) - ORDER.indexOf(b.dataset.level)));
      put(message, found.length > 0 ? null : h('div', { class: 'notice' }, h('p', null, t.empty), h('p', { class: 'quiet' }, t.emptyHint)));
    } catch (error) {
      put(message, h('div', { class: 'notice bad', role: 'alert' },
        h('p', null, i18n.texts.failed), h('p', { class: 'quiet', lang: 'en' }, error.message),
        h('button', { type: 'button', onclick: load }, i18n.texts.retry)));
    }
  }

  function age() {
    for (const time of list.querySelectorAll('time')) text(time, i18n.ago(time.dataset.time));
    put(message);
  }

  load();
  const timer = setInterval(() => {
    if (!document.hidden) load();
  }, REFRESH);
  return { title: t.title, close: () => clearInterval(timer) };
}

function card(source) {
  try {
    return whole(source);
  } catch {
    return h('li', { class: 'card source', 'data-level': 'error' }, h('h2', null, sign('error'), bdi(source?.id)), h('p', null, i18n.texts.failed));
  }
}

function whole(source) {
  const t = i18n.texts.sources;
  const success = Date.parse(source.lastSuccess);
  const failure = Date.parse(source.lastError ? source.lastErrorAt : NaN);
  const failing = Number.isFinite(failure) && !(success >= failure);
  const [level, state] = failing ? ['error', t.failing] : Number.isFinite(success) ? ['info', t.ok] : ['warning', t.waiting];
  const rejected = Object.entries(source.rejected ?? {});
  const total = rejected.reduce((sum, [, count]) => sum + count, 0);
  const fact = (name, ...what) => h('div', null, h('dt', null, name), h('dd', null, what));
  const count = (name, value) => h('div', { class: value > 0 ? null : 'zero' }, h('dt', null, name), h('dd', { class: 'figure' }, i18n.number(value)));
  const since = (time, otherwise) => (Number.isFinite(Date.parse(time)) ? [ago(time, i18n), h('span', { class: 'at' }, i18n.brief(time))] : [otherwise]);
  return h('li', { class: 'card source', 'data-level': level },
    h('h2', null, sign(level), h('span', { class: 'source-id' }, bdi(source.id)), h('span', { class: 'source-state' }, state)),
    h('p', { class: 'quiet' }, t.kinds[source.kind] ?? source.kind),
    h('dl', { class: 'facts' },
      fact(t.lastSuccess, ...since(source.lastSuccess, t.never)),
      fact(t.lastError, ...(source.lastError ? [...since(source.lastErrorAt, ''), h('span', { class: 'error-text', lang: 'en' }, source.lastError)] : [t.noError])),
      fact(t.offset, offset(source.clockOffsetSeconds)),
      fact(t.bytes, h('span', { class: 'figure', title: t.bytesMeaning }, i18n.bytes(source.bytesToday)))),
    h('h3', null, t.counts),
    h('dl', { class: 'counts' },
      count(t.stored, source.stored), count(t.duplicate, source.duplicate), count(t.retimed, source.retimed),
      count(t.conflict, source.conflict), count(t.expired, source.expired), count(t.rejected, total)),
    rejected.length > 0 ? h('ul', { class: 'reasons', lang: 'en' }, rejected.map(([reason, n]) => h('li', null, h('span', { class: 'figure' }, `${i18n.number(n)} × `), bdi(reason)))) : null);
}

function offset(seconds) {
  const t = i18n.texts.sources;
  if (!Number.isFinite(seconds)) return t.offsetNone;
  if (Math.abs(seconds) < 5) return t.offsetOk;
  return seconds > 0 ? t.behind(i18n.duration(seconds)) : t.ahead(i18n.duration(seconds));
}
