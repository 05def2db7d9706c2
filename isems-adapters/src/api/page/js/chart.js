// A node's history as charts that share one cursor and one period.

import { address, fetchJson, nodePath } from './store.js';
import { FIELDS } from './describe.js';
import { h, put, text } from './dom.js';
import { i18n } from './i18n.js';

const DAY = 86_400;
const RANGES = { day: DAY, week: 7 * DAY, month: 30 * DAY, year: 365 * DAY };
const SHORTEST = 600;
const HEIGHT = 190;

/** Colours are names of custom properties, so that themes can change them. */
const CHARTS = [
  {
    name: 'voltage', unit: 'V', digits: 2,
    lines: [['batteryVoltage', '--line-a', true]],
    limits: [['lowVoltageDisconnectVoltage', '--critical', 'disconnect'], ['temperatureCorrectedVoltage', '--ok', 'chargeEnd']],
  },
  { name: 'charge', unit: '%', digits: 0, scale: [0, 100], lines: [['batteryChargeEstimate', '--line-a', true]], limits: [] },
  { name: 'panel', unit: 'V', digits: 2, lines: [['openCircuitVoltage', '--line-b', false, 'open'], ['mppVoltage', '--line-c', true, 'mpp']], limits: [] },
  { name: 'temperature', unit: '°C', digits: 1, lines: [['batteryTemperature', '--line-d', true]], limits: [] },
];
const WANTED = [...new Set(CHARTS.flatMap(({ lines, limits }) => [...lines, ...limits].map(([field]) => field)))];

let library = null;

/** The chart library, which only this view needs. */
function loadLibrary() {
  library ??= new Promise((resolve, reject) => {
    document.head.append(h('link', { rel: 'stylesheet', href: 'vendor/uplot.min.css' }));
    document.head.append(h('script', { src: 'vendor/uplot.min.js', onload: () => resolve(globalThis.uPlot), onerror: () => {
      library = null;
      reject(new Error(i18n.texts.chart.failed));
    } }));
  });
  return library;
}

export function charts(section, node) {
  const t = i18n.texts.chart;
  const shown = { range: 'day', from: 0, to: 0, live: true };
  const figures = CHARTS.map((chart) => figure(chart));
  const state = h('p', { role: 'status' });
  const time = h('p', { class: 'figure', 'aria-hidden': 'true' });
  const download = h('a', { class: 'button', download: '' }, t.csv);
  const table = h('details', { class: 'table', ontoggle: () => showTable() }, h('summary', null, t.table), h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': t.table }));
  const ranges = Object.keys(RANGES).map((range) => h('button', { type: 'button', class: 'chip', 'data-range': range, onclick: () => choose(range) }, t.ranges[range]));
  const tool = (sign, name, act) => h('button', { type: 'button', class: 'tool', 'aria-label': name, title: name, onclick: act }, sign);
  const whole = h('button', { type: 'button', class: 'tool wide', onclick: () => choose(shown.range) }, t.reset);
  let history = null;
  let plots = [];
  let asking = null;
  let askedAt = 0;

  put(section,
    h('div', { class: 'chart-head' },
      h('h2', { id: 'history' }, i18n.texts.node.history),
      h('div', { class: 'chips', role: 'group', 'aria-label': t.range }, ranges),
      h('div', { class: 'tools' },
        tool('←', t.earlier, () => shift(-0.5)), tool('→', t.later, () => shift(0.5)),
        tool('+', t.zoomIn, () => zoom(0.5)), tool('−', t.zoomOut, () => zoom(2)), whole),
      download),
    h('div', { class: 'chart-line' }, state, time),
    h('div', { class: 'figures' }, figures.map((one) => one.element)),
    h('p', { class: 'quiet hint' }, `${t.hint} ${i18n.texts.zone(i18n.zone)}. `, h('span', { class: 'swatch band' }), t.band),
    table);

  function choose(range) {
    const now = Math.floor(i18n.now() / 1000);
    Object.assign(shown, { range, from: now - RANGES[range], to: now, live: true });
    load();
  }

  function look(from, to) {
    const now = Math.ceil(i18n.now() / 1000);
    const span = Math.max(SHORTEST, Math.min(to - from, 10 * RANGES.year));
    const end = Math.min(Math.round(to), now);
    Object.assign(shown, { from: Math.round(end - span), to: end, live: false });
    load();
  }

  function zoom(factor) {
    const half = ((shown.to - shown.from) * factor) / 2;
    const middle = (shown.from + shown.to) / 2;
    look(middle - half, middle + half);
  }

  function shift(part) {
    const by = (shown.to - shown.from) * part;
    look(shown.from + by, shown.to + by);
  }

  async function load() {
    asking?.abort();
    const asked = new AbortController();
    asking = asked;
    askedAt = Date.now();
    const { from, to } = shown;
    for (const button of ranges) button.setAttribute('aria-pressed', String(shown.live && button.dataset.range === shown.range));
    whole.disabled = shown.live;
    download.href = address(nodePath(node.id, '/export.csv'), { from, to });
    section.setAttribute('aria-busy', 'true');
    if (!history) text(state, i18n.texts.loading);
    try {
      const [uPlot, answer] = await Promise.all([
        loadLibrary(),
        fetchJson(nodePath(node.id, '/history'), { from, to, fields: WANTED.join(',') }, asked.signal),
      ]);
      if (asked.signal.aborted) return;
      history = columns(answer, from, to);
      text(state, history.empty ? t.nothing : t.step(i18n.duration(history.step)));
      plot(uPlot);
      showTable();
    } catch (error) {
      if (asked.signal.aborted) return;
      put(state, `${t.failed} `, h('span', { lang: 'en' }, error.message), ' ', h('button', { type: 'button', onclick: load }, i18n.texts.retry));
    }
    section.removeAttribute('aria-busy');
  }

  function plot(uPlot) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    plots.forEach((one) => one.destroy());
    plots = figures.map((one) => one.draw(uPlot, history, { colour, look, point, from: shown.from, to: shown.to }));
  }

  /** Says which moment the cursor is at. */
  function point(seconds) {
    const form = { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' };
    text(time, seconds === undefined ? '' : i18n.date(form, seconds * 1000));
  }

  function redraw() {
    if (history && globalThis.uPlot) plot(globalThis.uPlot);
  }

  function showTable() {
    if (!table.open || !history) return;
    const names = WANTED.map((field) => [field, i18n.texts.fields[field][0], ...FIELDS[field]]);
    const cell = (spread, digits) => (spread ? `${i18n.number(spread.mean, digits)} (${i18n.number(spread.min, digits)}–${i18n.number(spread.max, digits)})` : '–');
    put(table.lastElementChild, h('table', null,
      h('caption', null, t.tableCaption(i18n.duration(history.step))),
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, t.begin), h('th', { scope: 'col' }, t.count), names.map(([, name, unit]) => h('th', { scope: 'col' }, `${name} (${unit})`)))),
      h('tbody', null, history.buckets.toReversed().map((bucket) => h('tr', null,
        h('th', { scope: 'row' }, i18n.moment(bucket.begin)), h('td', null, i18n.number(bucket.count)),
        names.map(([field, , , digits]) => h('td', null, cell(bucket.values[field], digits))))))));
  }

  let width = section.clientWidth;
  const resized = new ResizeObserver(() => {
    if (section.clientWidth === width) return;
    width = section.clientWidth;
    for (const one of figures) one.resize();
  });
  resized.observe(section);
  addEventListener('theme', redraw);
  choose('day');

  return {
    /** A newer measurement: the chart moves on if it shows the present. */
    update(newer) {
      node = newer;
      if (shown.live && Date.now() - askedAt > 60_000) choose(shown.range);
    },
    close() {
      asking?.abort();
      resized.disconnect();
      removeEventListener('theme', redraw);
      plots.forEach((one) => one.destroy());
    },
  };
}

/** Buckets as columns, with an empty one wherever there is a gap. */
function columns(answer, from, to) {
  const { buckets, step } = answer;
  const times = [];
  const spreads = Object.fromEntries(WANTED.map((field) => [field, []]));
  const add = (time, values) => {
    times.push(time);
    for (const field of WANTED) spreads[field].push(values[field] ?? null);
  };
  let before = null;
  for (const bucket of buckets) {
    const begin = Date.parse(bucket.begin) / 1000;
    // A node that reports more seldom than the step is not broken up.
    if (before !== null && begin - before > Math.max(2.5 * step, 1200)) add(before + step * 1.5, {});
    add(begin + step / 2, bucket.values);
    before = begin;
  }
  return { buckets, step, times, spreads, from, to, empty: buckets.length === 0 };
}

/** One chart: its heading, what the cursor says, and the canvas. */
function figure(chart) {
  const t = i18n.texts.chart;
  const many = chart.lines.length > 1;
  const readings = new Map();
  const key = [...chart.lines.map(([field, colour, , name]) => [field, colour, many ? t[name] : '', false]), ...chart.limits.map(([field, colour, name]) => [field, colour, t[name], true])];
  const legend = key.map(([field, colour, name, dashed]) => {
    const reading = h('span', { class: 'figure' });
    readings.set(field, reading);
    return h('span', { class: 'key' }, h('span', { class: `swatch${dashed ? ' dashed' : ''}`, 'data-colour': colour }), name ? `${name} ` : null, reading);
  });
  const canvas = h('div', { class: 'canvas', role: 'img' });
  const element = h('figure', { class: 'chart' }, h('figcaption', null, h('h3', null, t[chart.name]), h('span', { class: 'keys' }, legend)), canvas);
  let plot = null;

  function say(history, index) {
    const known = index !== null && index !== undefined;
    for (const [field, reading] of readings) {
      const at = known ? index : history.spreads[field].findLastIndex((spread) => spread !== null);
      text(reading, i18n.quantity(history.spreads[field][at]?.mean ?? NaN, chart.unit, chart.digits));
    }
  }

  function describe(history) {
    const [field] = chart.lines[0];
    const spreads = history.spreads[field].filter((spread) => spread !== null);
    const quantity = (value) => i18n.quantity(value, chart.unit, chart.digits);
    canvas.setAttribute('aria-label', spreads.length === 0 ? t.summaryNone(t[chart.name]) : t.summary(t[chart.name],
      quantity(spreads.reduce((low, { min }) => Math.min(low, min), Infinity)),
      quantity(spreads.reduce((high, { max }) => Math.max(high, max), -Infinity)),
      quantity(spreads.at(-1).mean)));
  }

  function draw(uPlot, history, { colour, look, point, from, to }) {
    const data = [history.times];
    const series = [{}];
    const bands = [];
    const column = (field, part) => history.spreads[field].map((spread) => spread?.[part] ?? null);
    const alone = (u, index) => lonely(u.data[index]);
    for (const [field, name, banded] of chart.lines) {
      if (banded) {
        data.push(column(field, 'max'), column(field, 'min'));
        const edge = { width: 0, stroke: 'transparent', points: { show: false } };
        series.push(edge, edge);
        bands.push({ series: [series.length - 2, series.length - 1], fill: `${colour(name)}33` });
      }
      data.push(column(field, 'mean'));
      series.push({ stroke: colour(name), width: 1.75, points: { show: true, filter: alone, size: 4, stroke: colour(name), fill: colour(name) } });
    }
    for (const [field, name] of chart.limits) {
      data.push(column(field, 'mean'));
      series.push({ stroke: colour(name), width: 1.25, dash: [6, 5], points: { show: false } });
    }
    const axis = { stroke: colour('--muted'), grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
    plot = new uPlot({
      width: Math.max(200, canvas.clientWidth),
      height: HEIGHT,
      padding: [8, 10, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), i18n.zone),
      legend: { show: false },
      cursor: { sync: { key: 'history' }, y: false, points: { size: 7 }, drag: { x: true, y: false, setScale: false } },
      scales: { x: { min: from, max: to, range: () => [from, to] }, y: { range: chart.scale ? () => chart.scale : (u, low, high) => padded(low, high) } },
      axes: [
        { ...axis, size: 30, space: 70, values: (u, splits, _axis, _space, increment) => splits.map((at, index) => label(at, increment, index, splits)) },
        { ...axis, size: 46, space: 34, values: (u, splits) => splits.map((value) => i18n.number(value, decimals(splits))) },
      ],
      series,
      bands,
      hooks: {
        setCursor: [(u) => {
          say(history, u.cursor.idx);
          point(history.times[u.cursor.idx]);
        }],
        setSelect: [(u) => {
          const { left, width } = u.select;
          if (width < 8) return;
          u.setSelect({ left: 0, width: 0 }, false);
          look(u.posToVal(left, 'x'), u.posToVal(left + width, 'x'));
        }],
      },
    }, data, canvas);
    say(history, null);
    describe(history);
    const made = plot;
    return { destroy: () => {
      made.destroy();
      if (plot === made) plot = null;
    } };
  }

  return { element, draw, resize: () => plot?.setSize({ width: Math.max(200, canvas.clientWidth), height: HEIGHT }) };
}

/** Values with neither a neighbour: no line leads to them. */
function lonely(values) {
  const found = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null) found.push(at);
  }
  return found;
}

function padded(low, high) {
  if (low === null || high === null) return [0, 1];
  const room = Math.max((high - low) * 0.08, 0.1);
  return [low - room, high + room];
}

function decimals(splits) {
  const step = Math.abs((splits[1] ?? 1) - (splits[0] ?? 0));
  return step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
}

function label(seconds, increment, index, splits) {
  const time = seconds * 1000;
  if (increment >= 27 * DAY) return i18n.date({ month: 'short', year: 'numeric' }, time);
  if (increment >= DAY) return i18n.date({ day: 'numeric', month: 'short' }, time);
  const day = { day: 'numeric', month: 'short' };
  const clock = i18n.date({ hour: '2-digit', minute: '2-digit' }, time);
  const midnight = clock === '00:00' || clock === '24:00';
  return midnight || (index > 0 && i18n.date(day, splits[index - 1] * 1000) !== i18n.date(day, time)) ? i18n.date(day, time) : clock;
}
