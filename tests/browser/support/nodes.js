// Nodes: a web server with a log at each path, as routers serve it.

import http from 'node:http';

/** One line of a node's log; `age` in seconds. */
export function line(name, { age = 0, status = '900', ...other } = {}) {
  const of = {
    firmware: 'ATmega8_A_1', shutdown: 9940, powerSave: 0, openCircuit: 21.03, mpp: 16.84, battery: 12.6, charge: 83, health: 97,
    temperature: 17, disconnect: 11.7, chargeEnd: 14.2, capacity: 7, module: 20, latitude: 52.507309, longitude: 13.458635, ...other,
  };
  const time = Math.floor(Date.now() / 1000) - age;
  return [
    name, 1, time, of.firmware, of.shutdown, of.powerSave, of.openCircuit, of.mpp, of.battery, of.charge, of.health, of.temperature,
    of.disconnect, of.chargeEnd, of.capacity, of.module, of.latitude, of.longitude, status,
  ].join(';');
}

/** A node's last hours, a line each ten minutes: a sunny day. */
export function day(name, { hours = 26, ...other } = {}) {
  const lines = [];
  for (let age = hours * 3600; age > 60; age -= 600) {
    const sun = Math.max(0, Math.sin(((hours * 3600 - age) / 86_400) * 2 * Math.PI));
    lines.push(line(name, { age, battery: (12.5 + 1.4 * sun).toFixed(3), openCircuit: (21 * Math.sqrt(sun)).toFixed(2), mpp: (16.8 * Math.sqrt(sun)).toFixed(2), temperature: Math.round(12 + 9 * sun), charge: Math.round(70 + 25 * sun), ...other }));
  }
  return [...lines, line(name, other)];
}

/** Serves logs until the test is over. `scope`: its context, or `{ after }`. */
export async function nodes(scope) {
  const logs = new Map();
  const server = http.createServer((request, response) => {
    const lines = logs.get(new URL(request.url, 'http://node').pathname);
    response.writeHead(lines ? 200 : 404, { 'content-type': 'text/plain' });
    response.end(lines ? `${lines.join('\n')}\n` : 'no such file');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  scope.after(() => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  }));
  const base = `http://127.0.0.1:${server.address().port}`;
  let last = 0;
  return {
    /** A log with these lines; its address, and how to add a line. */
    add(...lines) {
      const path = `/${last += 1}/ISEMS/ffopenmppt.log`;
      logs.set(path, lines.flat());
      return { address: base + path, append: (more) => logs.get(path).push(more) };
    },
    /** An address where nothing is. */
    missing: () => `${base}/nothing/ISEMS/ffopenmppt.log`,
  };
}
