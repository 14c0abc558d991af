/**
 * The recordings API: each function is one call of it.
 *
 * @typedef {"CREATED"|"UPLOADING"|"FETCHING"|"PROBING"|"READY"|"FAILED"} RecordingState
 * @typedef {"QUEUED"|"RUNNING"|"SUCCEEDED"|"FAILED"|"CANCELLED"} JobState
 *
 * @typedef {object} Recording
 * @property {string} recording_id
 * @property {string} title
 * @property {RecordingState} state
 * @property {number} duration_s
 * @property {number} width_pixels
 * @property {number} height_pixels
 * @property {number} frame_rate
 * @property {string} video_codec
 * @property {string} audio_codec
 * @property {string} size_bytes int64: a string in proto JSON
 * @property {string} source_url
 * @property {string} error
 * @property {string} create_time
 * @property {string} update_time
 * @property {string} watch_url empty until a job was started
 *
 * @typedef {object} Job
 * @property {JobState} state
 * @property {number} percent
 * @property {number} speed_ratio 0 until measured
 * @property {number} [eta_s] absent until known
 * @property {string} error
 * @property {string} create_time
 */

import { call } from "./client.js";

const ROOT = "/api/v1/recordings";

/** @returns {Promise<{recordings: Recording[], next_page_token: string}>} Newest first. */
export function listRecordings({ pageSize = 50, pageToken = "" } = {}) {
  const query = new URLSearchParams({ page_size: String(pageSize) });
  if (pageToken) query.set("page_token", pageToken);
  return call("GET", `${ROOT}?${query}`);
}

/** @returns {Promise<Recording>} */
export function getRecording(recordingId) {
  return call("GET", recordingPath(recordingId));
}

/** @returns {Promise<Recording>} */
export function createRecording(recordingId, title) {
  return call("POST", ROOT, { recording_id: recordingId, title, request_id: recordingId });
}

export function deleteRecording(recordingId) {
  return call("DELETE", recordingPath(recordingId));
}

export function startTranscode(recordingId) {
  return call("POST", `${recordingPath(recordingId)}/transcode/quality`, {});
}

export function cancelTranscode(recordingId) {
  return call("POST", `${recordingPath(recordingId)}/transcode/cancel`, {});
}

/**
 * The newest job of a recording; null when it never had one.
 * @returns {Promise<Job|null>}
 */
export async function newestJob(recordingId) {
  const progress = await call("GET", `${recordingPath(recordingId)}/transcode/progress`);
  const jobs = Object.values(progress.jobs ?? {});
  return jobs.reduce((newest, job) => (newest && newest.create_time >= job.create_time ? newest : job), null);
}

/** Path of a recording; ids are encoded, whatever they hold. */
export function recordingPath(recordingId) {
  return `${ROOT}/${encodeURIComponent(recordingId)}`;
}
