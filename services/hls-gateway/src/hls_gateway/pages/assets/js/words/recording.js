/**
 * Says what stands on the board, and what can be done with it. Pure: from the API's JSON to words.
 *
 * @typedef {import("../api/recordings.js").Recording} Recording
 * @typedef {import("../api/recordings.js").Job} Job
 * @typedef {import("../api/streams.js").Stream} Stream
 *
 * @typedef {"still"|"flowing"|"live"|"ready"|"alarm"} Tone
 *
 * @typedef {object} View
 * @property {string} id
 * @property {"recording"|"stream"|"upload"} kind
 * @property {string} title
 * @property {Tone} tone
 * @property {string} state
 * @property {string[]} facts
 * @property {{ratio: number, label: string, readings: Array<[string, string]>}|null} progress
 * @property {string} message
 * @property {boolean} isPlayable
 * @property {string} halt What a button that ends what is under way would say; empty: nothing can be ended.
 * @property {boolean} hasSetup A publisher's settings can be shown.
 * @property {string} removal What a button that takes the row away would say; empty: it must stay.
 * @property {string} again What a button that starts (again) would say; empty: there is nothing to start.
 */

import { renditionName } from "./rendition.js";
import { ago, bytes, clock, frameRate, percent, ratio, span } from "./units.js";

const CODECS = { h264: "H.264", hevc: "HEVC", av1: "AV1", vp9: "VP9", vp8: "VP8", aac: "AAC", opus: "Opus", mp3: "MP3", ac3: "AC-3" };

/**
 * What a job's state says of its recording.
 * @type {Record<string, Partial<View>>}
 */
const JOBS = {
  QUEUED: { tone: "flowing", state: "Waiting for a transcoder", halt: "Cancel" },
  RUNNING: { tone: "flowing", state: "Transcoding", halt: "Cancel" },
  SUCCEEDED: { tone: "ready", state: "Ready" },
  FAILED: { tone: "alarm", state: "Transcode failed", again: "Transcode again" },
  CANCELLED: { tone: "still", state: "Cancelled", again: "Transcode" },
};

/**
 * What a recording without a job says of itself.
 * @type {Record<string, Partial<View>>}
 */
const SOURCES = {
  CREATED: { tone: "still", state: "Empty", message: "Its bytes have not come. Delete it, or upload its source by the API." },
  UPLOADING: { tone: "flowing", state: "Uploading", message: "Its bytes are being sent from elsewhere." },
  FETCHING: { tone: "flowing", state: "Being fetched" },
  PROBING: { tone: "flowing", state: "Being probed" },
  READY: { tone: "still", state: "Uploaded", again: "Transcode" },
  FAILED: { tone: "alarm", state: "Source failed" },
};

/** A slower one would be said as zero. */
const LEAST_SPEED = 0.05;

/**
 * A view of which nothing is known.
 * @type {Omit<View, "id"|"kind"|"title"|"facts"|"isPlayable">}
 */
export const PLAIN = {
  tone: "still", state: "Unknown", message: "", again: "", removal: "Delete", halt: "", hasSetup: false, progress: null,
};

/**
 * @param {Recording} recording
 * @param {Job|null} job Its newest job.
 * @param {Stream|null} stream The stream made from it.
 * @param {number} now_ms
 * @returns {View}
 */
export function describeRecording(recording, job, stream, now_ms) {
  const known = job ? JOBS[job.state] : SOURCES[recording.state];
  return {
    ...PLAIN,
    ...known,
    id: recording.recording_id,
    kind: "recording",
    title: recording.title || recording.recording_id,
    facts: recordingFacts(recording, stream, now_ms),
    progress: job && isAtWork(job) ? progressOf(job) : null,
    message: job?.error || recording.error || known?.message || "",
    isPlayable: stream !== null && isPlayable(stream),
  };
}

/** @param {Job} job */
export function isAtWork(job) {
  return job.state === "QUEUED" || job.state === "RUNNING";
}

/** @param {Stream} stream */
export function isPlayable(stream) {
  return stream.variants.length > 0;
}

/** @param {Job} job */
export function progressOf(job) {
  /** @type {Array<[string, string]>} */
  const readings = [[percent(job.percent), "transcoded"]];
  if (job.speed_ratio >= LEAST_SPEED) readings.push([ratio(job.speed_ratio), "real time"]);
  if (job.eta_s !== undefined) readings.push([span(job.eta_s), "left"]);
  return { ratio: job.percent / 100, label: "Transcode", readings };
}

function recordingFacts(recording, stream, now_ms) {
  const { duration_s, width_pixels, height_pixels, frame_rate, video_codec, audio_codec } = recording;
  const size = Number(recording.size_bytes);
  const codecs = present(video_codec, audio_codec).map((name) => CODECS[name] ?? name.toUpperCase());
  return present(
    clockOf(duration_s),
    width_pixels > 0 && `${width_pixels} × ${height_pixels}`,
    frame_rate > 0 && frameRate(frame_rate),
    codecs.join(" + "),
    size > 0 && bytes(size),
    stream && ladderOf(stream),
    ago(Date.parse(recording.create_time), now_ms),
  );
}

/** "as 1080p, 720p, 480p". */
export function ladderOf({ variants }) {
  const pictures = variants.filter(({ media }) => media === "video" || media === "muxed").reverse();
  return pictures.length > 0 && `as ${pictures.map(renditionName).join(", ")}`;
}

/** The duration of something that has one. */
export function clockOf(duration_s) {
  return duration_s > 0 && clock(duration_s);
}

/** Those facts that are known. */
export function present(...facts) {
  return facts.filter(Boolean);
}
