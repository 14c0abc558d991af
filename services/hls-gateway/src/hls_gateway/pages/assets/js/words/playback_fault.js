/**
 * Says what went wrong with playing. Pure.
 *
 * @typedef {object} PlaybackFault
 * @property {"network"|"media"|"unsupported"|"script"} kind
 * @property {number} status HTTP status; 0 when there was no answer, or when it is no matter of the network.
 * @property {string} detail The player's own name for it.
 */

const NETWORK = new Map([
  [401, ["You may not watch this", "This stream wants a token, and the address has none."]],
  [403, ["You may not watch this", "The token is not good for this stream, or is no longer good."]],
  [404, ["There is no such stream", "Nothing is to be played under this address, or not yet."]],
  [410, ["This stream is gone", "It was deleted."]],
]);

const OTHERS = {
  media: ["This cannot be decoded", "The browser gave up on the media it got."],
  unsupported: ["This browser cannot play it", "It knows neither Media Source Extensions nor HLS, or not these codecs."],
  script: ["The player did not load", "hls.js is not to be had from the server."],
};

const UNREACHABLE = ["The connection is lost", "The server cannot be reached."];

/**
 * @param {PlaybackFault} fault
 * @returns {{title: string, text: string, mayPass: boolean}} `mayPass`: trying again by itself makes sense.
 */
export function describePlaybackFault({ kind, status, detail }) {
  const [title, text] = wordsFor(kind, status);
  return { title, text: kind === "media" ? `${text} (${detail})` : text, mayPass: kind === "network" && mayPass(status) };
}

function wordsFor(kind, status) {
  if (kind !== "network") return OTHERS[kind];
  if (status === 0) return UNREACHABLE;
  return NETWORK.get(status) ?? ["The stream falters", `The server answered with status ${status}.`];
}

function mayPass(status) {
  return ![401, 403, 410].includes(status);
}
