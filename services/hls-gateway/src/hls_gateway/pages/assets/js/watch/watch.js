/** The player page of one stream: its picture, its state, and what flows to it. */

import { sendLeave } from "../api/distribution.js";
import { Fault } from "../api/fault.js";
import { Loop, backoff_ms } from "../page/loop.js";
import { fillGauge, fillReadings, say } from "../page/template.js";
import { isLiveKind, isTakingMedia } from "../words/live.js";
import { describeStream, pauseAfter_ms } from "../words/stream.js";
import { Adviser } from "./adviser.js";
import { Audience } from "./audience.js";
import { Chooser } from "./chooser.js";
import { Counsel, wantsOwn } from "./counsel.js";
import { Hydrograph } from "./hydrograph.js";
import { readKnown } from "./known.js";
import { LiveSight } from "./live.js";
import { Measures } from "./measures.js";
import { Player } from "./player.js";
import { Storyboard } from "./storyboard.js";
import { Veil } from "./veil.js";

const SAMPLE_MS = 500;

/** @returns {any} */
const at = (id) => document.getElementById(id);
/** @type {HTMLVideoElement} */
const video = at("video");
const streamId = streamIdOf(location.pathname);

const home = `/hls/${encodeURIComponent(streamId)}`;
const adviser = new Adviser(streamId, !wantsOwn(location.search));
const player = new Player(video, `${home}/master.m3u8`, adviser);
const veil = new Veil(video, retry);
const chooser = new Chooser(at("renditions"), choose);
const counsel = new Counsel(adviser);
const hydrograph = new Hydrograph(at("hydrograph"), at("hydrograph-caption"));
const measures = new Measures();
const sight = new LiveSight(video, player, veil, new Storyboard(`${home}/thumbnails.vtt`));
const loop = new Loop(follow);

let failures = 0;
let isStarted = false;
/** @type {Audience|null} */
let audience = null;
/** @type {import("../words/stream.js").Known|null} */
let shown = null;

/** Ask how far the stream has come, until it will come no further. */
async function follow() {
  try {
    const known = await readKnown(streamId);
    failures = 0;
    showStream(known);
    return pauseAfter_ms(known);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    failures += 1;
    const retry_s = backoff_ms(failures) / 1_000;
    if (!isStarted) veil.show({ title: "The stream cannot be looked up", text: error.message, retry_s });
    return backoff_ms(failures);
  }
}

/** @param {import("../words/stream.js").Known} known */
function showStream(known) {
  if (hasBegunAgain(known)) location.reload();
  shown = known;
  const { title, tone, state, progress, obstacle } = describeStream(known, { isDry: isDry() });
  say(at("title"), title);
  document.title = `${title} · Weir`;
  say(at("state"), state);
  at("stream-state").dataset.tone = tone;
  at("stream-state").hidden = !state;
  at("transcode").hidden = !progress;
  if (progress) showProgress(progress);
  if (!isStarted) startOrExplain(obstacle);
  if (known.stream) showAudience();
}

function showAudience() {
  if (audience) return;
  at("viewers").hidden = false;
  audience = new Audience(streamId, () => ({ ownId: player.viewerId, variants: shown.stream?.variants ?? [] }));
  leadToViewers();
}

/** Who comes by a link to the viewers is led there, and again when what stands before them has its height. */
function leadToViewers() {
  if (location.hash === "#viewers") at("viewers").scrollIntoView();
}

/** A recording has caught up with its transcode at once; a live picture may hesitate. */
function isDry() {
  return isStarted && (player.live ? sight.isAway : player.isDry);
}

function showProgress({ ratio, label, readings }) {
  fillGauge(at("gauge"), ratio, label);
  fillReadings(at("readings"), readings);
}

function startOrExplain(obstacle) {
  if (obstacle) {
    veil.show(obstacle);
    return;
  }
  isStarted = true;
  const isLive = isTakingMedia(shown.stream);
  at("measures").hidden = false;
  veil.lift();
  player.start(isLive);
}

function choose(index) {
  player.choose(index);
  counsel.note(index >= 0);
}

function offer() {
  chooser.offer(player.renditions);
  counsel.offer(player.renditions.length);
  counsel.note(false);
  leadToViewers();
}

/** Only a page that is gone for good says so: from others the viewer may come back. */
function leave({ persisted }) {
  if (player.viewerId && !persisted) sendLeave(streamId, player.viewerId);
}

function retry() {
  if (isStarted) player.retry();
  else loop.wake();
}

function sample() {
  if (document.hidden) return;
  measures.showLatency(sight.look());
  const measured = player.measure();
  const { rendition, throughput_bps, buffer_s } = measured;
  measures.show(measured);
  measures.showTally(video);
  chooser.note(rendition);
  if (isStarted) hydrograph.push({ time_ms: performance.now(), throughput_bps, rendition_bps: rendition?.bitrate_bps || null, buffer_s });
}

/** Nothing more comes. */
function end() {
  if (shown.stream && isLiveKind(shown.stream)) sight.end(shown.stream);
  loop.wake();
}

/** The stream that plays is gone, and another stands under its name. */
function hasBegunAgain({ stream }) {
  return isStarted && stream && shown?.stream && stream.incarnation !== shown.stream.incarnation;
}

function fitScreen() {
  const { videoWidth, videoHeight } = video;
  at("audio-only").hidden = videoWidth > 0;
  if (videoWidth) at("screen").style.setProperty("--aspect", `${videoWidth} / ${videoHeight}`);
}

/** The id in "/watch/<id>"; one that is wrongly encoded stays as it is, and will be found missing. */
function streamIdOf(path) {
  const segment = path.split("/")[2] ?? "";
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

player.addEventListener("renditions", offer);
player.addEventListener("switch", () => measures.countSwitch());
player.addEventListener("fault", (/** @type {CustomEvent} */ event) => veil.show(event.detail));
player.addEventListener("well", () => veil.lift());
player.addEventListener("muted", () => (at("unmute").hidden = false));
at("unmute").addEventListener("click", () => (video.muted = false));
video.addEventListener("volumechange", () => video.muted || (at("unmute").hidden = true));
video.addEventListener("waiting", () => video.seeking || (video.currentTime > 0 && measures.countStall()));
sight.addEventListener("change", () => loop.wake());
sight.addEventListener("over", end);
video.addEventListener("ended", end);
video.addEventListener("loadeddata", fitScreen);
video.addEventListener("resize", fitScreen);
window.addEventListener("pagehide", leave);
setInterval(sample, SAMPLE_MS);
loop.wake();
