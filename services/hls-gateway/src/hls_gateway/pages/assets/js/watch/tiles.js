/**
 * Reads a storyboard, and finds the picture of a moment in it. Pure.
 *
 * @typedef {object} Tile A part of an image that shows a stretch of the stream.
 * @property {number} begin_s Counted from the beginning of the playlist.
 * @property {number} end_s
 * @property {number|null} date_ms The time of day at its beginning; null: the stream tells none.
 * @property {string} url Of the image.
 * @property {number} x
 * @property {number} y
 * @property {number} width
 * @property {number} height
 */

const CUE = /^(?:(\S+)\n)?([\d:.]+) --> ([\d:.]+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$/;
/** Clocks are told to the millisecond. */
const ROUNDING_S = 0.002;

/**
 * @param {string} text WebVTT.
 * @param {string} base What its URLs are relative to.
 * @returns {Tile[]}
 */
export function readTiles(text, base) {
  return text.trim().split("\n\n").slice(1).flatMap((cue) => readTile(cue, base));
}

/**
 * @param {Tile[]} tiles In their order.
 * @param {{time_s: number, date_ms: number|null}} moment With the time of day, if it is known, that alone counts.
 * @returns {Tile|null}
 */
export function findTile(tiles, { time_s, date_ms }) {
  const begin = date_ms === null ? (tile) => tile.begin_s : (tile) => tile.date_ms / 1_000;
  const sought_s = date_ms === null ? time_s : date_ms / 1_000;
  const tile = tiles.findLast((one) => begin(one) <= sought_s + ROUNDING_S);
  return tile && sought_s < begin(tile) + (tile.end_s - tile.begin_s) + ROUNDING_S ? tile : null;
}

function readTile(cue, base) {
  const [found, date, begin, end, url, ...box] = CUE.exec(cue) ?? [];
  if (!found) return [];
  const [x, y, width, height] = box.map(Number);
  const date_ms = date ? Date.parse(date) : null;
  return [{ begin_s: seconds(begin), end_s: seconds(end), date_ms, url: new URL(url, base).href, x, y, width, height }];
}

/** "01:02:03.500" -> 3723.5. */
function seconds(stamp) {
  return stamp.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}
