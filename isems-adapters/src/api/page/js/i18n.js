// Language, numbers and times as people write them.

import de from './texts.de.js';
import en from './texts.en.js';

const LANGUAGES = { en, de };
const KEY = 'isems.language';

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function preferred() {
  const wished = [remembered(), ...(navigator.languages ?? [navigator.language])];
  return wished.map((tag) => String(tag ?? '').slice(0, 2).toLowerCase()).find((tag) => tag in LANGUAGES) ?? 'en';
}

/** How many seconds the collector's clock is ahead of this one's. */
let ahead = 0;

export const i18n = {
  code: preferred(),
  texts: en,
  zone: 'UTC',

  codes: Object.keys(LANGUAGES),
  nameOf: (code) => LANGUAGES[code].language,

  use(code) {
    this.code = code;
    this.texts = LANGUAGES[code];
    document.documentElement.lang = code;
    this.formats = new Map();
  },

  choose(code) {
    try {
      localStorage.setItem(KEY, code);
    } catch {
      // Then it holds until the page is left.
    }
    this.use(code);
  },

  /** Takes over what the collector says of time. */
  setTime(zone, now) {
    const server = Date.parse(now);
    if (Number.isFinite(server)) ahead = server - Date.now();
    try {
      new Intl.DateTimeFormat('en', { timeZone: zone });
      this.zone = zone;
    } catch {
      this.zone = 'UTC';
    }
    this.formats = new Map();
  },

  /** Now, by the collector's clock, in milliseconds. */
  now: () => Date.now() + ahead,

  /** A formatter that is made once. */
  format(kind, key, make) {
    const name = `${kind}:${key}`;
    if (!this.formats.has(name)) this.formats.set(name, make());
    return this.formats.get(name);
  },

  number(value, digits = 0) {
    if (!Number.isFinite(value)) return '–';
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return this.format('n', digits, () => new Intl.NumberFormat(this.code, options)).format(value);
  },

  /** A value with its unit; a dash if it is none. */
  quantity(value, unit, digits) {
    return Number.isFinite(value) ? `${this.number(value, digits)}\u00a0${unit}` : '–';
  },

  date(options, time) {
    const moment = typeof time === 'number' ? time : Date.parse(time);
    if (!Number.isFinite(moment)) return '–';
    const make = () => new Intl.DateTimeFormat(this.code === 'en' ? 'en-GB' : 'de-DE', { timeZone: this.zone, ...options });
    return this.format('d', JSON.stringify(options), make).format(moment);
  },

  /** Day and time of day. */
  moment(time) {
    return this.date({ day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' }, time);
  },

  /** Short, for lists: the time today, the day and time otherwise. */
  brief(time) {
    const day = { day: 'numeric', month: 'short', year: 'numeric' };
    const today = this.date(day, time) === this.date(day, this.now());
    const clock = { hour: '2-digit', minute: '2-digit' };
    return this.date(today ? clock : { ...day, ...clock }, time);
  },

  relative(value, unit) {
    return this.format('r', 'auto', () => new Intl.RelativeTimeFormat(this.code, { numeric: 'always' })).format(value, unit);
  },

  /** How long ago a moment was, or how far it is ahead. */
  ago(time) {
    const moment = Date.parse(time);
    if (!Number.isFinite(moment)) return '–';
    const seconds = Math.round((moment - this.now()) / 1000);
    const size = Math.abs(seconds);
    if (size < 60) return this.relative(Math.min(0, seconds) || -0, 'second');
    if (size < 3600) return this.relative(Math.trunc(seconds / 60), 'minute');
    if (size < 48 * 3600) return this.relative(Math.trunc(seconds / 3600), 'hour');
    return this.relative(Math.trunc(seconds / 86400), 'day');
  },

  unit(value, unit, digits = 0) {
    const options = { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: digits };
    return this.format('u', unit + digits, () => new Intl.NumberFormat(this.code, options)).format(value);
  },

  /** A length of time in words, in its two largest units. */
  duration(seconds) {
    const parts = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
    const said = [];
    let rest = Math.round(Math.abs(seconds));
    for (const [unit, length] of parts) {
      const count = Math.floor(rest / length);
      if (count > 0 && said.length < 2) said.push(this.unit(count, unit));
      else if (said.length > 0) break;
      rest -= count * length;
    }
    return said.join(' ') || this.unit(0, 'second');
  },

  bytes(count) {
    if (!Number.isFinite(count)) return '–';
    if (count < 1000) return `${this.number(count)}\u00a0B`;
    if (count < 1e6) return `${this.number(count / 1e3, 1)}\u00a0kB`;
    return `${this.number(count / 1e6, 1)}\u00a0MB`;
  },
};

i18n.use(i18n.code);
