// What the collector knows, kept up to date.

import { i18n } from './i18n.js';
import { Stream } from './stream.js';

const AT = location.pathname.endsWith('/dashboard/') ? '../api/v1/' : 'api/v1/';

/** Looks at everything anew so often, also while nobody looks at the page. */
const REFRESH = 10 * 60_000;
/** While events cannot be followed, the list is fetched so often. */
const POLL = 15_000;
/** So long the list waits for the connection to the events. */
const OPENING = 3_000;
/** A connection that breaks for less is not worth a word. */
const PATIENCE = 4_000;

export function address(path, parameters) {
  const query = new URLSearchParams(parameters ?? {}).toString();
  return AT + path + (query ? `?${query}` : '');
}

export function nodePath(id, rest = '') {
  // Browsers resolve these two away, also when escaped once.
  const name = id === '.' || id === '..' ? id.replaceAll('.', '%252E') : encodeURIComponent(id);
  return `nodes/${name}${rest}`;
}

/** JSON of API v1; an error that says in words what went wrong. */
export async function fetchJson(path, parameters, signal) {
  const response = await fetch(address(path, parameters), { signal, headers: { accept: 'application/json' }, cache: 'no-cache' });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  const error = new Error(problem.detail ?? problem.title ?? `HTTP ${response.status}`);
  error.status = response.status;
  throw error;
}

/** Everything that a list holds under `key`, page by page. */
export async function fetchList(path, key) {
  const all = [];
  let after = null;
  do {
    const page = await fetchJson(path, after === null ? {} : { after });
    all.push(...page[key]);
    after = page.next ?? null;
  } while (after !== null);
  return all;
}

class Store extends EventTarget {
  nodes = new Map();
  /** `loading`, `ready` or `failed`. */
  phase = 'loading';
  error = '';
  days = 30;
  /** Since when there is no connection, in milliseconds; `null` while there is. */
  lostSince = null;

  #stream = null;
  #loading = null;
  #lateWord = null;
  #polling = null;
  #opening = null;
  /** What came as an event since the last load began; `null`: it is gone. */
  #taken = new Map();

  /** Fetches all nodes; does nothing while that is under way. */
  load() {
    clearTimeout(this.#opening);
    this.#loading ??= this.#fetchAll().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #fetchAll() {
    this.#taken.clear();
    try {
      const found = new Map();
      let after = null;
      do {
        const page = await fetchJson('nodes', after === null ? {} : { after });
        i18n.setTime(page.timeZone, page.now);
        if (Number.isFinite(page.hideInactiveAfterDays)) this.days = page.hideInactiveAfterDays;
        for (const node of page.nodes) if (typeof node?.id === 'string') found.set(node.id, node);
        after = page.next ?? null;
      } while (after !== null);
      // What came as an event meanwhile is at least as new.
      for (const [id, node] of this.#taken) {
        if (node) found.set(id, node);
        else found.delete(id);
      }
      this.nodes = found;
      this.phase = 'ready';
      this.#connected();
      this.#tell('nodes');
    } catch (error) {
      this.error = error.message;
      if (this.phase === 'ready') {
        this.#lost();
      } else {
        this.phase = 'failed';
        this.#tell('nodes');
      }
    }
  }

  /** Follows what happens and loads everything. */
  start() {
    this.#follow();
    setInterval(() => this.load(), REFRESH);
    // Over another network, the old connection is dead.
    addEventListener('online', () => this.#follow());
    document.addEventListener('visibilitychange', () => this.#follow());
  }

  retry() {
    this.phase = 'loading';
    this.#tell('nodes');
    this.#again();
  }

  #again() {
    if (this.#stream?.isOpen) this.load();
    else this.#follow();
  }

  /**
   * Follows anew; while nobody looks, not at all. Browsers have six connections
   * to a collector: hidden tabs would take them from the one that is seen.
   */
  #follow() {
    this.#stream?.close();
    this.#stream = null;
    clearTimeout(this.#opening);
    if (document.hidden) {
      clearInterval(this.#polling);
      this.#polling = null;
      if (this.phase === 'loading') this.load();
      return;
    }
    const stream = new Stream(address('events'));
    this.#stream = stream;
    this.#opening = setTimeout(() => this.load(), OPENING);
    stream.addEventListener('open', () => {
      clearInterval(this.#polling);
      this.#polling = null;
      // From here on events tell what happens. What happened before, removals
      // above all, only a list tells that is read from now on.
      if (this.#loading) this.#loading.then(() => this.load());
      else this.load();
      this.#connected();
    });
    stream.addEventListener('node', (event) => this.#take(event.data, (node) => {
      this.#taken.set(node.id, node);
      this.nodes.set(node.id, node);
      this.dispatchEvent(new CustomEvent('node', { detail: node }));
    }));
    stream.addEventListener('gone', (event) => this.#take(event.data, ({ id }) => {
      this.#taken.set(id, null);
      if (this.nodes.delete(id)) this.#tell('nodes');
    }));
    stream.addEventListener('lost', () => this.#lost());
    stream.addEventListener('refused', () => {
      // Then by asking.
      this.load();
      this.#polling ??= setInterval(() => this.#again(), POLL);
    });
  }

  #take(data, take) {
    let node;
    try {
      node = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof node?.id !== 'string') return;
    take(node);
    this.#connected();
  }

  #connected() {
    clearTimeout(this.#lateWord);
    this.#lateWord = null;
    if (this.lostSince === null) return;
    this.lostSince = null;
    this.#tell('connection');
  }

  #lost() {
    if (this.lostSince !== null || this.#lateWord !== null) return;
    const since = i18n.now();
    this.#lateWord = setTimeout(() => {
      this.#lateWord = null;
      this.lostSince = since;
      this.#tell('connection');
    }, PATIENCE);
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

export const store = new Store();
