/** Writes the figures beside the picture, twice a second. */

import { say } from "../page/template.js";
import { latencyFigure, latencyOf } from "../words/live.js";
import { renditionName } from "../words/rendition.js";
import { bitrate } from "../words/units.js";

const NOTHING = ["–", ""];

export class Measures {
  #figures = ["rendition", "throughput", "buffer"].map((id) => document.getElementById(id));
  #latency = document.getElementById("latency");
  #tally = document.getElementById("tally");
  #switches = -1; // the first rendition is no switch
  #stalls = 0;

  /** @param {{rendition: object|null, throughput_bps: number|null, buffer_s: number}} measured */
  show({ rendition, throughput_bps, buffer_s }) {
    const figures = [
      rendition ? [renditionName(rendition), rendition.bitrate_bps ? bitrate(rendition.bitrate_bps).join(" ") : ""] : NOTHING,
      throughput_bps === null ? NOTHING : bitrate(throughput_bps),
      [buffer_s.toFixed(1), "s"],
    ];
    figures.forEach(([figure, unit], at) => write(this.#figures[at], figure, unit));
  }

  /** @param {import("../words/live.js").Live|null} live Null: it is not live, and has no latency. */
  showLatency(live) {
    document.getElementById("latency-figure").hidden = !live;
    if (!live) return;
    const [figure, unit] = latencyFigure(latencyOf(live, Date.now()));
    write(this.#latency, figure, unit);
  }

  countSwitch() {
    this.#switches += 1;
  }

  countStall() {
    this.#stalls += 1;
  }

  /** @param {HTMLVideoElement} video */
  showTally(video) {
    const { droppedVideoFrames: dropped = 0, totalVideoFrames: total = 0 } = video.getVideoPlaybackQuality?.() ?? {};
    const parts = [counted(this.#stalls, "stall").replace("no", "No"), counted(Math.max(0, this.#switches), "switch", "switches")];
    if (total) parts.push(`${dropped} of ${total} frames dropped`);
    say(this.#tally, `${parts.join(", ")}.`);
  }
}

function write(element, figure, unit) {
  if (!element.firstElementChild) element.replaceChildren("", document.createElement("small"));
  const spaced = unit ? `${figure} ` : figure;
  if (element.firstChild.data !== spaced) element.firstChild.data = spaced;
  say(element.lastElementChild, unit);
}

function counted(count, one, many = `${one}s`) {
  return `${count || "no"} ${count === 1 ? one : many}`;
}
