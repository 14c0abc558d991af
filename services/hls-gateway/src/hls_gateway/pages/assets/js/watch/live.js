/** Follows the picture: shows where it stands, explains a live one when it stands still, and lets go of it at its end. */

import { PUBLISHER_AWAY, describeEnd, isAtLive } from "../words/live.js";
import { Deck } from "./deck.js";

/** A picture that stands still for longer waits for its publisher; before that it only hesitates. */
const HESITATION_MS = 3_000;

/**
 * Dispatches "change" when the publisher went away or came back, and when the stream ended; "over" when what is left of
 * an ended stream will not play to its last frame, so that the video itself never says that it ended.
 */
export class LiveSight extends EventTarget {
  /** The picture waits for more media. */
  isAway = false;
  #player;
  #veil;
  #deck;
  #wasLive = false;
  #dry_ms = null;
  #isEnding = false;

  /**
   * @param {HTMLVideoElement} video
   * @param {import("./player.js").Player} player
   * @param {import("./veil.js").Veil} veil
   * @param {import("./storyboard.js").Storyboard} storyboard
   */
  constructor(video, player, veil, storyboard) {
    super();
    this.#player = player;
    this.#veil = veil;
    this.#deck = new Deck(video, player, storyboard);
    video.addEventListener("playing", () => player.isFaulty || this.isAway || veil.lift());
  }

  /** Look how it stands now. @returns {import("../words/live.js").Live|null} Null: nothing is live. */
  look() {
    const { live } = this.#player;
    if (live && this.#hasFallenBehind(live)) this.#player.goLive();
    this.#deck.refresh();
    this.#note(live !== null && this.#isDry(performance.now()));
    if (this.#wasLive && !live) this.#leave();
    this.#wasLive = live !== null;
    if (this.#isEnding && this.#isDry(performance.now())) this.#finish();
    return live;
  }

  /** Say over the last picture that there is no other. @param {import("../api/streams.js").Stream} stream */
  end(stream) {
    this.#veil.show(describeEnd(stream));
  }

  /** The picture stood still for a while, and goes on too far behind to catch up by playing faster. */
  #hasFallenBehind(live) {
    return this.#player.isFollowing && !this.#player.isDry && !isAtLive(live);
  }

  #isDry(now_ms) {
    this.#dry_ms = this.#player.isDry ? (this.#dry_ms ?? now_ms) : null;
    return this.#dry_ms !== null && now_ms - this.#dry_ms > HESITATION_MS;
  }

  #finish() {
    this.#isEnding = false;
    this.dispatchEvent(new Event("over"));
  }

  #note(isAway) {
    if (isAway === this.isAway) return;
    this.isAway = isAway;
    if (isAway && !this.#player.isFaulty) this.#veil.show(PUBLISHER_AWAY);
    else if (!this.#player.isFaulty) this.#veil.lift();
    this.dispatchEvent(new Event("change"));
  }

  /** What has ended is like a recording from now on. */
  #leave() {
    this.#isEnding = true;
    this.dispatchEvent(new Event("change"));
  }
}
