// The real program, started with settings and ended again.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from './wait.js';

const PROGRAM = process.env.ISEMS_BIN;

/**
 * Runs `isems serve` (or another command) until `stop()`, at the latest until
 * the test is over, however it ends. `scope`: its context, or `{ after }`.
 */
export async function collector(scope, { command = 'serve', nodes = [], settings = {}, folder } = {}) {
  const home = folder ?? await mkdtemp(path.join(tmpdir(), 'isems-browser-'));
  const child = spawn(PROGRAM, [command], {
    // Nothing of the caller's settings is to reach it.
    env: {
      PATH: process.env.PATH,
      TMPDIR: home,
      DATABASE_URL: `sqlite:///${path.join(home, 'isems.db')}`,
      ISEMS_LISTEN: '127.0.0.1:0',
      ISEMS_POLL_INTERVAL: '1s',
      ISEMS_COMMIT_INTERVAL: '0s',
      ...(nodes.length > 0 ? { ISEMS_ROUTER_IPS: nodes.join(',') } : {}),
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { said += text; });
  const ended = new Promise((resolve) => { child.once('exit', resolve); });
  let stopped = null;
  const stop = ({ keep = false } = {}) => {
    stopped ??= (async () => {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(late);
      if (!keep) await rm(home, { recursive: true, force: true });
    })();
    return stopped;
  };
  scope.after(() => stop());
  const found = await until('the collector listens', () => {
    if (child.exitCode !== null) throw new Error(`isems ended:\n${said}`);
    return /serving the API on (http:\/\/[\d.:]+)/.exec(said);
  });
  const base = found[1];

  return {
    base,
    folder: home,
    json: async (target) => (await fetch(base + target)).json(),
    says: (words) => until(`the collector says "${words}"`, () => said.includes(words), 60_000),
    /** Waits until so many nodes are known. */
    knows: (count) => until(`${count} nodes are known`, async () => {
      const { nodes: known } = await (await fetch(`${base}/api/v1/nodes`)).json();
      return known.length >= count;
    }, 60_000),
    /** Ends it; with `keep` its folder is left for another. */
    stop,
  };
}
