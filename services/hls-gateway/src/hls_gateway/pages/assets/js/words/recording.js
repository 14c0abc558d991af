/**
 * Says what a recording is, and what can be done with it. Pure: from the API's JSON to words.
 *
 * @typedef {"still"|"flowing"|"ready"|"alarm"} Tone
 *
 * @typedef {object} RecordingView
 * @property {string} id
 * @property {string} title
 * @property {Tone} tone
 * @property {string} state
 * @property {string[]} facts
 * @property {{ratio: number, label: string, readings: Array<[string, string]>}|null} progress
 * @property {string} message
 * @property {boolean} isPlayable
 * @property {boolean} canCancel
 * @property {string} removal What a button that takes the row away would say; empty: it must stay.
 * @property {string} again What a button that starts (again) would say; empty: there is nothing to start.
 */

import { ago, bytes, clock, frameRate, percent, ratio, span } from "./units.js";

const CODECS = { h264: "H.264", hevc: "HEVC", av1: "AV1", vp9: "VP9", vp8: "VP8", aac: "AAC", opus: "Opus", mp3: "MP3", ac3: "AC-3" };

/** What a job's state says of its recording: tone, word, whether it still works, what may start anew. */
const JOBS = {
  QUEUED: { tone: "flowing", state: "Waiting for a transcoder", canCancel: true, again: "" },
  RUNNING: { tone: "flowing", state: "Transcoding", canCancel: true, again: "" },
  SUCCEEDED: { tone: "ready", state: "Ready", canCancel: false, again: "" },
  FAILED: { tone: "alarm", state: "Transcode failed", canCancel: false, again: "Transcode again" },
  CANCELLED: { tone: "still", state: "Cancelled", canCancel: false, again: "Transcode" },
};

/** What a recording without a job says of itself. */
const SOURCES = {
  CREATED: { tone: "still", state: "Empty", message: "Its bytes have not come. Delete it, or upload its source by the API." },
  UPLOADING: { tone: "flowing", state: "Uploading", message: "Its bytes are being sent from elsewhere." },
  FETCHING: { tone: "flowing", state: "Being fetched", message: "" },
  PROBING: { tone: "flowing", state: "Being probed", message: "" },
  READY: { tone: "still", state: "Uploaded", message: "", again: "Transcode" },
  FAILED: { tone: "alarm", state: "Source failed", message: "" },
};

const NOTHING = { tone: "still", state: "Unknown", message: "", again: "", removal: "Delete", canCancel: false };

/**
 * @param {import("../api/recordings.js").Recording} recording
 * @param {import("../api/recordings.js").Job|null} job Its newest job.
 * @param {number} now_ms
 * @returns {RecordingView}
 */
export function describeRecording(recording, job, now_ms) {
  const known = job ? JOBS[job.state] : SOURCES[recording.state];
  return {
    ...NOTHING,
    ...known,
    id: recording.recording_id,
    title: recording.title || recording.recording_id,
    facts: factsOf(recording, now_ms),
    progress: job && isAtWork(job) ? progressOf(job) : null,
    message: job?.error || recording.error || known?.message || "",
    isPlayable: Boolean(job) && isPlayable(job),
  };
}

/** @param {import("../api/recordings.js").Job} job */
export function isAtWork(job) {
  return job.state === "QUEUED" || job.state === "RUNNING";
}

/** @param {import("../api/recordings.js").Job} job True once the first segments stand. */
export function isPlayable(job) {
  return job.state === "SUCCEEDED" || (job.state === "RUNNING" && job.chunks_done_count > 0);
}

/** @param {import("../api/recordings.js").Job} job */
export function progressOf(job) {
  const readings = [[percent(job.percent), "transcoded"]];
  if (job.speed_ratio > 0) readings.push([ratio(job.speed_ratio), "real time"]);
  if (job.eta_s !== undefined) readings.push([span(job.eta_s), "left"]);
  return { ratio: job.percent / 100, label: "Transcode", readings };
}

function factsOf(recording, now_ms) {
  const { duration_s, width_pixels, height_pixels, frame_rate, video_codec, audio_codec } = recording;
  const size = Number(recording.size_bytes);
  const codecs = [video_codec, audio_codec].filter(Boolean).map((name) => CODECS[name] ?? name.toUpperCase());
  return [
    duration_s > 0 && clock(duration_s),
    width_pixels > 0 && `${width_pixels} × ${height_pixels}`,
    frame_rate > 0 && frameRate(frame_rate),
    codecs.join(" + "),
    size > 0 && bytes(size),
    ago(Date.parse(recording.create_time), now_ms),
  ].filter(Boolean);
}
