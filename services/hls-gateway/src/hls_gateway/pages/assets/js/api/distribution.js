/**
 * Who watches, and what all of them were sent.
 *
 * @typedef {object} Viewer
 * @property {string} viewer_id
 * @property {string} session_id by which adaptation knows it
 * @property {string} current_bitrate name of the rendition played last
 * @property {number} segments_received
 * @property {string} bytes_received int64: a string in proto JSON
 * @property {number} buffer_health percent of the profile's buffer
 * @property {"excellent"|"good"|"fair"|"poor"|""} connection_quality empty: the player does not say what it holds
 * @property {number} duration seconds
 *
 * @typedef {object} Gathering
 * @property {number} active_viewers
 * @property {number} peak_viewers
 * @property {string} total_segments_served
 * @property {string} total_bytes_served
 * @property {Viewer[]} viewers
 *
 * @typedef {object} StreamStats
 * @property {string} total_views
 * @property {number} total_bandwidth bits per second over the last seconds
 * @property {number} average_latency seconds behind the live edge; 0 for VOD
 * @property {number} error_rate 0 to 1
 *
 * @typedef {object} Delivery What all streams together come to.
 * @property {number} total_active_viewers
 * @property {string} total_segments_served
 * @property {string} total_bytes_served
 * @property {string} total_delivery_failures
 * @property {number} cdn_cache_hit_rate 0 to 1
 * @property {number} queue_depth
 * @property {number} workers
 */

import { call } from "./client.js";

const ROOT = "/api/v1/streams";

/** @returns {Promise<Gathering>} */
export function getGathering(streamId, { pageSize = 100 } = {}) {
  return call("GET", `${ROOT}/${encodeURIComponent(streamId)}?page_size=${pageSize}`);
}

/** @returns {Promise<StreamStats>} */
export function getStreamStats(streamId) {
  return call("GET", `/hls/streams/${encodeURIComponent(streamId)}/stats`);
}

/** @returns {Promise<Delivery>} */
export function getDelivery() {
  return call("GET", "/api/v1/distribution/metrics");
}

/** Say that a viewer has gone, from a page that is about to go itself: nobody hears the answer. */
export function sendLeave(streamId, viewerId) {
  const body = JSON.stringify({ viewer_id: viewerId });
  const request = { method: "DELETE", body, headers: { "content-type": "application/json" }, keepalive: true };
  fetch(`${ROOT}/${encodeURIComponent(streamId)}`, request).catch(() => undefined);
}
