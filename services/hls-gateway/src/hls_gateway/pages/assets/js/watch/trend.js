/** A small chart of one figure over the last minutes, with its newest value above it. */

import { say, stamp } from "../page/template.js";
import { span } from "../words/units.js";
import { WINDOW_MS, area, line, runs, windowOf } from "./plot.js";
import { shape, text } from "./shapes.js";

/** @typedef {{time_ms: number, value: number|null}} Point */

const MARGIN = { left: 40, top: 8, bottom: 18 };
const STEPS = [1, 2, 5, 10];

export class Trend {
  node;
  #slots;
  #format;
  #label;
  #least;
  #scale = shape("g", {});
  #area = shape("path", { class: "throughput-area" });
  #line = shape("path", { class: "line throughput" });
  /** @type {Point[]} */
  #points = [];

  /**
   * @param {string} name
   * @param {{format: (value: number) => string, label?: (value: number) => string, least: number}} scale `label`: a value
   *   beside the chart, where there is little room; `least`: the chart reaches at least so high.
   */
  constructor(name, { format, label = format, least }) {
    ({ node: this.node, slots: this.#slots } = stamp("trend"));
    this.#format = format;
    this.#label = label;
    this.#least = least;
    say(this.#slots.name, name);
    this.#slots.chart.setAttribute("aria-label", `${name} over the last minutes`);
    this.#slots.chart.replaceChildren(this.#scale, this.#area, this.#line);
    new ResizeObserver(() => this.#draw()).observe(this.#slots.chart);
  }

  /** @param {Point} point The newest; without a value there is a gap. */
  push(point) {
    this.#points.push(point);
    while (this.#points[0].time_ms < point.time_ms - WINDOW_MS) this.#points.shift();
    say(this.#slots.figure, point.value === null ? "–" : this.#format(point.value));
    this.#draw();
  }

  #draw() {
    const { width, height } = this.#slots.chart.getBoundingClientRect();
    const now_ms = this.#points.at(-1)?.time_ms;
    if (width <= MARGIN.left || now_ms === undefined) return;
    this.#slots.chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const window_ms = windowOf(this.#points, now_ms);
    const { low, high } = rangeOf(this.#points, this.#least);
    const x = ({ time_ms }) => width - ((now_ms - time_ms) / window_ms) * (width - MARGIN.left);
    const bottom = height - MARGIN.bottom;
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - MARGIN.top);
    const drawn = runs(this.#points, ({ value }) => value, x, y);
    this.#line.setAttribute("d", drawn.map(line).join(""));
    this.#area.setAttribute("d", drawn.map((run) => area(run, y(0))).join(""));
    this.#drawScale({ low, high, y, width, height, window_ms });
  }

  #drawScale({ low, high, y, width, height, window_ms }) {
    const ticks = [...new Set([low, 0, high])].flatMap((value) => [
      shape("line", { class: value ? "tick" : "base", x1: MARGIN.left, x2: width, y1: y(value), y2: y(value) }),
      text(this.#label(value), { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }),
    ]);
    const ago = text(`${span(window_ms / 1_000)} ago`, { x: MARGIN.left, y: height - 3 });
    this.#scale.replaceChildren(...ticks, ago, text("now", { x: width, y: height - 3, "text-anchor": "end" }));
  }
}

function rangeOf(points, least) {
  const values = points.map(({ value }) => value ?? 0);
  const low = Math.min(0, ...values);
  return { low: low && -ceiling(-low), high: ceiling(Math.max(least, ...values)) };
}

/** The next of 1, 2, 5, 10, 20 ... */
function ceiling(value) {
  const decade = 10 ** Math.floor(Math.log10(value));
  return decade * STEPS.find((step) => step * decade >= value * 0.999);
}
