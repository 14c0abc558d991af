/** Asks Weir what this player should play next: once per segment, never twice at once, and never in anybody's way. */

import { selectQuality } from "../api/adaptation.js";
import { Fault } from "../api/fault.js";

/** @typedef {import("../api/adaptation.js").Decision} Decision */

/** Dispatches "advice" when something new is to be told of it: see `news`. */
export class Adviser extends EventTarget {
  /** The player follows; else nothing is asked. */
  isFollowed;
  /** What came of the last question; null: nothing was asked yet. @type {{decision: Decision|null, fault: Fault|null}|null} */
  news = null;
  #streamId;
  #isAsking = false;

  /**
   * @param {string} streamId
   * @param {boolean} isFollowed
   */
  constructor(streamId, isFollowed) {
    super();
    this.#streamId = streamId;
    this.isFollowed = isFollowed;
  }

  /**
   * @param {import("../api/adaptation.js").Measured} measured
   * @returns {Promise<Decision|null>} Null: there is no advice, and the player decides by itself.
   */
  async ask(measured) {
    if (!this.isFollowed || this.#isAsking) return null;
    this.#isAsking = true;
    this.news = await this.#decide(measured);
    this.#isAsking = false;
    this.dispatchEvent(new Event("advice"));
    return this.isFollowed ? this.news.decision : null;
  }

  async #decide(measured) {
    try {
      return { decision: await selectQuality(this.#streamId, measured), fault: null };
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      return { decision: null, fault };
    }
  }
}
