/** What is to be seen at the moment that somebody points at: a small picture and its time, above the seek bar. */

import { say } from "../page/template.js";

/** After the last key it stays for a while. */
const LINGER_MS = 1_500;

/** @returns {any} */
const at = (id) => document.getElementById(id);

export class Preview {
  #storyboard;
  #bar;
  #describe;
  #box = at("preview");
  #picture = at("preview-picture");
  #shownMoment = null;
  #shownTile = null;
  #lingering = 0;

  /**
   * @param {import("./storyboard.js").Storyboard} storyboard
   * @param {HTMLInputElement} bar The seek bar, whose values are seconds.
   * @param {(time_s: number) => {label: string, detail: string, moment: {time_s: number, date_ms: number|null}|null}} describe
   */
  constructor(storyboard, bar, describe) {
    this.#storyboard = storyboard;
    this.#bar = bar;
    this.#describe = describe;
    bar.addEventListener("pointermove", (event) => this.show(this.#timeAt(event.clientX)));
    bar.addEventListener("input", () => this.show(bar.valueAsNumber));
    for (const leave of ["pointerleave", "pointercancel", "blur"]) bar.addEventListener(leave, () => this.hide());
  }

  /** Show a moment until something else is shown or nobody points any more. */
  show(time_s) {
    clearTimeout(this.#lingering);
    const { label, detail, moment } = this.#describe(time_s);
    say(at("preview-label"), label);
    say(at("preview-detail"), detail);
    this.#box.hidden = false;
    this.#shownMoment = moment;
    this.#showTile();
    this.#place(time_s);
    this.#refresh();
  }

  /** Show a moment that a key led to. */
  showBriefly(time_s) {
    this.show(time_s);
    this.#lingering = setTimeout(() => this.hide(), LINGER_MS);
  }

  hide() {
    clearTimeout(this.#lingering);
    this.#box.hidden = true;
  }

  async #refresh() {
    if ((await this.#storyboard.refresh()) && !this.#box.hidden) this.#showTile();
  }

  /** The picture that stands there stays until the next one is loaded. */
  async #showTile() {
    const tile = this.#shownMoment && this.#storyboard.tileAt(this.#shownMoment);
    this.#shownTile = tile;
    this.#picture.hidden = !tile;
    if (!tile) return;
    this.#picture.style.width = `${tile.width}px`;
    this.#picture.style.height = `${tile.height}px`;
    const image = await this.#storyboard.image(tile.url).catch(() => null);
    if (this.#shownTile !== tile) return;
    this.#picture.hidden = !image;
    if (!image) return;
    image.style.transform = `translate(${-tile.x}px, ${-tile.y}px)`;
    this.#picture.replaceChildren(image);
  }

  /** Above the moment on the bar, but within its ends. */
  #place(time_s) {
    const { min, max, offsetLeft, offsetWidth } = this.#bar;
    const share = (time_s - Number(min)) / Math.max(1, Number(max) - Number(min));
    const half = this.#box.offsetWidth / 2;
    const centre = thumb_px() / 2 + share * (offsetWidth - thumb_px());
    this.#box.style.left = `${offsetLeft + Math.min(offsetWidth - half, Math.max(half, centre))}px`;
  }

  #timeAt(client_px) {
    const { left, width } = this.#bar.getBoundingClientRect();
    const share = (client_px - left - thumb_px() / 2) / Math.max(1, width - thumb_px());
    const [start_s, end_s] = [Number(this.#bar.min), Number(this.#bar.max)];
    return start_s + Math.min(1, Math.max(0, share)) * (end_s - start_s);
  }
}

/** The thumb stays within the bar: its middle moves less than the bar is wide. It is 0.875rem, see watch.css. */
function thumb_px() {
  return 0.875 * parseFloat(getComputedStyle(document.documentElement).fontSize);
}
