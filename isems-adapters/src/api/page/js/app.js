// The frame around the views: where one is, in which language and colours,
// and whether the collector is there.

import { h, put, text } from './dom.js';
import { i18n } from './i18n.js';
import { map } from './map.js';
import { node } from './node.js';
import { overview } from './overview.js';
import { sources } from './sources.js';
import { store } from './store.js';

const THEMES = ['auto', 'light', 'dark'];
const main = document.getElementById('main');
const banner = document.getElementById('banner');
let view = null;

/** The view and its argument that the address names. */
function place() {
  const [, name = '', ...rest] = location.hash.split('/');
  let argument = rest.join('/');
  try {
    argument = decodeURIComponent(argument);
  } catch {
    // A malformed escape is then part of the name.
  }
  return { name: ['node', 'map', 'sources'].includes(name) ? name : 'overview', argument };
}

function show({ focus = true } = {}) {
  const { name, argument } = place();
  view?.close();
  main.className = `view-${name}`;
  const open = { overview, map, sources, node }[name];
  view = open(main, argument);
  document.title = `${view.title} – ISEMS`;
  for (const link of document.querySelectorAll('#top nav a')) {
    const here = link.dataset.view === name || (name === 'node' && link.dataset.view === 'overview');
    if (here) link.setAttribute('aria-current', name === 'node' ? 'true' : 'page');
    else link.removeAttribute('aria-current');
  }
  if (focus) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function frame() {
  const { texts } = i18n;
  text(document.getElementById('skip'), texts.skip);
  const links = [['overview', '#/'], ['map', '#/map'], ['sources', '#/sources']];
  const language = h('select', { id: 'language', 'aria-label': texts.languageLabel, onchange: () => speak(language.value) },
    i18n.codes.map((code) => h('option', { value: code, lang: code }, i18n.nameOf(code))));
  language.value = i18n.code;
  const theme = h('select', { id: 'theme', 'aria-label': texts.theme.label, onchange: () => paint(theme.value) },
    THEMES.map((name) => h('option', { value: name }, texts.theme[name])));
  theme.value = document.documentElement.dataset.theme ?? 'auto';
  put(document.getElementById('top'),
    h('a', { class: 'brand', href: '#/' }, h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 }), h('span', null, 'ISEMS')),
    h('nav', { 'aria-label': texts.nav.label }, links.map(([name, href]) => h('a', { href, 'data-view': name }, texts.nav[name]))),
    h('div', { class: 'choices' }, language, theme));
  foot();
}

function foot() {
  put(document.getElementById('foot'), h('p', null, i18n.texts.zone(i18n.zone)));
}

function speak(code) {
  i18n.choose(code);
  frame();
  show({ focus: false });
  connection();
  document.getElementById('language').focus();
}

function paint(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === 'auto') localStorage.removeItem('isems.theme');
    else localStorage.setItem('isems.theme', theme);
  } catch {
    // Then it holds until the page is left.
  }
  dispatchEvent(new Event('theme'));
}

function connection() {
  const lost = store.lostSince !== null;
  banner.hidden = !lost;
  text(banner, lost ? i18n.texts.offline(i18n.brief(store.lostSince)) : '');
}

document.getElementById('skip').addEventListener('click', (event) => {
  // The address holds the view: it is not to be lost to an anchor.
  event.preventDefault();
  main.focus();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => dispatchEvent(new Event('theme')));
addEventListener('hashchange', () => show());
store.addEventListener('connection', connection);
store.addEventListener('nodes', foot);
frame();
show({ focus: false });
store.start();
