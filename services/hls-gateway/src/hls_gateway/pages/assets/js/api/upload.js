/** Sends a recording's bytes. XMLHttpRequest, because fetch does not tell how much of a body has been sent. */

import { faultOf, unreachable } from "./fault.js";
import { recordingPath } from "./recordings.js";

/**
 * PUT the bytes of a recording's source; resolves when they are stored and known to be media.
 * @param {string} recordingId
 * @param {Blob} source
 * @param {{onSent: (bytes: number) => void, signal: AbortSignal}} options
 * @returns {Promise<void>} Rejects with a Fault, or with the signal's reason.
 */
export function putSource(recordingId, source, { onSent, signal }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open("PUT", `${recordingPath(recordingId)}/source`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => onSent(event.loaded));
    request.addEventListener("load", () => settle(request, resolve, reject));
    request.addEventListener("error", () => reject(unreachable("The connection broke before all was sent.")));
    request.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(source);
  });
}

function settle(request, resolve, reject) {
  if (request.status === 200) resolve();
  else reject(faultOf(request.status, request.responseText));
}
