// What a node's state means, and what its values are measured in.

import { svg } from './dom.js';

export const LEVELS = ['critical', 'error', 'warning', 'info'];

const CHECKS = [
  'silent', 'controllerSilent', 'storageTooSmall', 'overheating', 'batteryLow',
  'sensorMissing', 'tooCold', 'fullyCharged', 'charging', 'discharging',
];

/** Fields in the order in which people are told of them: unit, digits. */
export const FIELDS = {
  batteryVoltage: ['V', 2],
  batteryChargeEstimate: ['%', 0],
  batteryHealthEstimate: ['%', 0],
  batteryTemperature: ['°C', 1],
  openCircuitVoltage: ['V', 2],
  mppVoltage: ['V', 2],
  lowVoltageDisconnectVoltage: ['V', 2],
  temperatureCorrectedVoltage: ['V', 2],
  rateBatteryCapacity: ['Ah', 1],
  ratedSolarModuleCapacity: ['W', 0],
  timeToShutdown: ['min', 0],
};

export const BITS = ['800', '400', '200', '100', '080', '040', '020', '010', '008', '004', '002', '001'];

/** A node's level; what is not known as one counts as an error of ours. */
export function levelOf(node) {
  const level = node.state.level;
  return LEVELS.includes(level) ? level : 'error';
}

/** What is wrong, the worst first; what a node is doing if nothing is. */
export function words(node, texts) {
  const checks = Array.isArray(node.checks) ? node.checks : [];
  const troubles = checks.filter((check) => check.level !== 'info');
  const said = (troubles.length > 0 ? troubles : checks.slice(0, 1)).map((check) => texts.check[check.check] ?? String(check.check));
  return said.length > 0 ? said.join(' · ') : texts.noCheck;
}

/** Sorts the worst first, then by name. */
export function byUrgency(a, b) {
  return rank(a) - rank(b) || String(a.name).localeCompare(String(b.name));
}

function rank(node) {
  const level = LEVELS.indexOf(node?.state?.level);
  const check = CHECKS.indexOf(node?.state?.check);
  return (level < 0 ? 1 : level) * 100 + (check < 0 ? 99 : check);
}

/** A measured value, or `null`; without a sensor there is no temperature. */
export function measured(node, field) {
  if (field === 'batteryTemperature' && node.checks.some(({ check }) => check === 'sensorMissing')) return null;
  const value = node.measured?.[field];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

const SHAPES = {
  critical: ['M8 .8 15.200 8 8 15.200 .8 8z', 'M8 4.300v4.200M8 10.900v.1'],
  error: ['M8 1.200 15.300 14.300H.7z', 'M8 5.800v3.800M8 11.900v.1'],
  warning: ['M2.500 1.800h11a.7.7 0 0 1 .7.7v11a.7.7 0 0 1-.7.7h-11a.7.7 0 0 1-.7-.7v-11a.7.7 0 0 1 .7-.7z', 'M8 4.400v4.200M8 11v.1'],
  info: ['M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1z', 'M4.900 8.300 7 10.400l4.100-4.500'],
};

/** A sign of its own shape for each level, 16 by 16. */
export function sign(level) {
  const [outline, mark] = SHAPES[level] ?? SHAPES.error;
  return svg('svg', { class: `sign ${level}`, viewBox: '0 0 16 16', 'aria-hidden': 'true', focusable: 'false' },
    svg('path', { class: 'sign-body', d: outline }), svg('path', { class: 'sign-mark', d: mark }));
}

/** The same as a group to be put into a drawing, its middle at 0, 0. */
export function marker(level) {
  const [outline, mark] = SHAPES[level] ?? SHAPES.error;
  return svg('g', { class: `sign ${level}`, transform: 'translate(-8 -8)' },
    svg('path', { class: 'sign-body', d: outline }), svg('path', { class: 'sign-mark', d: mark }));
}

export function nodeLink(id) {
  return `#/node/${encodeURIComponent(id)}`;
}
