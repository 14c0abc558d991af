/** Says who watches a stream, and how they fare. Pure. */

import { renditionName } from "./rendition.js";
import { bitrate, bytes, clock } from "./units.js";

/**
 * @typedef {import("../api/distribution.js").Viewer} Viewer
 * @typedef {import("../api/distribution.js").Gathering} Gathering
 * @typedef {import("../api/distribution.js").StreamStats} StreamStats
 * @typedef {import("../api/adaptation.js").Experience} Experience
 * @typedef {import("../api/streams.js").Stream} Stream
 */

/** What is not known. */
export const UNKNOWN = "–";
const SHORT = 8;

/**
 * @param {Viewer} viewer
 * @param {{experience: Experience|null, ownId: string, variants: Stream["variants"]}} known `experience`: null: of this
 *   viewer nothing was measured.
 */
export function describeViewer(viewer, { experience, ownId, variants }) {
  const { viewer_id, buffer_health, connection_quality, segments_received, duration } = viewer;
  const estimated_kbps = experience?.network_stats.estimated_kbps;
  return {
    id: viewer_id,
    name: viewer_id === ownId ? "This player" : shortened(viewer_id),
    isOwn: viewer_id === ownId,
    rendition: nameOf(viewer.current_bitrate, variants),
    buffer: connection_quality ? `${Math.round(buffer_health)} %` : UNKNOWN,
    level: buffer_health / 100,
    throughput: estimated_kbps ? bitrate(estimated_kbps * 1_000).join(" ") : UNKNOWN,
    connection: connection_quality || UNKNOWN,
    stalls: experience ? String(experience.qoe.rebuffers_count) : UNKNOWN,
    segments: String(segments_received),
    duration: clock(duration),
  };
}

/** @param {number} count @returns {string} */
export function stateOf(count) {
  if (count === 0) return "Nobody watches at the moment. Whoever begins to is shown here at once.";
  return count === 1 ? "One viewer watches now." : `${count} viewers watch now.`;
}

/**
 * @param {Gathering} gathering
 * @param {StreamStats} stats
 * @returns {Array<[string, string]>}
 */
export function totalsOf(gathering, stats) {
  const { total_bandwidth, average_latency, total_views, error_rate } = stats;
  return [
    ["Viewers now", String(gathering.active_viewers)],
    ["Most at a time", String(gathering.peak_viewers)],
    ["Views", total_views],
    ["Bandwidth", bitrate(total_bandwidth).join(" ")],
    ["Sent", bytes(Number(gathering.total_bytes_served))],
    ["Segments", gathering.total_segments_served],
    ["Latency", average_latency ? `${average_latency.toFixed(1)} s` : UNKNOWN],
    ["Failed requests", share(error_rate)],
  ];
}

/** Those who watch for longest first, but one's own player before all. @param {Viewer[]} viewers */
export function inOrder(viewers, ownId) {
  const isOwn = ({ viewer_id }) => viewer_id === ownId;
  return viewers.toSorted((one, other) => Number(isOwn(other)) - Number(isOwn(one)) || other.duration - one.duration);
}

/** 0.004 -> "0.4 %". */
export function share(ratio) {
  return `${Number((ratio * 100).toFixed(1))} %`;
}

function nameOf(label, variants) {
  const variant = variants.find(({ name }) => name === label);
  return variant ? renditionName(variant) : label || UNKNOWN;
}

function shortened(id) {
  return id.length > 2 * SHORT ? `${id.slice(0, SHORT)}…` : id;
}
