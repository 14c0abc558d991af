/** Lets the viewer choose who decides on renditions, and shows what was decided and why. */

import { say, sayOrHide } from "../page/template.js";
import { describeDecision } from "../words/decision.js";

/** The page's own address may say who decides: ?abr=weir or ?abr=hlsjs. */
const ARGUMENT = "abr";
const OWN = "hlsjs";

/** Whether the address asks for hls.js' own adaptation. @param {string} search */
export function wantsOwn(search) {
  return new URLSearchParams(search).get(ARGUMENT) === OWN;
}

export class Counsel {
  #counsel = document.getElementById("counsel");
  #adviser;
  #isManual = false;

  /** @param {import("./adviser.js").Adviser} adviser */
  constructor(adviser) {
    this.#adviser = adviser;
    adviser.addEventListener("advice", () => this.#show());
    for (const input of this.#inputs) {
      input.checked = (input.value !== OWN) === adviser.isFollowed;
      input.addEventListener("change", () => this.#change(input.value !== OWN));
    }
  }

  /** Show it when there is something to decide. @param {number} renditionsCount */
  offer(renditionsCount) {
    this.#counsel.hidden = renditionsCount < 2;
    this.#show();
  }

  /** Take note whether the viewer has chosen a rendition. */
  note(isManual) {
    this.#isManual = isManual;
    this.#show();
  }

  get #inputs() {
    return this.#counsel.querySelectorAll("input");
  }

  /** What is said of it stays true when the page is loaded again. */
  #change(isFollowed) {
    this.#adviser.isFollowed = isFollowed;
    this.#adviser.news = null;
    const url = new URL(location.href);
    url.searchParams.set(ARGUMENT, isFollowed ? "weir" : OWN);
    history.replaceState(null, "", url);
    this.#show();
  }

  #show() {
    const { isFollowed, news } = this.#adviser;
    const { verdict, reason, policy } = describeDecision({ isFollowed, isManual: this.#isManual, news });
    sayOrHide(document.getElementById("verdict"), verdict);
    say(document.getElementById("reason"), reason);
    sayOrHide(document.getElementById("policy"), policy && `Policy: ${policy}`);
  }
}
