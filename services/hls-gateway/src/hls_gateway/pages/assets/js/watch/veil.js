/** What is said over the picture when there is none, or when it will not go on. */

import { say } from "../page/template.js";

export class Veil {
  #veil = document.getElementById("veil");
  #title = document.getElementById("veil-title");
  #text = document.getElementById("veil-text");
  #button = document.getElementById("veil-retry");
  #video;
  #countdown = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {() => void} onRetry
   */
  constructor(video, onRetry) {
    this.#video = video;
    this.#button.addEventListener("click", onRetry);
  }

  /**
   * @param {{title: string, text: string, retry_s?: number|null}} message `retry_s`: seconds until it is tried again;
   *   null: only when the watcher asks; absent: there is nothing to try.
   */
  show({ title, text, retry_s }) {
    clearInterval(this.#countdown);
    say(this.#title, title);
    say(this.#text, text);
    this.#button.hidden = retry_s === undefined;
    this.#veil.dataset.over = this.#video.readyState > 1 ? "picture" : "nothing";
    this.#veil.hidden = false;
    if (retry_s) this.#countDown(retry_s);
    else say(this.#button, "Try again");
  }

  lift() {
    clearInterval(this.#countdown);
    this.#veil.hidden = true;
  }

  #countDown(retry_s) {
    const until_ms = performance.now() + retry_s * 1_000;
    const tell = () => say(this.#button, `Try now (${Math.max(0, Math.ceil((until_ms - performance.now()) / 1_000))} s)`);
    tell();
    this.#countdown = setInterval(tell, 250);
  }
}
