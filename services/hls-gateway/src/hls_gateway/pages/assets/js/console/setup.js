/** The dialog that shows what a publisher has to enter, and hears when media comes. */

import { copy } from "../page/clipboard.js";
import { say, stamp } from "../page/template.js";
import { describePublishing } from "../words/publishing.js";

const COPIED_MS = 2_000;

/** @returns {any} */
const at = (id) => document.getElementById(id);

export class Setup {
  #dialog = at("setup");
  #streamId = "";
  /** @type {import("../api/streams.js").Ingest|null} */
  #ingest = null;

  constructor() {
    at("setup-done").addEventListener("click", () => this.#dialog.close());
    at("setup-reveal").addEventListener("click", () => this.#cover(!this.#isCovered));
    this.#dialog.addEventListener("close", () => this.#forget());
  }

  /** @param {import("../api/streams.js").Stream} stream One that is pushed, as it was created or got. */
  show(stream) {
    this.#streamId = stream.stream_id;
    this.#ingest = stream.ingest ?? null;
    say(at("setup-heading"), stream.title || stream.stream_id);
    at("setup-watch").setAttribute("href", `/watch/${encodeURIComponent(stream.stream_id)}`);
    this.#tell({ tone: "still", state: "Waiting for your media" });
    this.#cover(true);
    this.#dialog.showModal();
  }

  /** Tell how the stream is that is shown. @param {import("../words/recording.js").View[]} views */
  note(views) {
    const view = views.find(({ id }) => id === this.#streamId);
    if (view?.isPlayable) this.#tell(view);
  }

  #tell({ tone, state }) {
    at("setup-state").dataset.tone = tone;
    say(at("setup-word"), state);
  }

  get #isCovered() {
    return at("setup-reveal").getAttribute("aria-pressed") === "false";
  }

  #cover(isCovered) {
    const { studio, elsewhere } = describePublishing(this.#ingest);
    const fill = (list, settings) => list.replaceChildren(...settings.map((setting) => this.#line(setting, isCovered)));
    fill(at("setup-studio"), studio);
    fill(at("setup-elsewhere"), elsewhere);
    at("setup-reveal").setAttribute("aria-pressed", String(!isCovered));
    say(at("setup-reveal"), isCovered ? "Show the key" : "Cover the key");
  }

  #line({ name, value, shown }, isCovered) {
    const { node, slots } = stamp("setting");
    say(slots.name, name);
    say(slots.value, isCovered ? shown : value);
    slots.copy.setAttribute("aria-label", `Copy ${name}`);
    slots.copy.addEventListener("click", () => this.#copy(slots.copy, value));
    return node;
  }

  async #copy(button, value) {
    const isCopied = await copy(value, this.#dialog);
    say(button, isCopied ? "Copied" : "Not allowed");
    setTimeout(() => say(button, "Copy"), COPIED_MS);
  }

  /** Secrets do not stay in a page that no longer shows them. */
  #forget() {
    this.#streamId = "";
    this.#ingest = null;
    at("setup-studio").replaceChildren();
    at("setup-elsewhere").replaceChildren();
  }
}
