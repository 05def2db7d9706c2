// Where the nodes are. Works without any map: a grid with its degrees; tiles
// only if the collector offers some.

import { bdi, h, put, svg, text } from './dom.js';
import { byUrgency, levelOf, LEVELS, marker, nodeLink, sign, words } from './describe.js';
import { gridStep, project, unproject } from './mercator.js';
import { i18n } from './i18n.js';
import { store } from './store.js';

const TILE = 256;
/** The world's side in pixels: from all of it to a street. */
const SMALLEST = 200;
const LARGEST = TILE * 2 ** 19;
/** A lone node is shown with so much around it. */
const ALONE = TILE * 2 ** 13;
/** The room that a name takes. */
const LABEL = { width: 120, height: 18 };
/** Tiles are drawn at half their size at least: farther out there would be too many. */
const FARTHER_OUT = 1;
/** Where tiles are, as a part of the world, if the collector does not say. */
const EVERYWHERE = { left: 0, right: 1, top: 0, bottom: 1 };
/** The part of a tile by which the ends of a map may be inexact. */
const INEXACT = 0.01;

let tiles = null;

/** What the collector offers as a background. */
function offered() {
  tiles ??= fetch('map.json', { cache: 'no-cache' })
    .then((answer) => (answer.ok ? answer.json() : {}))
    .catch(() => ({}));
  return tiles;
}

function placeOf({ bounds }) {
  if (!bounds) return EVERYWHERE;
  const [west, south, east, north] = bounds;
  const [from, to] = [project(north, west), project(south, east)];
  return { left: from.x, right: to.x, top: from.y, bottom: to.y };
}

export function map(main, wanted) {
  const t = i18n.texts.map;
  const view = { x: 0.5, y: 0.5, scale: SMALLEST, touched: false };
  const size = { width: 600, height: 400 };
  const background = svg('g', { 'aria-hidden': 'true' });
  const grid = svg('g', { class: 'grid', 'aria-hidden': 'true' });
  const marks = svg('g', { class: 'marks' });
  const drawing = svg('svg', { class: 'map-drawing' }, background, grid, marks);
  const credit = h('p', { class: 'credit', hidden: true });
  const tool = (label, name, act) => h('button', { type: 'button', class: 'tool', 'aria-label': name, title: name, onclick: act }, label);
  const frame = h('div', { class: 'map-frame', role: 'application', 'aria-label': t.label, tabindex: '0' }, drawing);
  const notice = h('p', { class: 'map-notice quiet' });
  const without = h('ul', { class: 'plain' });
  const withoutHead = h('h2', null, t.without);
  const aside = h('section', { class: 'card' }, withoutHead, without);
  const legend = h('ul', { class: 'legend', 'aria-label': t.legend }, LEVELS.map((level) => h('li', null, sign(level), i18n.texts.levels[level])));
  let places = [];
  let groups = new Map();
  let source = null;
  let closed = false;
  let due = 0;

  put(main,
    h('div', { class: 'head' }, h('h1', null, t.title), legend),
    h('div', { class: 'map-box' },
      frame,
      h('div', { class: 'tools map-tools' }, tool('+', t.zoomIn, () => zoom(1.6)), tool('−', t.zoomOut, () => zoom(1 / 1.6)), tool('⤢', t.fit, fit)),
      notice, credit),
    aside);

  /** Takes over the nodes: those with a position, and the others. */
  function gather() {
    const nodes = [...store.nodes.values()].filter((node) => node.active !== false || node.id === wanted);
    const lost = [];
    places = [];
    for (const node of nodes.sort(byUrgency)) {
      const { latitude, longitude } = node.position ?? {};
      if (Number.isFinite(latitude) && Number.isFinite(longitude)) places.push({ node, ...project(latitude, longitude) });
      else lost.push(node);
    }
    // The worst is drawn last, on top of the others.
    places.reverse();
    const ready = store.phase === 'ready';
    text(notice, ready && places.length === 0 ? t.nowhere : store.phase === 'failed' ? i18n.texts.failed : ready ? '' : i18n.texts.loading);
    put(without, lost.length > 0 ? lost.map(entry) : h('li', { class: 'quiet' }, ready ? t.noneWithout : i18n.texts.loading));
    if (!view.touched) fit();
    else draw();
  }

  function entry(node) {
    try {
      return h('li', null, sign(levelOf(node)), h('a', { href: nodeLink(node.id) }, bdi(node.name)), h('span', { class: 'quiet' }, words(node, i18n.texts)));
    } catch {
      return h('li', null, sign('error'), h('a', { href: nodeLink(node.id) }, bdi(node.id)));
    }
  }

  function fit() {
    view.touched = false;
    const chosen = places.filter(({ node }) => node.id === wanted);
    const around = chosen.length > 0 ? chosen : places;
    if (around.length === 0) {
      Object.assign(view, { x: 0.5, y: 0.5, scale: Math.max(SMALLEST, Math.min(size.width, size.height)) });
      return draw();
    }
    const xs = around.map(({ x }) => x);
    const ys = around.map(({ y }) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const room = 60;
    const scale = Math.min((size.width - 2 * room) / (right - left), (size.height - 2 * room) / (bottom - top));
    Object.assign(view, { x: (left + right) / 2, y: (top + bottom) / 2, scale: Math.max(SMALLEST, Math.min(scale, ALONE)) });
    return draw();
  }

  function move(dx, dy) {
    view.touched = true;
    view.x = Math.max(0, Math.min(1, view.x - dx / view.scale));
    view.y = Math.max(0, Math.min(1, view.y - dy / view.scale));
    draw();
  }

  /** Zooms so that the point at (atX, atY) in the frame stays where it is. */
  function zoom(factor, atX = size.width / 2, atY = size.height / 2) {
    const scale = Math.max(SMALLEST, Math.min(view.scale * factor, LARGEST));
    const [dx, dy] = [atX - size.width / 2, atY - size.height / 2];
    view.x += dx / view.scale - dx / scale;
    view.y += dy / view.scale - dy / scale;
    view.scale = scale;
    move(0, 0);
  }

  const toX = (x) => (x - view.x) * view.scale + size.width / 2;
  const toY = (y) => (y - view.y) * view.scale + size.height / 2;

  function draw() {
    if (due || closed) return;
    due = requestAnimationFrame(() => {
      due = 0;
      drawing.setAttribute('viewBox', `0 0 ${size.width} ${size.height}`);
      drawTiles();
      drawGrid();
      drawMarks();
    });
  }

  function drawTiles() {
    if (!source) return;
    const fitting = Math.round(Math.log2(view.scale / TILE));
    const level = Math.max(source.min, Math.min(source.max, fitting));
    const count = 2 ** level;
    const side = view.scale / count;
    const from = (middle, length, first) => Math.max(0, Math.floor(first * count + INEXACT), Math.floor((middle - length / 2 / view.scale) * count));
    const to = (middle, length, last) => Math.min(count - 1, Math.ceil(last * count - INEXACT) - 1, Math.floor((middle + length / 2 / view.scale) * count));
    const there = new Map([...background.children].map((image) => [image.dataset.key, image]));
    const { left, right, top, bottom } = source.place;
    const lastX = level - fitting > FARTHER_OUT ? -1 : to(view.x, size.width, right);
    for (let x = from(view.x, size.width, left); x <= lastX; x += 1) {
      for (let y = from(view.y, size.height, top); y <= to(view.y, size.height, bottom); y += 1) {
        const key = `${level}/${x}/${y}`;
        let image = there.get(key);
        there.delete(key);
        if (!image) {
          image = svg('image', { href: source.url.replace('{z}', level).replace('{x}', x).replace('{y}', y), preserveAspectRatio: 'none', 'data-key': key });
          // What is not there leaves the grid to be seen.
          image.addEventListener('error', () => image.setAttribute('visibility', 'hidden'));
          background.append(image);
        }
        // A hair larger than its place: no seams between tiles.
        for (const [name, value] of [['x', toX(x / count)], ['y', toY(y / count)], ['width', side + 0.4], ['height', side + 0.4]]) image.setAttribute(name, value.toFixed(2));
      }
    }
    for (const image of there.values()) image.remove();
  }

  function drawGrid() {
    const corner = (x, y) => unproject(view.x + (x - size.width / 2) / view.scale, view.y + (y - size.height / 2) / view.scale);
    const [northWest, southEast] = [corner(0, 0), corner(size.width, size.height)];
    const parts = [];
    const line = (d, label, x, y, anchor) => parts.push(svg('path', { d }), svg('text', { x, y, 'text-anchor': anchor }, label));
    const degrees = (value, step, positive, negative) => {
      const digits = step >= 1 ? 0 : Math.min(4, Math.ceil(-Math.log10(step)));
      return `${i18n.number(Math.abs(value), digits)}° ${value < 0 ? negative : positive}`;
    };
    const wide = gridStep(southEast.longitude - northWest.longitude, Math.max(2, size.width / 150));
    for (let at = Math.ceil(northWest.longitude / wide) * wide; at <= Math.min(180, southEast.longitude); at += wide) {
      if (at < -180) continue;
      const x = toX(project(0, at).x).toFixed(1);
      line(`M${x} 0V${size.height}`, degrees(at, wide, i18n.code === 'de' ? 'O' : 'E', 'W'), Number(x) + 4, size.height - 6, 'start');
    }
    const high = gridStep(northWest.latitude - southEast.latitude, Math.max(2, size.height / 110));
    for (let at = Math.ceil(southEast.latitude / high) * high; at <= northWest.latitude; at += high) {
      const y = toY(project(at, 0).y).toFixed(1);
      line(`M0 ${y}H${size.width}`, degrees(at, high, 'N', 'S'), 6, Number(y) - 5, 'start');
    }
    put(grid, parts);
  }

  function drawMarks() {
    const before = groups;
    groups = new Map();
    const labelled = [];
    // From the top-most on, so that the worst have their names shown.
    for (const place of places.toReversed()) {
      const [x, y] = [toX(place.x), toY(place.y)];
      if (x < -40 || y < -40 || x > size.width + 40 || y > size.height + 40) continue;
      const under = labelled.find((other) => Math.hypot(other.x - x, other.y - y) < LABEL.height);
      const crowded = labelled.some((other) => Math.abs(other.x - x) < LABEL.width && Math.abs(other.y - y) < 2 * LABEL.height);
      const group = mark(before.get(place.node.id), place.node);
      if (under) under.hides += 1;
      if (!crowded) labelled.push({ x, y, group, hides: 0 });
      group.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      group.classList.toggle('named', !crowded);
      groups.set(place.node.id, group);
    }
    for (const { group, hides } of labelled) text(group.lastElementChild, hides > 0 ? `${group.label} +${i18n.number(hides)}` : group.label);
    const wish = [...groups.values()].reverse();
    const there = [...marks.children];
    if (wish.length !== there.length || wish.some((group, index) => group !== there[index])) {
      const focused = document.activeElement;
      put(marks, wish);
      if (marks.contains(focused)) focused.focus({ preventScroll: true });
    }
  }

  function mark(known, node) {
    if (known?.node === node) return known;
    const level = LEVELS.includes(node.state?.level) ? node.state.level : 'error';
    let said = '';
    try {
      said = words(node, i18n.texts);
    } catch {
      said = i18n.texts.overview.oddRow;
    }
    const name = String(node.name ?? node.id);
    const group = known ?? svg('g');
    group.node = node;
    group.label = name.length > 22 ? `${[...name].slice(0, 21).join('')}…` : name;
    group.setAttribute('class', `mark${node.id === wanted ? ' wanted' : ''}`);
    const focused = group.contains(document.activeElement);
    // The written name is beside the link: the link says more, and all of it.
    put(group,
      svg('a', { href: nodeLink(node.id), draggable: 'false', 'aria-label': `${name} – ${i18n.texts.level[level]}: ${said}` },
        svg('title', null, `${name}\n${said}`), svg('circle', { class: 'halo', r: 15 }), marker(level)),
      svg('text', { class: 'mark-name', y: 24, 'text-anchor': 'middle', 'aria-hidden': 'true' }, group.label));
    if (focused) group.firstElementChild.focus({ preventScroll: true });
    return group;
  }

  const fingers = new Map();
  let dragged = 0;
  const at = (event) => {
    const box = frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const middle = (points) => ({ x: (points[0].x + points.at(-1).x) / 2, y: (points[0].y + points.at(-1).y) / 2, apart: Math.hypot(points[0].x - points.at(-1).x, points[0].y - points.at(-1).y) });
  frame.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, at(event));
    dragged = 0;
  });
  frame.addEventListener('pointermove', (event) => {
    if (!fingers.has(event.pointerId)) return;
    const was = middle([...fingers.values()]);
    fingers.set(event.pointerId, at(event));
    const is = middle([...fingers.values()]);
    dragged += Math.hypot(is.x - was.x, is.y - was.y);
    // Only once it is a drag: a captured pointer would no longer click links.
    if (dragged > 4 && !frame.hasPointerCapture(event.pointerId)) frame.setPointerCapture(event.pointerId);
    move(is.x - was.x, is.y - was.y);
    if (fingers.size > 1 && was.apart > 0) zoom(is.apart / was.apart, is.x, is.y);
  });
  for (const end of ['pointerup', 'pointercancel']) frame.addEventListener(end, (event) => fingers.delete(event.pointerId));
  frame.addEventListener('click', (event) => {
    if (dragged > 6) event.preventDefault();
  }, true);
  frame.addEventListener('dragstart', (event) => event.preventDefault());
  frame.addEventListener('wheel', (event) => {
    event.preventDefault();
    const { x, y } = at(event);
    zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 120) * 0.003), x, y);
  }, { passive: false });
  frame.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
      '+': () => zoom(1.6), '=': () => zoom(1.6), '-': () => zoom(1 / 1.6), 0: fit,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  // A marker that is tabbed to is brought into sight.
  marks.addEventListener('focusin', (event) => {
    const place = places.find(({ node }) => node.id === event.target.closest('.mark')?.node.id);
    if (!place || !event.target.matches(':focus-visible')) return;
    const [x, y] = [toX(place.x), toY(place.y)];
    if (x < 20 || y < 20 || x > size.width - 20 || y > size.height - 30) move(size.width / 2 - x, size.height / 2 - y);
  });

  const resized = new ResizeObserver(([{ contentRect }]) => {
    Object.assign(size, { width: Math.round(contentRect.width) || 600, height: Math.round(contentRect.height) || 400 });
    if (view.touched) draw();
    else fit();
  });
  resized.observe(frame);
  offered().then((answer) => {
    if (closed || !answer.tiles) return;
    source = { url: answer.tiles, min: answer.minZoom ?? 0, max: answer.maxZoom ?? 19, place: placeOf(answer) };
    main.classList.add('with-tiles');
    const owed = answer.openStreetMap ? t.attribution : answer.attribution;
    credit.hidden = !owed;
    if (owed) put(credit, bdi(owed));
    draw();
  });
  let waiting = 0;
  const changed = () => {
    waiting ||= setTimeout(() => {
      waiting = 0;
      gather();
    }, 50);
  };
  gather();
  store.addEventListener('nodes', gather);
  store.addEventListener('node', changed);
  return {
    title: t.title,
    close() {
      closed = true;
      clearTimeout(waiting);
      resized.disconnect();
      main.classList.remove('with-tiles');
      store.removeEventListener('nodes', gather);
      store.removeEventListener('node', changed);
    },
  };
}
