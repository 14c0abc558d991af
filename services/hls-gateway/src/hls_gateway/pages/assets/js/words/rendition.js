/** Names renditions. Pure. */

/**
 * @typedef {object} Rendition
 * @property {number} index As the engine counts; -1 means that the engine chooses.
 * @property {number} width_pixels 0 without picture
 * @property {number} height_pixels
 * @property {number} bitrate_bps
 */

/** "720p", by the shorter side, so that an upright picture is named like a lying one. */
export function renditionName({ width_pixels, height_pixels }) {
  const lines = Math.min(width_pixels, height_pixels);
  return lines > 0 ? `${lines}p` : "Sound";
}
