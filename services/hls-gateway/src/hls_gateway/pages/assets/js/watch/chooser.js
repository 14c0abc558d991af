/** The rendition selector: one radio button for each rendition, and one that leaves it to the player. */

import { stamp } from "../page/template.js";
import { renditionName } from "../words/rendition.js";
import { bitrate } from "../words/units.js";

const AUTO = -1;

export class Chooser {
  #fieldset;
  #onChoice;
  #autoNote = null;

  /**
   * @param {HTMLFieldSetElement} fieldset
   * @param {(index: number) => void} onChoice Hears a rendition's index; -1: the player chooses.
   */
  constructor(fieldset, onChoice) {
    this.#fieldset = fieldset;
    this.#onChoice = onChoice;
  }

  /** @param {import("../words/rendition.js").Rendition[]} renditions */
  offer(renditions) {
    for (const old of this.#fieldset.querySelectorAll("label")) old.remove();
    const highestFirst = renditions.toSorted((one, other) => other.bitrate_bps - one.bitrate_bps);
    this.#autoNote = this.#add(AUTO, "Auto", "").rate;
    for (const rendition of highestFirst) {
      this.#add(rendition.index, renditionName(rendition), bitrate(rendition.bitrate_bps).join(" "));
    }
    this.#fieldset.hidden = renditions.length < 2;
  }

  /** Say which rendition the player shows now. */
  note(rendition) {
    if (this.#autoNote) this.#autoNote.textContent = rendition ? `now ${renditionName(rendition)}` : "";
  }

  #add(index, name, rate) {
    const { node, slots } = stamp("rendition-choice");
    slots.name.textContent = name;
    slots.rate.textContent = rate;
    slots.input.value = String(index);
    slots.input.setAttribute("aria-label", rate ? `${name}, ${rate}` : name);
    slots.input.checked = index === AUTO;
    slots.input.addEventListener("change", () => this.#onChoice(index));
    this.#fieldset.append(node);
    return slots;
  }
}
