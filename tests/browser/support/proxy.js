// A proxy before the collector that sees who follows its events, and can let
// their connections die without a word.

import http from 'node:http';

const EVENTS = '/api/v1/events';

export async function proxy(base) {
  const { hostname, port } = new URL(base);
  const following = new Set();
  let asked = 0;
  const server = http.createServer((request, response) => {
    const follows = request.url === EVENTS;
    if (follows) asked += 1;
    const onward = http.request({ hostname, port, path: request.url, method: request.method, headers: request.headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      if (follows) following.add(response);
      answer.on('data', (piece) => {
        if (!response.silent) response.write(piece);
      });
      answer.on('end', () => {
        if (!response.silent) response.end();
      });
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => {
      following.delete(response);
      onward.destroy();
    });
    onward.end();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    /** How often events were asked for. */
    asked: () => asked,
    /** How many connections follow them now. */
    following: () => following.size,
    /** What is followed now stays open, but nothing comes any more. */
    silence() {
      for (const response of following) response.silent = true;
    },
    /** A sign of life, as the collector gives it. */
    beat() {
      for (const response of following) response.write(':\n\n');
    },
    stop: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}
