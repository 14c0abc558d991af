/**
 * The uploads that this page carries out, one after the other: make the recording, send its bytes, start its
 * transcode. What is refused, or cancelled, is taken back from the server.
 *
 * @typedef {object} Upload
 * @property {string} id The recording's id, chosen here, so that a retry makes no second recording.
 * @property {string} title
 * @property {File} source
 * @property {"waiting"|"creating"|"sending"|"probing"|"starting"|"started"|"refused"|"broken"} phase
 * @property {number} sent_bytes
 * @property {number} rate_bytes Mean rate since the sending began, per second.
 * @property {string} message
 * @property {boolean} isStored The server has the bytes, whatever came after.
 * @property {AbortController} cancelling
 * @property {Promise<void>} attempt Settles when its present attempt has ended.
 */

import { Fault } from "../api/fault.js";
import { createRecording, deleteRecording, startTranscode } from "../api/recordings.js";
import { putSource } from "../api/upload.js";
import { idOf, titleOf } from "../words/naming.js";

const UNFINISHED = ["waiting", "creating", "sending", "probing", "starting"];
const NOT_ON_SERVER = ["waiting", "refused"];
/** @type {Pick<Upload, "phase"|"sent_bytes"|"rate_bytes"|"message">} */
const AT_START = { phase: "waiting", sent_bytes: 0, rate_bytes: 0, message: "" };

/** Dispatches "change" whenever an upload has come further. */
export class Uploads extends EventTarget {
  /** @type {Map<string, Upload>} */
  #uploads = new Map();
  #line = Promise.resolve();

  /** Newest first, as recordings are listed. @returns {Upload[]} */
  get all() {
    return [...this.#uploads.values()].reverse();
  }

  get isBusy() {
    return this.all.some((upload) => UNFINISHED.includes(upload.phase));
  }

  has(id) {
    return this.#uploads.has(id);
  }

  /** @param {Iterable<File>} sources */
  add(sources) {
    for (const source of sources) {
      const title = titleOf(source.name);
      this.#enqueue({
        ...AT_START,
        id: idOf(title),
        title,
        source,
        isStored: false,
        cancelling: new AbortController(),
        attempt: Promise.resolve(),
      });
    }
  }

  /** Try a broken upload again, from where starting again makes sense. */
  retry(id) {
    const upload = this.#uploads.get(id);
    Object.assign(upload, AT_START, { cancelling: new AbortController() });
    this.#enqueue(upload);
  }

  /** Give an upload up, whether it runs or has failed, and take back what the server has of it. */
  async drop(id) {
    const upload = this.#uploads.get(id);
    this.#uploads.delete(id);
    upload.cancelling.abort();
    this.#changed();
    if (NOT_ON_SERVER.includes(upload.phase)) return;
    await upload.attempt; // else the taking back could overtake the making
    await takeBack(id);
  }

  /** Forget the uploads that the server's own list now tells about. */
  settle(listedIds) {
    for (const { id, phase } of this.all) {
      if (phase === "started" && listedIds.has(id)) this.#uploads.delete(id);
    }
  }

  /** @param {Upload} upload */
  #enqueue(upload) {
    this.#uploads.set(upload.id, upload);
    this.#line = this.#line.then(() => this.#carryOut(upload)).catch(reportError);
    upload.attempt = this.#line;
    this.#changed();
  }

  async #carryOut(upload) {
    if (upload.cancelling.signal.aborted) return;
    try {
      if (!upload.isStored) await this.#store(upload);
      this.#enter(upload, "starting");
      await startTranscode(upload.id);
      this.#enter(upload, "started");
    } catch (error) {
      if (!upload.cancelling.signal.aborted) await this.#fail(upload, error);
    }
  }

  async #store(upload) {
    this.#enter(upload, "creating");
    await createRecording(upload.id, upload.title);
    this.#enter(upload, "sending");
    const begun_ms = performance.now();
    const onSent = (sent_bytes) => {
      upload.sent_bytes = sent_bytes;
      upload.rate_bytes = (1_000 * sent_bytes) / (performance.now() - begun_ms);
      this.#enter(upload, sent_bytes < upload.source.size ? "sending" : "probing");
    };
    await putSource(upload.id, upload.source, { onSent, signal: upload.cancelling.signal });
    upload.isStored = true;
  }

  async #fail(upload, error) {
    if (!(error instanceof Fault)) throw error;
    upload.message = error.message;
    this.#enter(upload, error.mayPass ? "broken" : "refused");
    if (!error.mayPass) await takeBack(upload.id);
  }

  #enter(upload, phase) {
    upload.phase = phase;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Delete what an upload left. If that fails too, the recording shows as an empty one, and can be deleted there. */
async function takeBack(id) {
  await deleteRecording(id).catch(() => undefined);
}
