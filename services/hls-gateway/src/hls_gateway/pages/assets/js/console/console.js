/** The console page: what the server knows and what is being uploaded, on one board. */

import { Fault } from "../api/fault.js";
import { cancelTranscode, deleteRecording, startTranscode } from "../api/recordings.js";
import { deleteStream } from "../api/streams.js";
import { Loop, backoff_ms } from "../page/loop.js";
import { say } from "../page/template.js";
import { describeLiveStream, describeRecording } from "../words/recording.js";
import { describeUpload } from "../words/upload.js";
import { Board } from "./board.js";
import { confirmed } from "./confirm.js";
import { Feed } from "./feed.js";
import { openIntake } from "./intake.js";
import { Uploads } from "./uploads.js";

const at = (id) => document.getElementById(id);

const uploads = new Uploads();
const feed = new Feed();
const loop = new Loop(readAndShow);
const board = new Board(at("board"), { cancel, remove, again }, { onState: announce, focusFallback: at("heading") });

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
  const views = allViews();
  board.show(views);
  document.body.classList.toggle("away", failures > 0);
  document.body.classList.toggle("flowing", failures === 0 && views.some((view) => view.tone === "flowing"));
  at("away").hidden = failures === 0;
  at("empty").hidden = !hasRead || views.length > 0;
  at("more").hidden = !feed.hasMore;
  say(at("summary"), hasRead ? summaryOf(views) : "\u00a0");
}

/** Uploads stand first, then what happens live; a recording that is still an upload of this page is shown as that. */
function allViews() {
  const now_ms = Date.now();
  const listed = feed.recordings.filter((recording) => !uploads.has(recording.recording_id));
  return [
    ...uploads.all.map(describeUpload),
    ...feed.liveStreams.map((stream) => describeLiveStream(stream, now_ms)),
    ...listed.map((recording) => describeListed(recording, now_ms)),
  ];
}

function describeListed(recording, now_ms) {
  const { recording_id } = recording;
  return describeRecording(recording, feed.jobOf(recording_id), feed.streamOf(recording_id), now_ms);
}

function summaryOf(views) {
  if (!views.length) return "\u00a0";
  const count = `${views.length}${feed.hasMore ? " or more" : ""} in all`;
  const moving = views.filter((view) => view.tone === "flowing").length;
  return moving ? `${count}, ${moving} on the way` : count;
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
  await (view.kind === "stream" ? deleteStream : deleteRecording)(view.id);
  say(at("announcer"), `${view.title} was deleted.`);
  await loop.wake();
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
loop.wake();
