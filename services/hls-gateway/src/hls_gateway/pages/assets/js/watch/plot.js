/**
 * Draws the hydrograph's numbers as paths: what flows in (throughput and rendition, on one logarithmic scale), and the
 * level that stands (buffer). Pure: samples in, SVG path data out.
 *
 * @typedef {object} Sample
 * @property {number} time_ms
 * @property {number|null} throughput_bps
 * @property {number|null} rendition_bps
 * @property {number} buffer_s
 *
 * @typedef {{y: number, label: string}} Tick
 */

import { bitrate } from "../words/units.js";

/** The most that is shown; a chart that has just begun shows less, in steps. */
export const WINDOW_MS = 120_000;
const WINDOW_STEP_MS = 30_000;

const GUTTER = 40;
const FLOW = { top: 20, share: 0.56 };
const GAP = 34;
const FOOT = 18;

/** @param {{width: number, height: number}} size */
export function frameOf({ width, height }) {
  const flowBottom = Math.round(FLOW.top + (height - FLOW.top - GAP - FOOT) * FLOW.share);
  return {
    left: GUTTER,
    right: width,
    flow: { top: FLOW.top, bottom: flowBottom },
    level: { top: flowBottom + GAP, bottom: height - FOOT },
    height,
  };
}

/**
 * @param {Sample[]} samples Oldest first.
 * @param {number} now_ms
 * @param {ReturnType<typeof frameOf>} frame
 */
export function plot(samples, now_ms, frame) {
  const window_ms = windowOf(samples, now_ms);
  const x = ({ time_ms }) => frame.right - ((now_ms - time_ms) / window_ms) * (frame.right - frame.left);
  const flow = flowScale(samples, frame.flow);
  const level = levelScale(samples, frame.level);
  const throughput = runs(samples, (sample) => sample.throughput_bps, x, flow.y);
  const rendition = runs(samples, (sample) => sample.rendition_bps, x, flow.y);
  const buffer = runs(samples, (sample) => sample.buffer_s, x, level.y);
  return {
    window_ms,
    throughput: throughput.map(line).join(""),
    throughputArea: throughput.map((run) => area(run, frame.flow.bottom)).join(""),
    rendition: rendition.map(steps).join(""),
    buffer: buffer.map(line).join(""),
    bufferArea: buffer.map((run) => area(run, frame.level.bottom)).join(""),
    flowTicks: flow.ticks,
    levelTicks: level.ticks,
  };
}

/** How far back a chart reaches. @param {{time_ms: number}[]} samples */
export function windowOf(samples, now_ms) {
  const age_ms = now_ms - (samples[0]?.time_ms ?? now_ms);
  return Math.min(WINDOW_MS, WINDOW_STEP_MS * Math.max(1, Math.ceil(age_ms / WINDOW_STEP_MS)));
}

/** Whole decades around all rates: a network is often a hundred times faster than what flows through it. */
function flowScale(samples, { top, bottom }) {
  const rates = samples.flatMap((sample) => [sample.throughput_bps, sample.rendition_bps]).filter((rate) => rate > 0);
  const low = Math.floor(Math.log10(Math.min(...rates, 1e6)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...rates, 1e7))));
  const y = (rate) => bottom - ((Math.log10(Math.max(rate, 10 ** low)) - low) / (high - low)) * (bottom - top);
  const every = high - low > 3 ? 2 : 1;
  const decades = Array.from({ length: high - low + 1 }, (_, at) => low + at).filter((decade) => (high - decade) % every === 0);
  return { y, ticks: decades.map((decade) => ({ y: y(10 ** decade), label: rateLabel(10 ** decade) })) };
}

function levelScale(samples, { top, bottom }) {
  const most = Math.max(10, ...samples.map((sample) => sample.buffer_s));
  const step = most > 60 ? 60 : most > 20 ? 20 : 10;
  const high = Math.ceil(most / step) * step;
  const y = (seconds) => bottom - (seconds / high) * (bottom - top);
  return { y, ticks: [0, high / 2, high].map((seconds) => ({ y: y(seconds), label: String(seconds) })) };
}

/** 2_000_000 -> "2 M". */
export function rateLabel(rate) {
  const [figure, unit] = bitrate(rate);
  return `${Number(figure)} ${unit.replace("bit/s", "")}`.trim();
}

/** The points of a line, in runs: where a value is missing, the line breaks. */
export function runs(samples, valueOf, x, y) {
  const found = [[]];
  for (const sample of samples) {
    const value = valueOf(sample);
    if (value === null) found.push([]);
    else found.at(-1).push([x(sample).toFixed(1), y(value).toFixed(1)]);
  }
  return found.filter((run) => run.length > 0);
}

/** A run as a path. */
export function line(run) {
  return `M${run.map((point) => point.join(" ")).join("L")}`;
}

function steps(run) {
  return run.map(([x, y], at) => (at ? `H${x}V${y}` : `M${x} ${y}`)).join("");
}

/** What lies below a run, as a path. */
export function area(run, bottom) {
  return `${line(run)}L${run.at(-1)[0]} ${bottom}L${run[0][0]} ${bottom}Z`;
}
