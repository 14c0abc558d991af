/**
 * The registry of streams: what can be played.
 *
 * @typedef {object} Variant
 * @property {string} media "video", "audio", "muxed" or "subtitles"
 * @property {number} width_pixels
 * @property {number} height_pixels
 *
 * @typedef {object} Stream
 * @property {string} stream_id
 * @property {string} title
 * @property {"live"|"event"|"vod"} type
 * @property {"created"|"active"|"stopped"|"error"|"ended"} status
 * @property {string} error
 * @property {Variant[]} variants lowest rate first; empty until there is something to play
 * @property {string} recording_id empty for a live stream
 * @property {number} duration_s what of it can be played
 * @property {string} created_at
 */

import { call } from "./client.js";

const ROOT = "/hls/streams";

/** @returns {Promise<{streams: Stream[], next_page_token: string}>} Newest first. */
export function listStreams({ pageSize = 50, pageToken = "" } = {}) {
  const query = new URLSearchParams({ page_size: String(pageSize) });
  if (pageToken) query.set("page_token", pageToken);
  return call("GET", `${ROOT}?${query}`);
}

/** @returns {Promise<Stream>} */
export function getStream(streamId) {
  return call("GET", `${ROOT}/${encodeURIComponent(streamId)}`);
}

export function deleteStream(streamId) {
  return call("DELETE", `${ROOT}/${encodeURIComponent(streamId)}`);
}
