/** Names renditions, and says how far a stream has come. Pure. */

import { isAtWork, isPlayable, progressOf } from "./recording.js";

/**
 * @typedef {object} Rendition
 * @property {number} index As the engine counts; -1 means that the engine chooses.
 * @property {number} width_pixels 0 without picture
 * @property {number} height_pixels
 * @property {number} bitrate_bps
 */

/** "720p", by the shorter side, so that an upright picture is named like a lying one. */
export function renditionName({ width_pixels, height_pixels }) {
  const lines = Math.min(width_pixels, height_pixels);
  return lines > 0 ? `${lines}p` : "Sound";
}

/**
 * What a watcher should know of the stream besides its picture.
 * @param {{recording: object|null, job: import("../api/recordings.js").Job|null, isGrowing: boolean|null}} known
 *   `recording` null: the stream was made from none; `isGrowing` null: no playlist was read yet.
 * @returns {{tone: string, state: string, progress: object|null, obstacle: {title: string, text: string}|null}}
 *   `obstacle`: why there is nothing to play yet.
 */
export function describeStream({ recording, job, isGrowing }) {
  if (!recording) return { ...stateByPlaylist(isGrowing), progress: null, obstacle: null };
  if (!job) return { tone: "still", state: "Not transcoded", progress: null, obstacle: NOT_TRANSCODED };
  return {
    ...(isAtWork(job) ? AT_WORK : ENDED[job.state]),
    progress: isAtWork(job) ? progressOf(job) : null,
    obstacle: isPlayable(job) ? null : obstacleOf(job),
  };
}

const AT_WORK = { tone: "flowing", state: "Being transcoded" };
const ENDED = {
  SUCCEEDED: { tone: "ready", state: "Ready" },
  FAILED: { tone: "alarm", state: "Transcode failed" },
  CANCELLED: { tone: "still", state: "Cancelled" },
};

const NOT_TRANSCODED = {
  title: "There is nothing to play yet",
  text: "This recording has not been transcoded. Its transcode can be started among the recordings.",
};

const FIRST_SEGMENTS = {
  title: "The first segments are being made",
  text: "It plays by itself as soon as they stand.",
};

const CANCELLED = {
  title: "The transcode was cancelled",
  text: "What it had made is gone. It can be started again among the recordings.",
};

function obstacleOf(job) {
  if (isAtWork(job)) return FIRST_SEGMENTS;
  if (job.state === "CANCELLED") return CANCELLED;
  return { title: "The transcode failed", text: job.error };
}

function stateByPlaylist(isGrowing) {
  if (isGrowing === null) return { tone: "still", state: "" };
  return isGrowing ? { tone: "flowing", state: "Live" } : { tone: "ready", state: "Ready" };
}
