/** Reads what the server knows: the recordings, of each the newest job, and the streams. */

import { listRecordings, newestJob } from "../api/recordings.js";
import { listStreams } from "../api/streams.js";
import { isTakingMedia } from "../words/live.js";
import { isAtWork } from "../words/recording.js";

const PAGE_SIZE = 50;
const BUSY_PAUSE_MS = 1_000;
const IDLE_PAUSE_MS = 5_000;
const AT_ONCE = 6;
/** Jobs that have ended are read again now and then, a few at a time: somebody else may have started a new one. */
const REREAD_AFTER_MS = 15_000;
const REREAD_AT_ONCE = 4;

/** A live stream to which nothing was added for longer has lost its publisher. */
const QUIET_AFTER_MS = 12_000;

const ARRIVING = ["UPLOADING", "FETCHING", "PROBING"];

export class Feed {
  /** @type {import("../api/recordings.js").Recording[]} */
  recordings = [];
  /** @type {import("../api/streams.js").Stream[]} */
  streams = [];
  hasMore = false;
  /** @type {Map<string, {job: import("../api/recordings.js").Job|null, read_ms: number}>} */
  #jobs = new Map();
  /** @type {Map<string, {duration_s: number, grown_ms: number}>} How long each live stream was when it last grew. */
  #growth = new Map();
  #pages = 1;

  /** The newest job of a recording, as last read; null when it has none. */
  jobOf(recordingId) {
    return this.#jobs.get(recordingId)?.job ?? null;
  }

  /** The stream made from a recording; null when there is none. */
  streamOf(recordingId) {
    return this.streams.find((stream) => stream.recording_id === recordingId) ?? null;
  }

  /** The streams that were made from no recording. */
  get liveStreams() {
    return this.streams.filter((stream) => !stream.recording_id);
  }

  /** Nothing has come to a live stream for a while. */
  isQuiet(streamId) {
    const growth = this.#growth.get(streamId);
    return growth !== undefined && performance.now() - growth.grown_ms > QUIET_AFTER_MS;
  }

  /** After how long there will be something new to read. */
  get pause_ms() {
    const isMoving = this.recordings.some((recording) => this.#isMoving(recording)) || this.streams.some(isTakingMedia);
    return isMoving ? BUSY_PAUSE_MS : IDLE_PAUSE_MS;
  }

  /** Read one more page from now on. */
  wantMore() {
    this.#pages += 1;
  }

  /** Read everything anew; throws the Fault of the first call that failed. */
  async read() {
    const [recordings, streams] = await Promise.all([
      this.#readPages(listRecordings, "recordings"),
      this.#readPages(listStreams, "streams"),
    ]);
    this.recordings = recordings.items;
    this.streams = streams.items;
    this.#noteGrowth();
    this.hasMore = recordings.hasMore || streams.hasMore;
    this.#forget(new Set(this.recordings.map((recording) => recording.recording_id)));
    await this.#readJobs();
  }

  #noteGrowth() {
    const before = this.#growth;
    this.#growth = new Map();
    for (const { stream_id, duration_s } of this.liveStreams) {
      const known = before.get(stream_id);
      const hasGrown = known?.duration_s !== duration_s;
      this.#growth.set(stream_id, hasGrown ? { duration_s, grown_ms: performance.now() } : known);
    }
  }

  async #readPages(list, name) {
    const items = [];
    let pageToken = "";
    for (let page = 0; page < this.#pages && (page === 0 || pageToken); page += 1) {
      const answer = await list({ pageSize: PAGE_SIZE, pageToken });
      items.push(...answer[name]);
      pageToken = answer.next_page_token;
    }
    return { items, hasMore: Boolean(pageToken) };
  }

  async #readJobs() {
    const due = this.#dueJobs();
    for (let at = 0; at < due.length; at += AT_ONCE) {
      await Promise.all(due.slice(at, at + AT_ONCE).map((recording) => this.#readJob(recording.recording_id)));
    }
  }

  async #readJob(recordingId) {
    const job = await newestJob(recordingId).catch((fault) => {
      if (fault.isMissing) return null; // deleted since it was listed
      throw fault;
    });
    this.#jobs.set(recordingId, { job, read_ms: performance.now() });
  }

  #dueJobs() {
    const begun = this.recordings.filter((recording) => recording.watch_url);
    const isFresh = ({ recording_id }) => !this.#jobs.has(recording_id) || this.#isTranscoded(recording_id);
    const old = begun.filter((recording) => !isFresh(recording) && this.#age_ms(recording) > REREAD_AFTER_MS);
    return [...begun.filter(isFresh), ...old.slice(0, REREAD_AT_ONCE)];
  }

  #isTranscoded(recordingId) {
    const job = this.jobOf(recordingId);
    return job !== null && isAtWork(job);
  }

  #isMoving(recording) {
    return ARRIVING.includes(recording.state) || this.#isTranscoded(recording.recording_id);
  }

  #age_ms({ recording_id }) {
    return performance.now() - this.#jobs.get(recording_id).read_ms;
  }

  #forget(listedIds) {
    for (const id of this.#jobs.keys()) {
      if (!listedIds.has(id)) this.#jobs.delete(id);
    }
  }
}
