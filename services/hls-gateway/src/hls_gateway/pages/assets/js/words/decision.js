/** Says who decided on the rendition, and why. Pure. */

import { renditionName } from "./rendition.js";
import { bitrate } from "./units.js";

/**
 * @typedef {import("../api/adaptation.js").Decision} Decision
 * @typedef {{decision: Decision|null, fault: {message: string}|null}|null} News
 * @typedef {import("./rendition.js").Rendition} Rendition
 */

const OWN = "hls.js decides by itself, by the throughput that it measures and what it holds.";
const ASKING = "Weir is asked with the next segment.";
const CHOSEN = "You have chosen the rendition: nobody else decides.";

/**
 * @param {{isFollowed: boolean, isManual: boolean, news: News}} seen
 * @returns {{verdict: string, reason: string, policy: string}} Empty: there is nothing to be said.
 */
export function describeDecision({ isFollowed, isManual, news }) {
  if (isManual) return { verdict: "", reason: CHOSEN, policy: "" };
  if (!isFollowed) return { verdict: "", reason: OWN, policy: "" };
  if (!news) return { verdict: "", reason: ASKING, policy: "" };
  if (!news.decision) return { verdict: "hls.js decides for now", reason: news.fault.message, policy: "" };
  return { verdict: `Weir: ${decidedName(news.decision)}`, reason: sentence(news.decision.reason), policy: news.decision.policy };
}

/**
 * Find what was decided among what the player knows; -1: it is not there.
 * @param {Decision} decision
 * @param {Rendition[]} renditions
 */
export function placeOf({ resolution, recommended_bitrate_kbps }, renditions) {
  const isOfSize = ({ width_pixels, height_pixels }) => !resolution || `${width_pixels}x${height_pixels}` === resolution;
  const distance = ({ bitrate_bps }) => Math.abs(bitrate_bps - recommended_bitrate_kbps * 1_000);
  const [nearest] = renditions.filter(isOfSize).toSorted((one, other) => distance(one) - distance(other));
  return nearest?.index ?? -1;
}

function decidedName({ resolution, bitrate_label }) {
  const [width_pixels, height_pixels] = resolution.split("x").map(Number);
  return height_pixels ? renditionName({ width_pixels, height_pixels }) : bitrate_label;
}

/** As the reason stands, but with rates as they are told everywhere on the page. */
function sentence(words) {
  const told = words.replace(/(\d+) kbit\/s/g, (_, kbps) => bitrate(kbps * 1_000).join("\u00a0")).replace(/(\d) (s|%)/g, "$1\u00a0$2");
  return told && `${told[0].toUpperCase()}${told.slice(1)}.`;
}
