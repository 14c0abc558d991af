/** Shows who watches the stream, and how they fare: reads it every two seconds while somebody looks at it. */

import { getExperience } from "../api/adaptation.js";
import { getGathering, getStreamStats } from "../api/distribution.js";
import { Fault } from "../api/fault.js";
import { Loop } from "../page/loop.js";
import { say, sayOrHide, stamp } from "../page/template.js";
import { describeViewer, inOrder, share, stateOf, totalsOf } from "../words/audience.js";
import { bitrate } from "../words/units.js";
import { rateLabel } from "./plot.js";
import { Roll } from "./roll.js";
import { Trend } from "./trend.js";

const PAUSE_MS = 2_000;
const MOST_ROWS = 20;
/** Before that, nothing is measured of a viewer. */
const LEAST_DURATION_S = 4;
/** Each viewer's own figures are another question: a few of them at a time. */
const ASKED_AT_ONCE = 6;

const TRENDS = [
  { name: "Average rate", valueOf: (qoe) => qoe.average_bitrate_kbps * 1_000, format: (bps) => bitrate(bps).join(" "), label: rateLabel, least: 1e6 },
  { name: "Time stalled", valueOf: (qoe) => qoe.rebuffer_ratio, format: share, least: 0.05 },
  { name: "Switches", valueOf: (qoe) => qoe.switches_count, format: String, least: 5 },
  { name: "Score", valueOf: (qoe) => qoe.score, format: (score) => String(Number(score.toFixed(2))), least: 1 },
];

/** @returns {any} */
const at = (id) => document.getElementById(id);

export class Audience {
  #streamId;
  #known;
  #roll = new Roll();
  #trends = TRENDS.map((trend) => ({ ...trend, chart: new Trend(trend.name, trend) }));
  #loop = new Loop(() => this.#follow());
  #isSeen = false;
  /** @type {Map<string, {experience: import("../api/adaptation.js").Experience|null, read_ms: number}>} */
  #experiences = new Map();

  /**
   * @param {string} streamId
   * @param {() => {ownId: string, variants: import("../api/streams.js").Variant[]}} known What the page knows besides.
   */
  constructor(streamId, known) {
    this.#streamId = streamId;
    this.#known = known;
    at("trends").replaceChildren(...this.#trends.map(({ chart }) => chart.node));
    new IntersectionObserver((entries) => this.#look(entries.at(-1).isIntersecting)).observe(at("viewers"));
  }

  #look(isSeen) {
    this.#isSeen = isSeen;
    if (isSeen) this.#loop.wake();
  }

  async #follow() {
    if (!this.#isSeen) return Infinity;
    try {
      await this.#read();
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      say(at("audience-state"), `Who watches cannot be read. ${fault.message}`);
    }
    return PAUSE_MS;
  }

  async #read() {
    const [gathering, stats] = await Promise.all([getGathering(this.#streamId), getStreamStats(this.#streamId)]);
    const shown = inOrder(gathering.viewers, this.#known().ownId).slice(0, MOST_ROWS);
    const isWatched = gathering.total_bytes_served !== "0"; // else there is nothing to have been felt
    const [experience] = await Promise.all([isWatched ? orNull(getExperience(this.#streamId)) : null, this.#readExperiences(shown)]);
    say(at("audience-state"), stateOf(gathering.active_viewers));
    this.#showTotals(totalsOf(gathering, stats));
    this.#showViewers(shown, gathering.active_viewers);
    this.#showTrends(experience?.viewers_count ? experience.qoe : null);
  }

  async #readExperiences(viewers) {
    const ids = new Set(viewers.filter(isMeasured).map(({ session_id }) => session_id));
    for (const id of this.#experiences.keys()) if (!ids.has(id)) this.#experiences.delete(id);
    const age = (id) => this.#experiences.get(id)?.read_ms ?? 0;
    const due = [...ids].toSorted((one, other) => age(one) - age(other)).slice(0, ASKED_AT_ONCE);
    await Promise.all(due.map((id) => this.#readExperience(id)));
  }

  async #readExperience(id) {
    const experience = await orNull(getExperience(this.#streamId, id));
    this.#experiences.set(id, { experience, read_ms: performance.now() });
  }

  #showTotals(totals) {
    const list = at("totals");
    list.hidden = false;
    totals.forEach(([name, figure], place) => {
      const item = list.children[place] ?? list.appendChild(stamp("total").node);
      say(item.firstElementChild, name);
      say(item.lastElementChild, figure);
    });
  }

  #showViewers(viewers, count) {
    const { ownId, variants } = this.#known();
    const experienceOf = ({ session_id }) => this.#experiences.get(session_id)?.experience ?? null;
    this.#roll.show(viewers.map((viewer) => describeViewer(viewer, { experience: experienceOf(viewer), ownId, variants })));
    at("viewers-table").hidden = !viewers.length;
    sayOrHide(at("viewers-rest"), count > viewers.length ? `${count - viewers.length} more are not listed.` : "");
  }

  #showTrends(qoe) {
    const time_ms = performance.now();
    for (const { chart, valueOf } of this.#trends) chart.push({ time_ms, value: qoe && valueOf(qoe) });
    at("trends").hidden &&= !qoe;
  }
}

/** @param {import("../api/distribution.js").Viewer} viewer */
function isMeasured({ connection_quality, bytes_received, duration }) {
  return Boolean(connection_quality) && bytes_received !== "0" && duration > LEAST_DURATION_S;
}

/** Adaptation may be away, or not have heard of a viewer: who watches is told all the same. */
async function orNull(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Fault) return null;
    throw error;
  }
}
