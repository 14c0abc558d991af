/** Says how far an upload has come. Pure. */

import { bytes, percent, span } from "./units.js";

/** @type {Record<string, {tone: import("./recording.js").Tone, state: string}>} */
const PHASES = {
  waiting: { tone: "still", state: "Waits its turn" },
  creating: { tone: "flowing", state: "Uploading" },
  sending: { tone: "flowing", state: "Uploading" },
  probing: { tone: "flowing", state: "Being probed" },
  starting: { tone: "flowing", state: "Starting the transcode" },
  started: { tone: "flowing", state: "Waiting for a transcoder" },
  refused: { tone: "alarm", state: "Refused" },
  broken: { tone: "alarm", state: "Upload broke off" },
};

/**
 * @param {import("../console/uploads.js").Upload} upload
 * @returns {import("./recording.js").View}
 */
export function describeUpload(upload) {
  const { tone, state } = PHASES[upload.phase];
  return {
    id: upload.id,
    kind: "upload",
    title: upload.title,
    tone,
    state,
    facts: [upload.source.name, bytes(upload.source.size)],
    progress: tone === "flowing" && upload.phase !== "started" ? progressOf(upload) : null,
    message: upload.message,
    isPlayable: false,
    halt: ["waiting", "creating", "sending", "probing"].includes(upload.phase) ? "Cancel" : "",
    hasSetup: false,
    removal: tone === "alarm" ? "Dismiss" : "",
    again: upload.phase === "broken" ? "Try again" : "",
  };
}

function progressOf({ sent_bytes, rate_bytes, source, phase }) {
  const share = source.size ? Math.min(1, sent_bytes / source.size) : 1;
  /** @type {Array<[string, string]>} */
  const readings = [[percent(share * 100), "sent"]];
  if (phase === "sending" && rate_bytes > 0) {
    readings.push([`${bytes(rate_bytes)}/s`, ""], [span((source.size - sent_bytes) / rate_bytes), "left"]);
  }
  return { ratio: share, label: "Upload", readings };
}
