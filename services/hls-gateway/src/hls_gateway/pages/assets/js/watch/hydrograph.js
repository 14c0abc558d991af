/** The chart of the last minutes: an SVG, so that it is crisp on every display and follows the theme by itself. */

import { bitrate, span } from "../words/units.js";
import { WINDOW_MS, frameOf, plot } from "./plot.js";
import { set, shape, text } from "./shapes.js";

const LINES = [
  ["throughputArea", "throughput-area"],
  ["bufferArea", "buffer-area"],
  ["throughput", "line throughput"],
  ["rendition", "line rendition"],
  ["buffer", "line buffer"],
];

export class Hydrograph {
  #svg;
  #caption;
  #window_ms = WINDOW_MS;
  #scale = shape("g", {});
  #paths = new Map();
  #cursor = shape("line", { class: "cursor", visibility: "hidden" });
  /** @type {import("./plot.js").Sample[]} */
  #samples = [];
  #frame = frameOf({ width: 0, height: 0 });

  /**
   * @param {SVGSVGElement} svg
   * @param {HTMLElement} caption Says what stood at the time under the pointer.
   */
  constructor(svg, caption) {
    this.#svg = svg;
    this.#caption = caption;
    for (const [name, classes] of LINES) this.#paths.set(name, shape("path", { class: classes }));
    svg.replaceChildren(this.#scale, ...this.#paths.values(), this.#cursor);
    svg.addEventListener("pointermove", (event) => this.#point(event));
    svg.addEventListener("pointerleave", () => this.#unpoint());
    new ResizeObserver(() => this.#fit()).observe(svg);
  }

  /** @param {import("./plot.js").Sample} sample The newest. */
  push(sample) {
    this.#samples.push(sample);
    const oldest_ms = sample.time_ms - WINDOW_MS;
    while (this.#samples[0].time_ms < oldest_ms) this.#samples.shift();
    this.#draw();
  }

  #fit() {
    const { width, height } = this.#svg.getBoundingClientRect();
    this.#frame = frameOf({ width, height });
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#draw();
  }

  #draw() {
    const { left, right } = this.#frame;
    if (right <= left) return; // not laid out yet
    const drawn = plot(this.#samples, this.#now_ms, this.#frame);
    this.#window_ms = drawn.window_ms;
    for (const [name, path] of this.#paths) path.setAttribute("d", drawn[name]);
    this.#drawScale(drawn);
  }

  get #now_ms() {
    return this.#samples.at(-1)?.time_ms ?? 0;
  }

  #drawScale({ flowTicks, levelTicks }) {
    const { left, right, flow, level, height } = this.#frame;
    const ticks = [...flowTicks, ...levelTicks].flatMap(({ y, label }) => [
      shape("line", { class: y === flow.bottom || y === level.bottom ? "base" : "tick", x1: left, x2: right, y1: y, y2: y }),
      text(label, { x: left - 8, y: y + 4, "text-anchor": "end" }),
    ]);
    this.#scale.replaceChildren(
      text("bits per second", { x: left, y: flow.top - 10 }),
      text("seconds buffered", { x: left, y: level.top - 10 }),
      ...ticks,
      text(`${span(this.#window_ms / 1_000)} ago`, { x: left, y: height - 3 }),
      text("now", { x: right, y: height - 3, "text-anchor": "end" }),
    );
  }

  #point(event) {
    const { left, right, flow, level } = this.#frame;
    const x = event.clientX - this.#svg.getBoundingClientRect().left;
    const time_ms = this.#now_ms - ((right - x) / (right - left)) * this.#window_ms;
    const sample = this.#samples.findLast((candidate) => candidate.time_ms <= time_ms);
    if (!sample) return this.#unpoint();
    set(this.#cursor, { x1: x, x2: x, y1: flow.top, y2: level.bottom, visibility: "visible" });
    this.#caption.textContent = this.#describe(sample);
  }

  #unpoint() {
    this.#cursor.setAttribute("visibility", "hidden");
    this.#caption.textContent = "";
  }

  #describe({ time_ms, throughput_bps, rendition_bps, buffer_s }) {
    const rate = (bps) => (bps === null ? "–" : bitrate(bps).join(" "));
    const age_s = Math.round((this.#now_ms - time_ms) / 1_000);
    return `${age_s} s ago: rendition ${rate(rendition_bps)}, throughput ${rate(throughput_bps)}, buffer ${buffer_s.toFixed(1)} s`;
  }
}
