/** The player page of one stream: its picture, its state, and what flows to it. */

import { Fault } from "../api/fault.js";
import { getRecording, newestJob } from "../api/recordings.js";
import { Loop, backoff_ms } from "../page/loop.js";
import { fillGauge, fillReadings, say } from "../page/template.js";
import { isAtWork } from "../words/recording.js";
import { describeStream } from "../words/rendition.js";
import { Chooser } from "./chooser.js";
import { Hydrograph } from "./hydrograph.js";
import { Measures } from "./measures.js";
import { Player } from "./player.js";
import { Veil } from "./veil.js";

const POLL_MS = 1_000;
const SAMPLE_MS = 500;
const LIVE_EDGE = -1;

const at = (id) => document.getElementById(id);
const video = /** @type {HTMLVideoElement} */ (at("video"));
const encodedId = location.pathname.split("/")[2] ?? "";

const player = new Player(video, `/hls/${encodedId}/master.m3u8`);
const veil = new Veil(video, retry);
const chooser = new Chooser(at("renditions"), (index) => player.choose(index));
const hydrograph = new Hydrograph(at("hydrograph"), at("hydrograph-caption"));
const measures = new Measures();
const loop = new Loop(follow);

/** What the API told: undefined before it did, null when there is no such thing. */
let recording;
let job = null;
let failures = 0;
let isStarted = false;

/** Ask how far the stream has come, until it will come no further. */
async function follow() {
  try {
    recording ??= await getRecording(decodeURIComponent(encodedId));
    job = await newestJob(recording.recording_id);
    failures = 0;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (error.isMissing) recording = null;
    else failures += 1;
  }
  showStream();
  if (failures) return backoff_ms(failures);
  return job && isAtWork(job) ? POLL_MS : Infinity;
}

function showStream() {
  const { isGrowing } = player.measure();
  const stream = describeStream({ recording: recording ?? null, job, isGrowing });
  const title = recording?.title || safelyDecoded(encodedId);
  say(at("title"), title);
  document.title = `${title} · Weir`;
  say(at("state"), stream.state);
  at("state").parentElement.dataset.tone = stream.tone;
  at("transcode").hidden = !stream.progress;
  if (stream.progress) showProgress(stream.progress);
  if (!isStarted) startOrExplain(stream.obstacle);
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
  veil.lift();
  player.start({ startsAt_s: recording ? 0 : LIVE_EDGE });
}

function retry() {
  if (isStarted) player.retry();
  else loop.wake();
}

function sample() {
  if (document.hidden) return;
  const measured = player.measure();
  const { rendition, throughput_bps, buffer_s } = measured;
  measures.show(measured);
  measures.showTally(video);
  chooser.note(rendition);
  if (!isStarted) return;
  showStream();
  hydrograph.push({ time_ms: performance.now(), throughput_bps, rendition_bps: rendition?.bitrate_bps || null, buffer_s });
}

function fitScreen() {
  const { videoWidth, videoHeight } = video;
  at("audio-only").hidden = videoWidth > 0;
  if (videoWidth) at("screen").style.setProperty("--aspect", `${videoWidth} / ${videoHeight}`);
}

function safelyDecoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

player.addEventListener("renditions", () => chooser.offer(player.renditions));
player.addEventListener("switch", () => measures.countSwitch());
player.addEventListener("fault", (event) => veil.show(event.detail));
player.addEventListener("well", () => veil.lift());
player.addEventListener("muted", () => (at("unmute").hidden = false));
at("unmute").addEventListener("click", () => (video.muted = false));
video.addEventListener("volumechange", () => video.muted || (at("unmute").hidden = true));
video.addEventListener("waiting", () => video.seeking || (video.currentTime > 0 && measures.countStall()));
video.addEventListener("loadeddata", fitScreen);
video.addEventListener("resize", fitScreen);
setInterval(sample, SAMPLE_MS);
loop.wake();
