/**
 * The registry of streams: what can be played.
 *
 * @typedef {object} Variant
 * @property {string} media "video", "audio", "muxed" or "subtitles"
 * @property {number} width_pixels
 * @property {number} height_pixels
 *
 * @typedef {object} Ingest Where a publisher pushes to.
 * @property {string} rtmp_url without the key
 * @property {string} srt_url with the key
 * @property {string} http_url the key goes into its query, as `stream_key`
 * @property {string} stream_key secret
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
 * @property {boolean} low_latency
 * @property {boolean} record what was live stays playable after its end
 * @property {{push?: boolean}} [source] absent for VOD
 * @property {Ingest} [ingest] of those that are pushed; absent in lists
 * @property {string} incarnation tells this life of the id from earlier ones
 * @property {string} created_at
 *
 * @typedef {object} StreamWish
 * @property {string} stream_id
 * @property {string} title
 * @property {"live"|"event"} type
 * @property {boolean} low_latency
 * @property {number} dvr_window_s 0: as configured; of an event nothing leaves
 * @property {boolean} record
 * @property {string} request_id makes a retry safe
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

/** @param {StreamWish} wish @returns {Promise<Stream>} */
export function createStream(wish) {
  return call("POST", ROOT, wish);
}

/** Let a stopped stream take media again. @returns {Promise<Stream>} */
export function startStream(streamId) {
  return call("POST", `${ROOT}/${encodeURIComponent(streamId)}/start`, {});
}

/** End a stream. @returns {Promise<Stream>} */
export function stopStream(streamId) {
  return call("POST", `${ROOT}/${encodeURIComponent(streamId)}/stop`, {});
}

export function deleteStream(streamId) {
  return call("DELETE", `${ROOT}/${encodeURIComponent(streamId)}`);
}
