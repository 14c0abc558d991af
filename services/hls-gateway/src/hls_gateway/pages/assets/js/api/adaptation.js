/**
 * Adaptation: what a viewer should play, and how it fared.
 *
 * @typedef {object} Decision
 * @property {number} bitrate_level place in the ladder, lowest rate first
 * @property {string} bitrate_label
 * @property {number} recommended_bitrate_kbps
 * @property {string} resolution "1280x720"; empty without picture
 * @property {string} policy
 * @property {string} reason in words
 *
 * @typedef {object} Qoe
 * @property {number} average_bitrate_kbps
 * @property {number} rebuffer_ratio 0 to 1
 * @property {number} rebuffers_count
 * @property {number} switches_count
 * @property {number} score per segment
 *
 * @typedef {object} Experience
 * @property {number} viewers_count
 * @property {{estimated_kbps: number}} network_stats
 * @property {Qoe} qoe
 */

import { call } from "./client.js";
import { recordingPath } from "./recordings.js";

/** What comes later than this is of no use to the next segment. */
const DECISION_DEADLINE_MS = 1_500;

/**
 * @typedef {{viewerId: string, throughput_bps: number, buffer_s: number, viewport?: {width_pixels: number, height_pixels: number}}} Measured
 * The viewport is in device pixels; none while nothing is shown.
 *
 * @param {string} streamId
 * @param {Measured} measured
 * @returns {Promise<Decision>}
 */
export function selectQuality(streamId, { viewerId, throughput_bps, buffer_s, viewport }) {
  const question = { viewer_id: viewerId, bandwidth: throughput_bps / 1_000, buffer_s, viewport };
  const path = `${recordingPath(streamId)}/abr/quality${queryOf(viewerId)}`;
  return call("POST", path, question, { deadline_ms: DECISION_DEADLINE_MS });
}

/** Of one viewer, or without an id of all of them. @returns {Promise<Experience>} */
export function getExperience(streamId, viewerId = "") {
  return call("GET", `${recordingPath(streamId)}/abr/stats${queryOf(viewerId)}`);
}

/** By the viewer in the query the door finds the replica that knows it. */
function queryOf(viewerId) {
  return viewerId && `?${new URLSearchParams({ viewer_id: viewerId })}`;
}
