/** Says what goes on in a live stream, to those who run it and to those who watch it. Pure. */

import { PLAIN, clockOf, isPlayable, ladderOf, present } from "./recording.js";
import { ago, clock, span } from "./units.js";

/**
 * @typedef {import("../api/streams.js").Stream} Stream
 * @typedef {import("./recording.js").View} View
 *
 * @typedef {object} Live Where a picture stands in a live stream.
 * @property {number} start_s The oldest media time that can be seen.
 * @property {number} sync_s The newest that should be: where "live" is.
 * @property {number} position_s
 * @property {number} slack_s What lies no further behind that is still live.
 * @property {number} latency_s From the position to the end of what was announced.
 * @property {number|null} date_ms The wall clock when the picture that is shown was taken; null: not known.
 */

/** @type {Record<string, Partial<View>>} */
const STATES = {
  created: { tone: "still", state: "Not begun" },
  active: { tone: "live", state: "Live" },
  stopped: { tone: "ready", state: "Ended" },
  ended: { tone: "ready", state: "Ended" },
  error: { tone: "alarm", state: "Failed" },
};

/** A stretch of another stream. @type {Pick<View, "tone"|"state">} */
const CLIP = { tone: "ready", state: "Ready" };

/** @type {Pick<View, "tone"|"state">} */
const AWAY = { tone: "flowing", state: "Waiting for the publisher" };

/** What is said over the picture while nothing comes. */
export const PUBLISHER_AWAY = {
  title: "The publisher is away",
  text: "Nothing comes at the moment. It goes on by itself as soon as something does.",
};

/** Encoding takes no longer: where the clock tells more than the playlist by this, it is wrong here or there. */
const MOST_HIDDEN_LATENCY_S = 30;

/**
 * @param {Stream} stream One that was made from no recording.
 * @param {{isQuiet: boolean, now_ms: number}} seen `isQuiet`: nothing was added to it for a while.
 * @returns {View}
 */
export function describeLiveStream(stream, { isQuiet, now_ms }) {
  return {
    ...PLAIN,
    ...liveState(stream, isQuiet),
    id: stream.stream_id,
    kind: "stream",
    title: stream.title || stream.stream_id,
    facts: liveFacts(stream, now_ms),
    message: stream.error,
    halt: isTakingMedia(stream) ? "Stop" : "",
    again: stream.status === "stopped" && !stream.record ? "Start" : "",
    hasSetup: isTakingMedia(stream) && Boolean(stream.source?.push),
    isPlayable: isPlayable(stream),
  };
}

/**
 * @param {Stream} stream
 * @param {boolean} isDry Its media has stopped coming.
 */
export function liveState(stream, isDry) {
  if (stream.type === "vod") return CLIP;
  return stream.status === "active" && isDry ? AWAY : STATES[stream.status];
}

/** Whether a stream is live, was, or will be. @param {Stream} stream */
export function isLiveKind({ recording_id, type }) {
  return !recording_id && type !== "vod";
}

/** Whether a stream is live now, or about to be. @param {Stream} stream */
export function isTakingMedia(stream) {
  return isLiveKind(stream) && !["stopped", "ended"].includes(stream.status);
}

/** What stands over the last picture. @param {Stream} stream */
export function describeEnd({ record }) {
  const text = record ? "All of it can be watched again from here." : "What is left of it can be watched again.";
  return { title: "The stream has ended", text };
}

/** @param {Live} live */
export function behind_s({ sync_s, position_s }) {
  return Math.max(0, sync_s - position_s);
}

/** @param {Live} live */
export function isAtLive(live) {
  return behind_s(live) < live.slack_s;
}

/** 42.4 -> "−0:42". */
export function behindLabel(seconds) {
  return `−${clock(seconds)}`;
}

/**
 * How long ago what is shown was taken, seconds: by the wall clock, if that can be true, else by the playlist.
 * @param {Live} live
 * @param {number} now_ms
 */
export function latencyOf({ latency_s, date_ms }, now_ms) {
  const byClock_s = date_ms === null ? NaN : (now_ms - date_ms) / 1_000;
  const isTrue = byClock_s > latency_s - 1 && byClock_s < latency_s + MOST_HIDDEN_LATENCY_S;
  return isTrue ? byClock_s : latency_s;
}

/** 2.34 -> ["2.3", "s"]; 754 -> ["12:34", ""]. */
export function latencyFigure(seconds) {
  return seconds < 100 ? [seconds.toFixed(1), "s"] : [clock(seconds), ""];
}

/** How far back one can go, for the left end of a seek bar. */
export function reachLabel(seconds) {
  return `${span(seconds)} back`;
}

function liveFacts(stream, now_ms) {
  const { low_latency, record, type, duration_s, created_at } = stream;
  return present(
    clockOf(duration_s),
    ladderOf(stream),
    low_latency && "low latency",
    record && type !== "vod" && "recorded",
    ago(Date.parse(created_at), now_ms),
  );
}
