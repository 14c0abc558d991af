/**
 * The controls under the picture: a seek bar over all that can be seen, and, where it is live, the way back to live. The
 * browser's own controls know neither the window nor its edge, nor do they show what is to be seen where.
 */

import { say } from "../page/template.js";
import { behindLabel, behind_s, isAtLive, reachLabel } from "../words/live.js";
import { clock, timeOfDay } from "../words/units.js";
import { Preview } from "./preview.js";

const STEPS_S = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -60, PageUp: 60 };
/** A thumb this near to the right end means the end, seconds. */
const SNAP_S = 1;
/** The left end slides on: what lies nearer to it is gone before it could be played, seconds. */
const FADING_S = 10;

/** @returns {any} */
const at = (id) => document.getElementById(id);

export class Deck {
  #video;
  #player;
  #bar = at("dvr");
  #live = at("to-live");
  #preview;
  /** @type {import("./player.js").Reach|null} */
  #shown = null;
  #isDragged = false;

  /**
   * @param {HTMLVideoElement} video
   * @param {import("./player.js").Player} player
   * @param {import("./storyboard.js").Storyboard} storyboard
   */
  constructor(video, player, storyboard) {
    this.#video = video;
    this.#player = player;
    this.#preview = new Preview(storyboard, this.#bar, (time_s) => this.#describe(time_s));
    this.#listenToButtons();
    this.#listenToBar();
    for (const change of ["play", "pause", "volumechange"]) video.addEventListener(change, () => this.#showButtons());
    for (const change of ["timeupdate", "seeking"]) video.addEventListener(change, () => this.refresh());
    this.#showButtons();
  }

  /** Show where the picture stands; there is no deck where there is nothing to see. */
  refresh() {
    this.#shown = this.#player.reach;
    at("deck").hidden = !this.#shown;
    if (this.#shown?.live) this.#showLive(this.#shown, this.#shown.live);
    else if (this.#shown) this.#showRecording(this.#shown);
  }

  #showRecording(reach) {
    const place = `${clock(reach.position_s)} of ${clock(reach.end_s)}`;
    this.#showBar(reach, place);
    at("deck").dataset.at = "recording";
    say(at("reach"), place);
    for (const id of ["behind", "clock"]) say(at(id), "");
  }

  #showLive(reach, live) {
    const isLive = isAtLive(live);
    const behind = isLive ? "Live" : behindLabel(behind_s(live));
    this.#showBar(reach, isLive ? behind : `${behind.slice(1)} behind live`);
    at("deck").dataset.at = isLive ? "live" : "past";
    say(at("to-live-word"), isLive ? "Live" : "Go to live");
    say(at("behind"), isLive ? "" : behind);
    say(at("clock"), live.date_ms === null ? "" : timeOfDay(live.date_ms));
    say(at("reach"), reachLabel(live.sync_s - live.start_s));
  }

  #showBar({ start_s, end_s, position_s }, words) {
    this.#bar.min = String(start_s);
    this.#bar.max = String(end_s);
    if (!this.#isDragged) this.#bar.value = String(position_s);
    const level = (this.#bar.valueAsNumber - start_s) / Math.max(1, end_s - start_s);
    this.#bar.style.setProperty("--level", String(Math.min(1, Math.max(0, level))));
    this.#bar.setAttribute("aria-valuetext", words);
  }

  /** What is said of a moment that somebody points at; its picture is found by the time of day where it is live. */
  #describe(time_s) {
    const date_ms = this.#player.dateAt(time_s);
    const { live } = this.#shown;
    const moment = live && date_ms === null ? null : { time_s, date_ms };
    if (!live) return { label: clock(time_s), detail: "", moment };
    const behind = behind_s({ ...live, position_s: time_s });
    const label = behind < SNAP_S ? "Live" : behindLabel(behind);
    return { label, detail: date_ms === null ? "" : timeOfDay(date_ms), moment };
  }

  #showButtons() {
    const { paused, muted, volume } = this.#video;
    const isSilent = muted || volume === 0;
    at("play").dataset.shows = paused ? "play" : "pause";
    at("play").setAttribute("aria-label", paused ? "Play" : "Pause");
    at("mute").dataset.shows = isSilent ? "silence" : "sound";
    at("mute").setAttribute("aria-label", isSilent ? "Sound on" : "Sound off");
    at("volume").value = String(isSilent ? 0 : volume);
    at("volume").style.setProperty("--level", at("volume").value);
  }

  #listenToButtons() {
    const video = this.#video;
    at("play").addEventListener("click", () => this.#togglePlay());
    video.addEventListener("click", () => this.#shown && this.#togglePlay());
    at("mute").addEventListener("click", () => (video.muted = !video.muted));
    at("volume").addEventListener("input", () => Object.assign(video, { volume: at("volume").valueAsNumber, muted: false }));
    at("whole").addEventListener("click", () => toggleWhole(at("player")));
    at("whole").hidden = !document.fullscreenEnabled;
    this.#live.addEventListener("click", () => this.#player.goLive());
  }

  #listenToBar() {
    this.#bar.addEventListener("input", () => {
      this.#isDragged = true;
      this.#seek(this.#bar.valueAsNumber);
    });
    this.#bar.addEventListener("change", () => (this.#isDragged = false));
    this.#bar.addEventListener("keydown", (event) => this.#steer(event));
  }

  #steer(event) {
    const { start_s, end_s, position_s } = this.#shown;
    const ends = { Home: start_s, End: end_s };
    const goal_s = ends[event.key] ?? position_s + (STEPS_S[event.key] ?? NaN);
    if (Number.isNaN(goal_s)) return;
    event.preventDefault();
    this.#seek(goal_s);
    this.#preview.showBriefly(Math.min(end_s, Math.max(start_s, goal_s)));
  }

  #seek(goal_s) {
    const { start_s, end_s, live } = this.#shown;
    const firm_s = live ? Math.max(start_s, Math.min(start_s + FADING_S, end_s - FADING_S)) : start_s;
    if (live && goal_s > end_s - SNAP_S) this.#player.goLive();
    else this.#player.seek(Math.min(end_s, Math.max(goal_s, firm_s)));
  }

  #togglePlay() {
    if (this.#video.paused) this.#video.play().catch(() => undefined); // else the browser wants another touch
    else this.#video.pause();
  }
}

/** All of the screen for the picture and its controls, or no longer. */
function toggleWhole(element) {
  if (document.fullscreenElement) document.exitFullscreen();
  else element.requestFullscreen();
}
