/** Says how far a stream has come, to those who want to watch it. Pure. */

import { isLiveKind, isTakingMedia, liveState } from "./live.js";
import { isAtWork, isPlayable, progressOf } from "./recording.js";

/**
 * @typedef {object} Known What the API told of a stream.
 * @property {string} streamId
 * @property {import("../api/streams.js").Stream|null} stream Null: there is none.
 * @property {import("../api/recordings.js").Recording|null} recording The one it shows, or would show.
 * @property {import("../api/recordings.js").Job|null} job The newest of that recording.
 */

const SOON_MS = 1_000;
const LATER_MS = 5_000;
/** Somebody sits before a dark screen, and the publisher is about to begin. */
const WAITING_MS = 2_000;

/**
 * @param {Known} known
 * @param {{isDry: boolean}} picture `isDry`: the picture stands still until more media comes.
 * @returns {{title: string, tone: string, state: string, progress: object|null, obstacle: {title: string, text: string, retry_s?: null}|null}}
 *   `obstacle`: why there is nothing to play yet; with `retry_s` when only the watcher would ask again.
 */
export function describeStream({ streamId, stream, recording, job }, { isDry }) {
  const canPlay = stream !== null && isPlayable(stream);
  return {
    title: stream?.title || recording?.title || streamId,
    ...stateOf(stream, job, isDry),
    progress: job && isAtWork(job) ? progressOf(job) : null,
    obstacle: canPlay ? null : obstacleOf(stream, recording, job),
  };
}

/**
 * @param {Known} known
 * @returns {number} After how long there may be more to know; Infinity: this is the end of it.
 */
export function pauseAfter_ms({ stream, recording, job }) {
  if (job && isAtWork(job)) return SOON_MS;
  if (stream && isLiveKind(stream)) return isTakingMedia(stream) && !isPlayable(stream) ? WAITING_MS : LATER_MS;
  if (stream && isPlayable(stream) && stream.status !== "active") return Infinity;
  return stream || recording ? LATER_MS : Infinity;
}

const JOBS = {
  QUEUED: { tone: "flowing", state: "Waiting for a transcoder" },
  RUNNING: { tone: "flowing", state: "Being transcoded" },
  SUCCEEDED: { tone: "ready", state: "Ready" },
  FAILED: { tone: "alarm", state: "Transcode failed" },
  CANCELLED: { tone: "still", state: "Cancelled" },
};

/** The picture has come to the end of what is made. */
const WAITING = { tone: "flowing", state: "Waiting for the transcode" };

const NOTHING = { tone: "still", state: "" };

const FIRST_SEGMENTS = {
  title: "The first segments are being made",
  text: "It plays by itself as soon as they stand.",
};

const OBSTACLES = {
  unknown: { title: "There is no such stream", text: "Nothing is to be played under this address. It may have been deleted.", retry_s: null },
  untranscoded: {
    title: "There is nothing to play yet",
    text: "This recording has not been transcoded. Its transcode can be started among the recordings.",
  },
  cancelled: {
    title: "The transcode was cancelled",
    text: "What it had made is gone. It can be started again among the recordings.",
  },
  waiting: { title: "The stream has not begun", text: "It plays by itself as soon as its publisher sends." },
  over: { title: "The stream has ended", text: "Nothing of it is there to be watched." },
};

function stateOf(stream, job, isDry) {
  if (job && isAtWork(job) && isDry) return WAITING;
  if (job) return JOBS[job.state];
  return stream ? liveState(stream, isDry) : NOTHING;
}

function obstacleOf(stream, recording, job) {
  if (job && (isAtWork(job) || job.state === "SUCCEEDED")) return FIRST_SEGMENTS;
  if (job?.state === "CANCELLED") return OBSTACLES.cancelled;
  if (job) return { title: "The transcode failed", text: job.error };
  if (recording) return OBSTACLES.untranscoded;
  if (!stream) return OBSTACLES.unknown;
  if (stream.status === "error") return { title: "The stream has failed", text: stream.error };
  return isTakingMedia(stream) ? OBSTACLES.waiting : OBSTACLES.over;
}
