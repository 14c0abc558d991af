/**
 * Keeps a stream playing: chooses the engine, starts with or without sound, and comes back after faults.
 *
 * Dispatches "renditions", "switch", "muted" (the browser plays only without sound), "well", and "fault", a
 * CustomEvent whose detail is {title, text, retry_s}: retry_s is null when only the watcher can try again, and absent
 * when it is being tried already.
 */

import { backoff_ms } from "../page/loop.js";
import { describePlaybackFault } from "../words/playback_fault.js";
import { HlsJsEngine } from "./engine_hlsjs.js";
import { NativeEngine } from "./engine_native.js";

/**
 * @typedef {object} Reach
 * @property {number} start_s The oldest media time that can be seen.
 * @property {number} end_s The newest; where it is live, the newest that should be.
 * @property {number} position_s
 * @property {import("../words/live.js").Live|null} live Null: it is not live, or not any more.
 */

const MOST_RECOVERIES = 3;
/** With less than this ahead, what does not come is about to be missed. */
const DRY_S = 1;

export class Player extends EventTarget {
  #video;
  #url;
  #adviser;
  #engine = null;
  #failures = 0;
  #lastKind = "";
  #retry = 0;
  #isFollowing = true;

  /**
   * @param {HTMLVideoElement} video
   * @param {string} url Of the multivariant playlist.
   * @param {import("./adviser.js").Adviser} adviser Whom to ask what to play.
   */
  constructor(video, url, adviser) {
    super();
    this.#video = video;
    this.#url = url;
    this.#adviser = adviser;
    video.addEventListener("pause", () => (this.#isFollowing = false));
    window.addEventListener("online", () => this.#failures && this.retry());
  }

  /** @param {boolean} isLive Somebody publishes the stream now. */
  async start(isLive) {
    this.#engine = await this.#openEngine(isLive);
    if (!this.#engine) return;
    this.#engine.load();
    this.#play();
  }

  /** Try again now, after a fault. */
  retry() {
    clearTimeout(this.#retry);
    if (!this.#engine) location.reload();
    else if (this.#lastKind === "media") this.#engine.recover();
    else this.#engine.resume();
  }

  choose(index) {
    this.#engine.choose(index);
  }

  get renditions() {
    return this.#engine?.renditions ?? [];
  }

  /** The session by which servers know this player; empty: they know it by its address. */
  get viewerId() {
    return this.#engine?.viewerId ?? "";
  }

  /** Where the picture stands in a live stream; null in any other. @returns {import("../words/live.js").Live|null} */
  get live() {
    const live = this.#engine?.live;
    return live ? { ...live, position_s: this.#video.currentTime } : null;
  }

  /** What of the stream can be seen now; null: nothing. @returns {Reach|null} */
  get reach() {
    const { live } = this;
    const { seekable, currentTime: position_s } = this.#video;
    if (live) return { start_s: live.start_s, end_s: live.sync_s, position_s, live };
    if (!seekable.length) return null;
    return { start_s: seekable.start(0), end_s: seekable.end(seekable.length - 1), position_s, live: null };
  }

  /** The wall clock when what lies at a time of the media was taken; null: not known. */
  dateAt(time_s) {
    return this.#engine?.dateAt(time_s) ?? null;
  }

  /** Go on from a time of the media. */
  seek(goal_s) {
    this.#isFollowing = false;
    this.#video.currentTime = goal_s;
  }

  /** The viewer is at live, or was until the picture stood still: nobody has rewound or paused it. */
  get isFollowing() {
    return this.#isFollowing && !this.#video.paused && !this.#video.seeking;
  }

  goLive() {
    this.#isFollowing = true;
    this.#video.currentTime = this.live?.sync_s ?? this.#video.currentTime;
    this.#play();
  }

  /** Something is wrong, and it was told. */
  get isFaulty() {
    return this.#failures > 0;
  }

  /** Playing, but without anything to show. */
  get isDry() {
    const { paused, ended, seeking, readyState } = this.#video;
    return !paused && !ended && !seeking && readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  /** What flows now: see the engine; and how much is buffered ahead. */
  measure() {
    const nothing = { rendition: null, throughput_bps: null };
    return { ...(this.#engine?.measure() ?? nothing), buffer_s: bufferedAhead_s(this.#video) };
  }

  async #openEngine(isLive) {
    const Hls = await hlsJs();
    if (Hls?.isSupported()) return this.#wire(new HlsJsEngine(Hls, this.#video, this.#url, isLive, this.#adviser));
    if (this.#video.canPlayType("application/vnd.apple.mpegurl")) return this.#wire(new NativeEngine(this.#video, this.#url));
    this.#tellFault({ kind: Hls ? "unsupported" : "script", status: 0, detail: "" });
    return null;
  }

  #wire(engine) {
    for (const type of ["renditions", "switch"]) engine.addEventListener(type, () => this.dispatchEvent(new Event(type)));
    engine.addEventListener("flow", () => this.#flows());
    engine.addEventListener("trouble", (event) => this.#hesitate(event.detail));
    engine.addEventListener("fault", (event) => this.#suffer(event.detail));
    return engine;
  }

  #flows() {
    if (!this.#failures) return;
    this.#failures = 0;
    this.dispatchEvent(new Event("well"));
  }

  /** Trouble is told only when the picture stands still for it. */
  #hesitate(fault) {
    if (bufferedAhead_s(this.#video) > DRY_S) return;
    this.#failures = Math.max(1, this.#failures);
    const { title, text } = describePlaybackFault(fault);
    this.dispatchEvent(new CustomEvent("fault", { detail: { title, text: `${text} It goes on by itself as soon as it can.` } }));
  }

  #suffer(fault) {
    this.#failures += 1;
    this.#lastKind = fault.kind;
    if (fault.kind === "media" && this.#failures < MOST_RECOVERIES) this.#engine.recover();
    else this.#tellFault(fault);
  }

  #tellFault(fault) {
    const { title, text, mayPass } = describePlaybackFault(fault);
    const pause_ms = mayPass ? backoff_ms(this.#failures) : null;
    clearTimeout(this.#retry);
    if (mayPass) this.#retry = setTimeout(() => this.retry(), pause_ms);
    this.dispatchEvent(new CustomEvent("fault", { detail: { title, text, retry_s: mayPass ? pause_ms / 1_000 : null } }));
  }

  /** Browsers refuse to play with sound where nobody has touched the page: then play without. */
  async #play() {
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError" || this.#video.muted) return;
      this.#video.muted = true;
      this.dispatchEvent(new Event("muted"));
      await this.#video.play().catch(() => undefined); // then it waits for the watcher's own play button
    }
  }
}

/** The library, or null when it cannot be had. It is a classic script: what it makes is a global. */
async function hlsJs() {
  try {
    await import("../../vendor/hls.min.js");
    return globalThis.Hls;
  } catch {
    return null;
  }
}

function bufferedAhead_s({ buffered, currentTime }) {
  for (let at = 0; at < buffered.length; at += 1) {
    const holdsNow = buffered.start(at) <= currentTime + 0.1 && currentTime <= buffered.end(at);
    if (holdsNow) return buffered.end(at) - currentTime;
  }
  return 0;
}
