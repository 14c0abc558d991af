/** One row of the board: shows a recording (or an upload that becomes one), and does what its buttons say. */

import { Fault } from "../api/fault.js";
import { fillGauge, fillReadings, say, sayOrHide, stamp } from "../page/template.js";

/**
 * @typedef {import("../words/recording.js").View} View
 * @typedef {Record<"halt"|"remove"|"again"|"setup", (view: View) => Promise<void>>} Actions
 */

export class Row {
  node;
  #slots;
  /** @type {View} */
  #view;
  #fault = "";

  /** @param {Actions} actions */
  constructor(actions) {
    ({ node: this.node, slots: this.#slots } = stamp("row"));
    for (const [name, action] of Object.entries(actions)) {
      this.#slots[name].addEventListener("click", () => this.#act(action));
    }
  }

  /** The state that the row shows now, in a word. */
  get state() {
    return this.#view?.state ?? "";
  }

  /** @param {View} view */
  show(view) {
    this.#view = view;
    this.node.dataset.recording = view.id;
    this.node.dataset.kind = view.kind;
    this.node.dataset.tone = view.tone;
    say(this.#slots.title, view.title);
    say(this.#slots.state, view.state);
    this.#showFacts(view.facts);
    this.#showProgress(view.progress);
    sayOrHide(this.#slots.message, this.#fault || view.message);
    this.#showActions(view);
  }

  #showFacts(facts) {
    const list = this.#slots.facts;
    facts.forEach((fact, at) => say(list.children[at] ?? list.appendChild(document.createElement("li")), fact));
    while (list.children.length > facts.length) list.lastElementChild.remove();
  }

  #showProgress(progress) {
    this.#slots.progress.hidden = !progress;
    if (!progress) return;
    fillGauge(this.#slots.gauge, progress.ratio, progress.label);
    fillReadings(this.#slots.readings, progress.readings);
  }

  #showActions(view) {
    const { watch, viewers, halt, remove, again, setup } = this.#slots;
    const page = `/watch/${encodeURIComponent(view.id)}`;
    watch.hidden = viewers.hidden = !view.isPlayable;
    watch.setAttribute("href", page);
    watch.setAttribute("aria-label", `Watch ${view.title}`);
    viewers.setAttribute("href", `${page}#viewers`);
    viewers.setAttribute("aria-label", `Viewers of ${view.title}`);
    setup.hidden = !view.hasSetup;
    setup.setAttribute("aria-label", `Settings of ${view.title}`);
    this.#label(halt, view.halt);
    this.#label(remove, view.removal);
    this.#label(again, view.again);
  }

  #label(button, word) {
    sayOrHide(button, word);
    button.setAttribute("aria-label", `${word} ${this.#view.title}`);
  }

  async #act(action) {
    if (this.#isBusy) return;
    this.#setBusy(true);
    this.#fault = "";
    try {
      await action(this.#view);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#fault = error.message;
      this.show(this.#view);
    } finally {
      this.#setBusy(false);
    }
  }

  /** Busy buttons are not disabled: a disabled one would lose the focus. */
  #setBusy(busy) {
    this.node.setAttribute("aria-busy", String(busy));
  }

  get #isBusy() {
    return this.node.getAttribute("aria-busy") === "true";
  }
}
