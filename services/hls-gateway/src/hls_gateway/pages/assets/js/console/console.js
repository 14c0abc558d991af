/** The console page: what the server knows and what is being uploaded, on one board. */

import { Fault } from "../api/fault.js";
import { cancelTranscode, deleteRecording, startTranscode } from "../api/recordings.js";
import { deleteStream, getStream, startStream, stopStream } from "../api/streams.js";
import { Loop, backoff_ms } from "../page/loop.js";
import { say } from "../page/template.js";
import { describeLiveStream } from "../words/live.js";
import { describeRecording } from "../words/recording.js";
import { describeUpload } from "../words/upload.js";
import { Board } from "./board.js";
import { confirmed } from "./confirm.js";
import { openDelivery } from "./delivery.js";
import { Feed } from "./feed.js";
import { openGoLive } from "./golive.js";
import { openIntake } from "./intake.js";
import { Setup } from "./setup.js";
import { Uploads } from "./uploads.js";

const at = (id) => document.getElementById(id);

const uploads = new Uploads();
const feed = new Feed();
const loop = new Loop(readAndShow);
const setup = new Setup();
const boards = {
  live: openBoard(at("live-board"), { halt: stop, remove: removeLive, again: start, setup: showSetup }),
  recordings: openBoard(at("board"), { halt: cancel, remove, again, setup: showSetup }),
};

let failures = 0;
let hasRead = false;

async function readAndShow() {
  try {
    await feed.read();
    failures = 0;
    hasRead = true;
    uploads.settle(new Set(feed.recordings.map((recording) => recording.recording_id)));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    failures += 1;
    say(at("away-reason"), `${error.message} Trying again by itself.`);
  }
  show();
  return failures ? backoff_ms(failures) : feed.pause_ms;
}

function show() {
  const live = liveViews();
  const recordings = recordingViews();
  const views = [...live, ...recordings];
  boards.live.show(live);
  boards.recordings.show(recordings);
  at("live-section").hidden = !live.length;
  at("board-section").hidden = !recordings.length;
  setup.note(live);
  document.body.classList.toggle("away", failures > 0);
  document.body.classList.toggle("flowing", failures === 0 && views.some(isMoving));
  at("away").hidden = failures === 0;
  at("empty").hidden = !hasRead || views.length > 0;
  at("more").hidden = !feed.hasMore;
  say(at("summary"), hasRead ? summaryOf(views) : "\u00a0");
}

function openBoard(list, actions) {
  return new Board(list, actions, { onState: announce, focusFallback: at("heading") });
}

function liveViews() {
  const now_ms = Date.now();
  return feed.liveStreams.map((stream) => describeLiveStream(stream, { isQuiet: feed.isQuiet(stream.stream_id), now_ms }));
}

/** Uploads stand first; a recording that is still an upload of this page is shown as that. */
function recordingViews() {
  const now_ms = Date.now();
  const listed = feed.recordings.filter((recording) => !uploads.has(recording.recording_id));
  return [...uploads.all.map(describeUpload), ...listed.map((recording) => describeListed(recording, now_ms))];
}

function describeListed(recording, now_ms) {
  const { recording_id } = recording;
  return describeRecording(recording, feed.jobOf(recording_id), feed.streamOf(recording_id), now_ms);
}

function summaryOf(views) {
  if (!views.length) return "\u00a0";
  const count = `${views.length}${feed.hasMore ? " or more" : ""} in all`;
  const countOf = (tone) => views.filter((view) => view.tone === tone).length;
  const [live, moving] = [countOf("live"), countOf("flowing")];
  return [count, live && `${live} live`, moving && `${moving} on the way`].filter(Boolean).join(", ");
}

function isMoving({ tone }) {
  return tone === "flowing" || tone === "live";
}

async function cancel({ id }) {
  await (uploads.has(id) ? uploads.drop(id) : cancelTranscode(id));
  await loop.wake();
}

async function again({ id }) {
  if (uploads.has(id)) uploads.retry(id);
  else await startTranscode(id);
  await loop.wake();
}

async function remove(view) {
  if (uploads.has(view.id)) {
    await uploads.drop(view.id);
    return;
  }
  const agreed = await confirmed({
    question: `Delete “${view.title}”?`,
    consequence: "Its source, its renditions and its stream will be gone, and who watches it now is cut off. This cannot be undone.",
    go: "Delete",
  });
  if (!agreed) return;
  await deleteRecording(view.id);
  await tellDeleted(view);
}

async function removeLive(view) {
  const agreed = await confirmed({
    question: `Delete “${view.title}”?`,
    consequence: "What was shown and what was recorded will be gone, and who publishes or watches it now is cut off. This cannot be undone.",
    go: "Delete",
  });
  if (!agreed) return;
  await deleteStream(view.id);
  await tellDeleted(view);
}

async function tellDeleted({ title }) {
  say(at("announcer"), `${title} was deleted.`);
  await loop.wake();
}

async function stop(view) {
  const agreed = await confirmed({
    question: `Stop “${view.title}”?`,
    consequence: "The stream ends for all who watch it, and its publisher is cut off.",
    go: "Stop",
    keep: "Let it run",
  });
  if (!agreed) return;
  await stopStream(view.id);
  await loop.wake();
}

async function start(view) {
  const agreed = await confirmed({
    question: `Start “${view.title}” again?`,
    consequence: "It begins anew under the same address, with a new key. What is left of its last run will be gone.",
    go: "Start",
    keep: "Leave it",
  });
  if (!agreed) return;
  setup.show(await startStream(view.id));
  await loop.wake();
}

async function showSetup({ id }) {
  setup.show(await getStream(id));
}

function announce(view) {
  say(at("announcer"), `${view.title}: ${view.state}.${view.message ? ` ${view.message}` : ""}`);
}

uploads.addEventListener("change", show);
uploads.addEventListener("change", () => uploads.all.some((upload) => upload.phase === "started") && loop.wake());
window.addEventListener("beforeunload", (event) => uploads.isBusy && event.preventDefault());
at("away-retry").addEventListener("click", () => loop.wake());
at("more").addEventListener("click", () => {
  feed.wantMore();
  loop.wake();
});
openIntake((sources) => uploads.add(sources));
openGoLive((stream) => {
  setup.show(stream);
  loop.wake();
});
openDelivery(at("delivery"));
loop.wake();
