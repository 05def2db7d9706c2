// Elements from data. Text only ever goes in as text.

const SVG = 'http://www.w3.org/2000/svg';

/** An element; `props` are attributes, `on…` listeners, or `class`. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  put(element, ...children);
  return element;
}

/** Replaces what is in an element. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Changes a text only if it differs, so that screen readers keep calm. */
export function text(element, content) {
  if (element.textContent !== content) element.textContent = content;
}

/** A name in its own writing direction, whatever surrounds it. */
export function bdi(name) {
  return h('bdi', null, String(name ?? ''));
}

/** Text that only screen readers say. */
export function spoken(content) {
  return h('span', { class: 'spoken' }, content);
}

/** A time that is refreshed as it ages. */
export function ago(iso, i18n) {
  const element = h('time', { class: 'ago' });
  setAgo(element, iso, i18n);
  return element;
}

export function setAgo(element, iso, i18n) {
  element.dataset.time = iso ?? '';
  const known = Number.isFinite(Date.parse(iso));
  if (known) {
    element.setAttribute('datetime', iso);
    element.title = i18n.moment(iso);
  }
  text(element, known ? i18n.ago(iso) : '–');
}
