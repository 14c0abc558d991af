/** The small pictures of a stream: its storyboard, asked for when somebody looks for a moment, and the images it names. */

import { findTile, readTiles } from "./tiles.js";

/** A stream that grows has new pictures so often. */
const STALE_MS = 4_000;
/** Images that are kept at hand. */
const MOST_IMAGES = 64;

export class Storyboard {
  #url;
  /** @type {import("./tiles.js").Tile[]} */
  #tiles = [];
  #asked_ms = -Infinity;
  /** @type {Map<string, Promise<HTMLImageElement>>} */
  #images = new Map();

  /** @param {string} url Of the WebVTT. */
  constructor(url) {
    this.#url = new URL(url, location.href).href;
  }

  /**
   * Ask for it again, if that was long ago; whatever goes wrong, the pictures known so far stay.
   * @returns {Promise<boolean>} Whether there may be others now.
   */
  async refresh() {
    if (performance.now() - this.#asked_ms < STALE_MS) return false;
    this.#asked_ms = performance.now();
    const response = await fetch(this.#url).catch(() => null);
    const text = response?.ok ? await response.text().catch(() => "") : "";
    if (text) this.#tiles = readTiles(text, this.#url);
    return Boolean(text);
  }

  /** @param {{time_s: number, date_ms: number|null}} moment */
  tileAt(moment) {
    return findTile(this.#tiles, moment);
  }

  /** Load an image; the same one only once. @param {string} url */
  image(url) {
    const known = this.#images.get(url) ?? load(url);
    this.#images.delete(url);
    this.#images.set(url, known);
    if (this.#images.size > MOST_IMAGES) this.#images.delete(this.#images.keys().next().value);
    known.catch(() => this.#images.delete(url));
    return known;
  }
}

async function load(url) {
  const image = new Image();
  image.alt = "";
  image.src = url;
  await image.decode();
  return image;
}
