// Makes the calls that isems-app makes and does to each node what it does.
// Where isems-app throws, so does this: one throw there blanks the page for
// every node. What came of it is in the title, and as JSON in #report.
"use strict";

/** The numbers of a measurement; a null is shown as nothing. */
const NUMBERS = [
  "batteryHealthEstimate", "batteryTemperature", "batteryVoltage", "lowVoltageDisconnectVoltage",
  "mppVoltage", "openCircuitVoltage", "rateBatteryCapacity", "ratedSolarModuleCapacity",
  "temperatureCorrectedVoltage", "timeToShutdown",
];
/** The numbers with which isems-app calculates: null is of no use to it. */
const FIGURES = ["batteryChargeEstimate", "latitude", "longitude"];
const TEXTS = ["nodeId", "name", "isemsRevision", "openMPPTFirmwareVersion", "clock"];
const CHARTS = [
  "batteryVoltage", "batteryChargeEstimate", "mppVoltage", "batteryTemperature",
  "openCircuitVoltage",
];
/** The bits of `status`, most significant first. */
const LEVELS = [
  "info", "info", "info", "info", "warning", "error", "warning", "critical", "error", "warning",
  "info", "info",
];
const WORST_FIRST = ["critical", "error", "warning", "info"];

function need(condition, what) {
  if (!condition) throw new Error(what);
}

/** What must hold of each measurement lest something below fails one day. */
function inspect(row) {
  const where = JSON.stringify(row);
  for (const key of NUMBERS) {
    need(row[key] === null || Number.isFinite(row[key]), `${key}: ${where}`);
  }
  for (const key of FIGURES) need(Number.isFinite(row[key]), `${key}: ${where}`);
  for (const key of TEXTS) need(typeof row[key] === "string", `${key}: ${where}`);
  need(Number.isSafeInteger(row.id), `id: ${where}`);
  need(typeof row.isPowerSaveMode === "boolean", `isPowerSaveMode: ${where}`);
  need(/^0x[0-9a-f]{3}$/.test(row.status), `status: ${where}`);
  need(row.name === row.nodeId, `name: ${where}`);
  need("receivedAt" in row, `receivedAt: ${where}`);
  for (const key of NUMBERS.filter((key) => row[key] === null)) {
    need(row.missing.includes(key), `missing lacks ${key}: ${where}`);
  }
}

function time(timestamp) {
  need(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/.test(timestamp), `time ${timestamp}`);
  const date = new Date(timestamp);
  date.toISOString(); // Throws if it is none.
  return date;
}

/** Levels and texts of the status checks, as on the list and the details. */
function checks(row) {
  const bits = parseInt(row.status, 16).toString(2).padStart(12, "0").split("");
  const found = LEVELS.filter((_, at) => bits[at] === "1");
  const days = (Date.now() - time(row.timestamp)) / 86_400_000;
  if (days > 1) found.push("critical");
  const charge = row.batteryChargeEstimate.toFixed(0);
  return { found, text: `${charge} %, ${row.batteryTemperature} °C, ${days.toFixed(0)} days ago` };
}

function worst(row) {
  return WORST_FIRST.findIndex((level) => level === "info" || checks(row).found.includes(level));
}

/** Where a node's details are within the app. */
function link(id) {
  const place = `/details/${id}`;
  decodeURI(place); // The app's router does, for every link of the list.
  return place;
}

function element(kind, text, parent) {
  const made = document.createElement(kind);
  made.textContent = text;
  parent.append(made);
  return made;
}

function showList(nodes, parent) {
  if (!nodes.length) return;
  const list = element("ul", "", parent);
  for (const row of [...nodes].sort((one, other) => worst(one) - worst(other))) {
    const item = element("li", checks(row).text, list);
    element("a", row.nodeId, item).setAttribute("href", link(row.nodeId));
  }
}

/** As the map library does: its coordinates must be numbers. */
function position(latitude, longitude) {
  const numbers = [latitude, longitude].map(Number);
  need(!numbers.some(Number.isNaN), `no position: ${latitude}, ${longitude}`);
  need(Math.abs(numbers[0]) <= 90 && Math.abs(numbers[1]) <= 180, `no place: ${numbers}`);
  return numbers;
}

function showMap(nodes, parent) {
  if (!nodes.length) return;
  const centre = position(nodes[0].latitude, nodes[0].longitude);
  const map = element("p", `${centre[0].toFixed(5)} ${centre[1].toFixed(5)}`, parent);
  for (const row of nodes.filter((node) => node.latitude && node.longitude)) {
    position(row.latitude, row.longitude);
    const popup = element("b", row.name, map);
    popup.title = `${time(row.timestamp).toLocaleString()} ${row.batteryChargeEstimate}`;
  }
}

/** Without a measurement there is nothing to show. */
function showDetails(rows, parent) {
  if (!rows.length) return;
  element("p", `${rows[0].nodeId}: ${checks(rows[0]).text}`, parent);
  for (const property of CHARTS) {
    const points = rows.map((row) => [time(row.timestamp).getTime(), row[property]]);
    const values = points.map((point) => point[1]).filter((value) => value !== null);
    need(!values.some((value) => !Number.isFinite(value)), `${property} has no axis`);
    element("p", `${property}: ${points.length} points, ${Math.max(...values)}`, parent);
  }
}

function compareCodePoints(one, other) {
  const [a, b] = [Array.from(one), Array.from(other)].map((text) => text.map((c) => c.codePointAt(0)));
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    if (a[at] !== b[at]) return a[at] - b[at];
  }
  return a.length - b.length;
}

async function fetchNodes(api, query) {
  const response = await fetch(`${api}/measurements/latest${query}`);
  const nodes = (await response.json()).measurements;
  nodes.forEach(inspect);
  for (const key of ["nodeId", "id"]) {
    need(new Set(nodes.map((node) => node[key])).size === nodes.length, `a ${key} comes twice`);
  }
  nodes.slice(1).forEach((node, at) => {
    need(compareCodePoints(nodes[at].nodeId, node.nodeId) < 0, `unsorted: ${node.nodeId}`);
  });
  return nodes;
}

/** The list, the map. */
async function overview(api, query) {
  const nodes = await fetchNodes(api, query);
  const parent = document.getElementById("app");
  parent.textContent = "";
  showList(nodes, parent);
  showMap(nodes, parent);
  need(parent.textContent.length > 0 === nodes.length > 0, "nodes are shown");
  return nodes;
}

/** The details of a node, with its id as it is, and what they turn out to be. */
async function details(api, id) {
  let answer;
  try {
    const response = await fetch(`${api}/measurements/${id}/latest`);
    answer = await response.json();
  } catch {
    // A plain error, perhaps not for pages of other origins: isems-app goes on
    // showing what it shows.
    return { shows: "nothing", rows: 0 };
  }
  const rows = answer.measurements;
  const parent = document.getElementById("app");
  parent.textContent = "";
  rows.forEach(inspect);
  showDetails(rows, parent);
  if (!rows.length) return { shows: "an empty list", rows: 0 };
  if (rows.some((row) => row.nodeId !== id)) return { shows: "another", rows: rows.length };
  rows.slice(1).forEach((row, at) => {
    need(time(rows[at].timestamp) >= time(row.timestamp), `${id}: newest first`);
  });
  return { shows: "itself", rows: rows.length };
}

/** A click on the node in the list, then a reload. */
async function visit(api, id) {
  const shown = await details(api, id);
  const address = new URL(link(id), location.origin);
  const routed = decodeURIComponent(address.pathname.split("/")[2] ?? "");
  if (routed !== id) await details(api, routed);
  if (api.startsWith("/")) {
    const reloaded = await fetch(address, { headers: { Accept: "text/html,*/*;q=0.8" } });
    const page = await reloaded.text();
    need(reloaded.ok && page.includes('id="app"'), `no page at ${address}: ${reloaded.status}`);
  }
  return { id, ...shown };
}

async function use(api) {
  const active = await overview(api, "");
  const nodes = await overview(api, "?all=true");
  const again = await overview(api, "?all=true");
  need(JSON.stringify(nodes) === JSON.stringify(again), "the same after a reload");
  const visited = [];
  for (const node of nodes) visited.push(await visit(api, node.nodeId));
  return { active: active.map((node) => node.nodeId), nodes: visited };
}

function report(verdict, detail) {
  const escaped = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const json = JSON.stringify({ verdict, ...detail }).replace(/[^\x20-\x7e]|[<>&]/g, escaped);
  document.getElementById("app").textContent = "";
  document.getElementById("report").textContent = json;
  document.title = verdict;
}

async function main() {
  let alerts = 0;
  window.alert = () => { alerts += 1; };
  const apis = new URLSearchParams(location.search).getAll("api");
  const used = [];
  for (const api of apis.length ? apis : ["/api"]) used.push(await use(api));
  need(alerts === 0, "the name of a node was run as a script");
  const count = used.reduce((sum, api) => sum + api.nodes.length, 0);
  report(`PASS ${count} nodes`, { apis: used });
}

main().catch((error) => report("FAIL", { error: `${error}\n${error.stack}` }));
